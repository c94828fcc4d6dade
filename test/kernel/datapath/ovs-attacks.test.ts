// The attacks on ports of an Open vSwitch in userspace.
import { describeOvsAttacks } from "../../contract/ovs-attacks.ts";

describeOvsAttacks("netdev");

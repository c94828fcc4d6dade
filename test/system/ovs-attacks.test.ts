// The attack catalogue against containers of a real engine, on Open vSwitch in userspace.
import { describeAttacks } from "../contract/attacks.ts";

describeAttacks("ovs");

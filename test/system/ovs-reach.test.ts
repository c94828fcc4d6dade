// Who reaches whom, with Open vSwitch in userspace.
import { describeReach } from "../contract/reach.ts";

describeReach("ovs");

// Who reaches whom in every mode, with Open vSwitch in userspace.
import { describeIsolation } from "../contract/isolation.ts";

describeIsolation("ovs");

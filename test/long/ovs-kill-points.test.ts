// kill -9 before and after every step, on Open vSwitch.
import { killPoints } from "../kernel/faults/kill-points.ts";

killPoints("ovs", "every");

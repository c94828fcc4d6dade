// kill -9 before and after every step, on a Linux bridge.
import { killPoints } from "../kernel/faults/kill-points.ts";

killPoints("bridge", "every");

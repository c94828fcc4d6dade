// kill -9 before every step and after the last one, on a Linux bridge.
import { killPoints } from "./kill-points.ts";

killPoints("bridge", "before");

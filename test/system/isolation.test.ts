// Who reaches whom in every mode, with Linux bridges.
import { describeIsolation } from "../contract/isolation.ts";

describeIsolation("bridge");

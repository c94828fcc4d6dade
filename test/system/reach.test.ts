// Who reaches whom, with Linux bridges.
import { describeReach } from "../contract/reach.ts";

describeReach("bridge");

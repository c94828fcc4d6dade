// Published ports, on Linux bridges.
import { describePublishing } from "../contract/publishing.ts";
import { VARIANTS } from "../support/system-host.ts";

for (const variant of VARIANTS) describePublishing(variant, "bridge");

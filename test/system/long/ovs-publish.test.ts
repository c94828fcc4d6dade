// Published ports, on Open vSwitch in userspace beside Docker's own networks, as the README has them.
import { describePublishing } from "../../contract/publishing.ts";

describePublishing("managed plugin", "ovs");

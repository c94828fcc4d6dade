// Published ports, on Open vSwitch in userspace; beside Docker's own networks: long/ovs-publish.test.ts.
import { describePublishing } from "../contract/publishing.ts";

describePublishing("tsnet serve", "ovs");

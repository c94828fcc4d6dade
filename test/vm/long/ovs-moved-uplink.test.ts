// Networks with `parent-address=move` on Open vSwitch with the kernel's datapath.
import { beforeAll } from "vitest";
import { describeMovedUplink } from "../../contract/moved-uplink.ts";
import { warmUp } from "../../support/vlan-vm.ts";

beforeAll(async () => await warmUp(["openvswitch"]));

describeMovedUplink("ovs", "system");

// The contract of datapaths on Open vSwitch with the kernel's datapath.
import { beforeAll } from "vitest";
import { describeOvsDatapath } from "../../contract/datapath-ovs.ts";
import { warmUp } from "../../support/vlan-vm.ts";

beforeAll(async () => await warmUp(["openvswitch"]));

describeOvsDatapath("ovs in the kernel", "system");

// The promises about moments in which VLANs come and go, on Open vSwitch with the kernel's datapath.
import { beforeAll } from "vitest";
import { describeVlanMoments } from "../../contract/vlans.ts";
import { ovsVlanHost } from "../../support/vlan-host.ts";
import { warmUp } from "../../support/vlan-vm.ts";

beforeAll(async () => await warmUp(["openvswitch"]));

const makeHost = () => ovsVlanHost("kernel");

describeVlanMoments("Open vSwitch in the kernel", makeHost);

// The promises about VLANs on Open vSwitch with the kernel's datapath.
import { beforeAll } from "vitest";
import { describeVlans } from "../contract/vlans.ts";
import { ovsVlanHost } from "../support/vlan-host.ts";
import { warmUp } from "../support/vlan-vm.ts";

beforeAll(async () => await warmUp(["openvswitch"]));

const makeHost = () => ovsVlanHost("kernel");

describeVlans("Open vSwitch in the kernel", makeHost);

// The promises about VLANs on Open vSwitch with the kernel's datapath.
import { execa } from "execa";
import { beforeAll } from "vitest";
import { describeVlans } from "../contract/vlans.ts";
import { ovsVlanHost } from "../support/vlan-host.ts";

beforeAll(async () => void (await execa("modprobe", ["openvswitch"])));

describeVlans("Open vSwitch in the kernel", () => ovsVlanHost("kernel"));

// The attacks on ports of an Open vSwitch with the kernel's datapath.
import { beforeAll } from "vitest";
import { describeOvsAttacks } from "../../contract/ovs-attacks.ts";
import { warmUp } from "../../support/vlan-vm.ts";

beforeAll(async () => await warmUp(["openvswitch"]));

describeOvsAttacks("system");

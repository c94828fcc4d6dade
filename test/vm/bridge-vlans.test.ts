// The promises about VLANs on the Linux bridge.
import { beforeAll } from "vitest";
import { describeVlans } from "../contract/vlans.ts";
import { bridgeVlanHost } from "../support/vlan-host.ts";
import { warmUp } from "../support/vlan-vm.ts";

beforeAll(async () => await warmUp(["bridge", "8021q", "veth"]));

describeVlans("Linux bridge", bridgeVlanHost);

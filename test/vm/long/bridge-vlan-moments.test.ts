// The promises about moments in which VLANs come and go, on the Linux bridge.
import { beforeAll } from "vitest";
import { describeVlanMoments } from "../../contract/vlans.ts";
import { bridgeVlanHost } from "../../support/vlan-host.ts";
import { warmUp } from "../../support/vlan-vm.ts";

beforeAll(async () => await warmUp(["bridge", "8021q", "veth"]));

describeVlanMoments("Linux bridge", bridgeVlanHost);

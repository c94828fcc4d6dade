// The rules of tunnels on a kernel that has all kinds of them, and VLANs on bridges.
import { beforeAll } from "vitest";
import { describeTunnelFrames } from "../../support/tunnel-frames.ts";
import { describeTunnelInjection } from "../../support/tunnel-injection.ts";
import { warmUp } from "../../support/vlan-vm.ts";

beforeAll(
  async () => await warmUp(["bridge", "br_netfilter", "8021q", "veth", "vxlan", "geneve", "ip_gre", "ip6_gre"]),
);

describeTunnelFrames({ kind: "vxlan", family: 4, vlans: { vlan: 10, trunk: [20] } });
describeTunnelFrames({ kind: "geneve", family: 4 });
describeTunnelFrames({ kind: "gre", family: 6 });
describeTunnelInjection({ kind: "geneve", family: 6 });
describeTunnelInjection({ kind: "gre", family: 4 });
describeTunnelInjection({ kind: "gre", family: 6 });

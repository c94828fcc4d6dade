// Tunnels of the Linux bridge of every kind, on a kernel that has them all and VLANs on bridges.
import { beforeAll } from "vitest";
import { describeTunnelVlans, describeTunnels } from "../../contract/tunnels.ts";
import { describeBridgeLinks } from "../../contract/tunnels/bridge-links.ts";
import { LINUX_BRIDGE } from "../../support/tunnel-host.ts";
import { TunnelStand } from "../../support/tunnel-stand.ts";
import { warmUp } from "../../support/vlan-vm.ts";

beforeAll(
  async () => await warmUp(["bridge", "br_netfilter", "8021q", "veth", "vxlan", "geneve", "ip_gre", "ip6_gre"]),
);

const stand = () => TunnelStand.up(3, LINUX_BRIDGE);

describeBridgeLinks("gre over IPv6", { kind: "gre", family: 6 });
describeBridgeLinks("geneve", { kind: "geneve", vni: 77, port: 6081 });
describeBridgeLinks("vxlan over IPv6", { kind: "vxlan", vni: 77, port: 4789, family: 6 });

describeTunnels("Linux bridge, geneve", { kind: "geneve", vni: 77, port: 6081 }, stand);
describeTunnels("Linux bridge, gre", { kind: "gre" }, stand, "carriage");
describeTunnels("Linux bridge, gre with a key", { kind: "gre", vni: 77 }, stand, "carriage");
describeTunnels("Linux bridge, gre with a key over IPv6", { kind: "gre", vni: 77, family: 6 }, stand, "carriage");
describeTunnels(
  "Linux bridge, geneve over IPv6",
  { kind: "geneve", vni: 78, port: 6082, family: 6 },
  stand,
  "carriage",
);

describeTunnelVlans("Linux bridge, vxlan", { kind: "vxlan", vni: 77, port: 4789 }, stand);
describeTunnelVlans("Linux bridge, gre with a key", { kind: "gre", vni: 77 }, stand);

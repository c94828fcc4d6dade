// Tunnels between hosts with engines, with Open vSwitch in userspace; tsnet runs in both ways.
import { describeTunnelHosts } from "../contract/tunnel-hosts.ts";

describeTunnelHosts("ovs", {
  variants: ["tsnet serve", "managed plugin", "tsnet serve"],
  others: [
    { kind: "gre", family: 4, vni: 81, net: 81, overhead: 42 },
    { kind: "geneve", family: 4, vni: 82, net: 82, overhead: 50 },
  ],
  megabytes: 10,
});

// Tunnels between hosts with engines, on Linux bridges; tsnet runs in both ways.
import { describeTunnelHosts } from "../contract/tunnel-hosts.ts";

describeTunnelHosts("bridge", {
  variants: ["tsnet serve", "managed plugin", "tsnet serve"],
  others: [{ kind: "vxlan", family: 6, vni: 86, net: 86, overhead: 70 }],
  megabytes: 10,
});

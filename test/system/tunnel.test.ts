// Tunnels between hosts with engines, on Linux bridges.
import { describeTunnelHosts } from "../contract/tunnel-hosts.ts";

describeTunnelHosts("bridge", {
  others: [{ kind: "vxlan", family: 6, vni: 86, net: 86, overhead: 70 }],
  megabytes: 10,
});

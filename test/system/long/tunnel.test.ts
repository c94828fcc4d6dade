// Tunnels between hosts with engines, on Linux bridges, two of which have tsnet as the managed plugin; much data by every kind.
import { describeTunnelHosts } from "../../contract/tunnel-hosts.ts";

describeTunnelHosts("bridge", {
  variants: ["managed plugin", "tsnet serve", "managed plugin"],
  others: [{ kind: "vxlan", family: 6, vni: 86, net: 86, overhead: 70 }],
  megabytes: 100,
});

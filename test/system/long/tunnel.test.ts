// Tunnels between hosts with engines, on Linux bridges, the other way round than in every run, and with much data by every kind.
import { describeTunnelHosts } from "../../contract/tunnel-hosts.ts";

describeTunnelHosts("bridge", {
  variants: ["managed plugin", "tsnet serve", "managed plugin"],
  others: [{ kind: "vxlan", family: 6, vni: 86, net: 86, overhead: 70 }],
  megabytes: 100,
});

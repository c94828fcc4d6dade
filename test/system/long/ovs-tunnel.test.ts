// Tunnels between hosts with engines, with Open vSwitch in userspace, the other way round than in every run, and with much data by
// every kind.
import { describeTunnelHosts } from "../../contract/tunnel-hosts.ts";

describeTunnelHosts("ovs", {
  variants: ["managed plugin", "tsnet serve", "managed plugin"],
  others: [
    { kind: "gre", family: 4, vni: 81, net: 81, overhead: 42 },
    { kind: "geneve", family: 4, vni: 82, net: 82, overhead: 50 },
  ],
  megabytes: 100,
});

// Tunnels between hosts with engines, with Open vSwitch in userspace.
import { describeTunnelHosts } from "../contract/tunnel-hosts.ts";

describeTunnelHosts("ovs", {
  others: [
    { kind: "gre", family: 4, vni: 81, net: 81, overhead: 42 },
    { kind: "geneve", family: 4, vni: 82, net: 82, overhead: 50 },
  ],
  megabytes: 10,
});

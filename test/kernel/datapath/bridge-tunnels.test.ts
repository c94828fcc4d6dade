// Tunnels of the Linux bridge that the machine's own kernel has; the virtual machine has all kinds (test/vm/long).
import { describeTunnels } from "../../contract/tunnels.ts";
import { TunnelStand } from "../../support/tunnel-stand.ts";

const makeStand = (count: number) => TunnelStand.up(count);

describeTunnels("Linux bridge, vxlan", { kind: { kind: "vxlan", vni: 77, port: 4789 }, makeStand });
describeTunnels("Linux bridge, vxlan over IPv6", {
  kind: { kind: "vxlan", vni: 78, port: 4790, family: 6 },
  makeStand,
});

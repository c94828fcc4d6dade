// Tunnels of the Linux bridge that the machine's own kernel has; the virtual machine has all kinds, and VLANs (test/vm/long).
import { describeTunnels } from "../../contract/tunnels.ts";
import { describeBridgeLinks } from "../../contract/tunnels/bridge-links.ts";
import { LINUX_BRIDGE } from "../../support/tunnel-host.ts";
import { TunnelStand } from "../../support/tunnel-stand.ts";

const VXLAN = { kind: "vxlan", vni: 77, port: 4789 } as const;

const stand = () => TunnelStand.up(3, LINUX_BRIDGE);

describeTunnels("Linux bridge, vxlan", VXLAN, stand);
describeTunnels("Linux bridge, vxlan over IPv6", { ...VXLAN, port: 4790, family: 6 }, stand, "carriage");

describeBridgeLinks("vxlan", VXLAN);

// Tunnels of Open vSwitch in userspace, of all kinds; all that they promise of the kind that most have. With the kernel's
// datapath they are in the virtual machine, and there with all promises of every kind (test/vm/long).
import { describeTunnelVlans, describeTunnels } from "../../contract/tunnels.ts";
import { openVswitch } from "../../support/tunnel-host.ts";
import { TunnelStand } from "../../support/tunnel-stand.ts";

const VXLAN = { kind: "vxlan", vni: 77, port: 4789 } as const;

const over4 = () => TunnelStand.up(3, openVswitch("userspace"));
const over6 = () => TunnelStand.up(3, openVswitch("userspace", 6));

describeTunnels("Open vSwitch, vxlan", VXLAN, over4);
describeTunnels("Open vSwitch, gre", { kind: "gre", vni: 79 }, over4, "carriage");
describeTunnels("Open vSwitch, geneve", { kind: "geneve", vni: 80, port: 6081 }, over4, "carriage");
describeTunnels("Open vSwitch, vxlan over IPv6", { ...VXLAN, port: 4790, family: 6 }, over6, "carriage");
describeTunnelVlans("Open vSwitch, vxlan", VXLAN, over4);

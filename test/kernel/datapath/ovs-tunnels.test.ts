// Tunnels of Open vSwitch in userspace, of all kinds; with the kernel's datapath they are in the virtual machine (test/vm/long).
import { describeTunnels } from "../../contract/tunnels.ts";
import { openVswitch } from "../../support/tunnel-host.ts";
import { TunnelStand } from "../../support/tunnel-stand.ts";

const stand = () => TunnelStand.up(3, openVswitch("userspace"));
const standOver6 = () => TunnelStand.up(3, openVswitch("userspace", 6));

describeTunnels("Open vSwitch, vxlan", { kind: "vxlan", vni: 77, port: 4789 }, stand);
describeTunnels("Open vSwitch, gre", { kind: "gre", vni: 79 }, stand);
describeTunnels("Open vSwitch, geneve", { kind: "geneve", vni: 80, port: 6081 }, stand);
describeTunnels("Open vSwitch, vxlan over IPv6", { kind: "vxlan", vni: 78, port: 4790, family: 6 }, standOver6);

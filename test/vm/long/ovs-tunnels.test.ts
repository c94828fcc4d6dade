// Tunnels of Open vSwitch with the kernel's datapath: there a tunnel goes by whatever link has the host's address.
import { beforeAll } from "vitest";
import { describeTunnelVlans, describeTunnels } from "../../contract/tunnels.ts";
import { openVswitch } from "../../support/tunnel-host.ts";
import { TunnelStand } from "../../support/tunnel-stand.ts";
import { warmUp } from "../../support/vlan-vm.ts";

beforeAll(async () => await warmUp(["openvswitch", "vport-vxlan", "vport-gre", "vport-geneve", "bridge", "veth"]));

const stand = () => TunnelStand.up(3, openVswitch("kernel"));

describeTunnels("Open vSwitch in the kernel, vxlan", { kind: "vxlan", vni: 77, port: 4789 }, stand);
describeTunnels("Open vSwitch in the kernel, gre", { kind: "gre", vni: 79 }, stand, "carriage");
describeTunnels("Open vSwitch in the kernel, geneve", { kind: "geneve", vni: 80, port: 6081 }, stand, "carriage");

const over6 = { kind: "vxlan", vni: 78, port: 4790, family: 6 } as const;
describeTunnels("Open vSwitch in the kernel, vxlan over IPv6", over6, stand, "carriage");

describeTunnelVlans("Open vSwitch in the kernel, geneve", { kind: "geneve", vni: 80, port: 6081 }, stand);

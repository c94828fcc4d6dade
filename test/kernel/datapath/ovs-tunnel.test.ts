// What is Open vSwitch's own about tunnels: its rows, its restart, its flows, and where it cannot send packets. What tunnels
// promise on every switch stands in test/contract/tunnels.ts.
import { describe, expect, it } from "vitest";
import type { Network, Tunnel } from "../../../src/cnm/network.ts";
import { ALL_OURS } from "../../../src/datapath/ovs/flows-cookie.ts";
import { OpenFlow } from "../../../src/host/openflow.ts";
import { ifName, network } from "../../support/cnm-builder.ts";
import { FrameSocket } from "../../support/frame-capture.ts";
import { BROADCAST_MAC, ETHERTYPE, arp, ethernet } from "../../support/frames.ts";
import { managementOf } from "../../support/ovs-flows.ts";
import { end } from "../../support/ovs-host.ts";
import { shell } from "../../support/packet-lab.ts";
import { type TunnelHost, openVswitch } from "../../support/tunnel-host.ts";
import { GATEWAY, TunnelStand, reaches } from "../../support/tunnel-stand.ts";
import { waitUntil } from "../../support/wait-until.ts";

const VXLAN = { kind: "vxlan", vni: 77, port: 4789 } as const;

const twoHosts = () => TunnelStand.up(2, openVswitch("userspace"));

/** @throws Error for a host without. */
function ovsOf({ ovs, vswitchd }: TunnelHost) {
  if (ovs === undefined || vswitchd === undefined) throw new Error("a host with Open vSwitch");
  return { ovs, vswitchd };
}

/** The network with one container on each host, which reach one another. */
async function populate(stand: TunnelStand, more: Partial<Network> = {}) {
  await stand.make(VXLAN, more);
  const on = (n: number) => stand.attach(n, stand.network(n, VXLAN, more));
  const [one, two] = [await on(1), await on(2)];
  await reaches(one, two.address[4]);
  return { one, two };
}

describe("flows of a tunnel", () => {
  it.each(["tsnet's own", "a user's"])(
    "drop what comes with the gateway's MAC address and questions for it, on a switch of %s",
    async (whose) => {
      await using stand = await twoHosts();
      const more = { isSwitchOurs: whose === "tsnet's own", isGuarded: false };
      if (!more.isSwitchOurs) for (const host of stand.hosts) await host.plantSwitch(ifName("ts0"));
      const { one, two } = await populate(stand, more);
      using ear = FrameSocket.open(one.ns, "eth0");
      using other = FrameSocket.open(two.ns, "eth0");
      const said = (from: string, target: string) => {
        const payload = arp({ operation: "request", senderMac: from, sender: "10.1.1.77", target });
        return ethernet({ to: BROADCAST_MAC, from, type: ETHERTYPE.arp, payload });
      };
      const { mac } = two.endpoint;
      const dropped = [said(stand.network(1, VXLAN).switchMac, "10.1.1.66"), said(mac, GATEWAY[4])];
      const last = said(mac, "10.1.1.66");

      other.send(...dropped, last);
      await ear.waitFor("what came after it", last);

      expect(dropped.map((frame) => ear.count(frame))).toEqual([0, 0]);
    },
  );
});

describe("a tunnel that was disturbed", () => {
  it("is as it was after its port was deleted, changed or doubled by hand", async () => {
    await using stand = await twoHosts();
    const { one, two } = await populate(stand);
    const { ovs } = ovsOf(stand.host(1));
    const { hostLink } = stand.network(1, VXLAN);
    const name = await ovs.vsctl("--bare", "--columns=name", "find", "interface", "type=vxlan");
    const state = async () => [
      await ovs.vsctl("--bare", "--columns=type,options", "list", "interface", name),
      await ovs.vsctl("--bare", "--columns=protected,tag,vlan_mode", "list", "port", name),
      await ovs.vsctl("get", "port", hostLink, "protected"),
    ];
    const made = await state();

    await ovs.vsctl("del-port", name);
    await stand.look(1);
    expect(await state()).toEqual(made);
    await reaches(one, two.address[4]);
    await ovs.vsctl("set", "interface", name, "options:key=99", "--", "set", "port", name, "protected=false", "tag=7");
    await ovs.vsctl("set", "port", hostLink, "protected=false");
    await stand.look(1);
    expect(await state()).toEqual(made);
    const mark = "external_ids:tsnet-network=gone";
    const stray = ["type=vxlan", "options:remote_ip=192.0.2.99", "options:key=5", mark];
    const addition = ["add-port", "ts0", "stray", "--", "set", "interface", "stray", ...stray];
    await ovs.vsctl(...addition, "--", "set", "port", "stray", mark);
    await stand.look(1);
    expect(await ovs.vsctl("list-ports", "ts0")).not.toContain("stray");
    await reaches(one, two.address[4]);
    expect(name).toMatch(/^tsx\w{12}$/);
    expect(made).toEqual([
      "vxlan\ndst_port=4789 key=77 local_ip=192.0.2.1 remote_ip=192.0.2.2",
      "true\n0\naccess",
      "true",
    ]);
  });

  it("carries frames again after ovs-vswitchd was started anew, and still keeps the gateway to its host", async () => {
    await using stand = await twoHosts();
    const { one, two } = await populate(stand);
    const { ovs, vswitchd } = ovsOf(stand.host(1));

    await end(vswitchd, "SIGTERM");
    await ovs.startVswitchd();
    await waitUntil("ovs-vswitchd to have its bridges", () => stand.look(1).then(() => true));

    using wire = stand.listen();
    await reaches(one, two.address[4]);
    await reaches(one, GATEWAY[4]);
    expect(wire.heard().filter((frame) => frame.includes(Buffer.from([10, 1, 1, 1])))).toEqual([]);
    using flows = await OpenFlow.open(managementOf(ovs, "ts0"));
    const before = await flows.countFlows(ALL_OURS);
    await stand.look(1);
    expect(await flows.countFlows(ALL_OURS)).toBe(before);
  });
});

describe("a tunnel that cannot be", () => {
  it("is refused with the ways out where the local address is on no switch of Open vSwitch", async () => {
    await using stand = await TunnelStand.up(1, openVswitch("userspace"));
    const { ns, agent } = stand.host(1);
    await shell(ns, [
      "ip link add nic1 type veth peer name far; ip address add 198.51.100.1/24 dev nic1; ip link set nic1 up; ip link set far up",
    ]);
    const tunnel: Tunnel = { ...VXLAN, local: "198.51.100.1", peers: ["198.51.100.2"] };

    await expect(agent.datapath.check({ ...stand.network(1, VXLAN), tunnel }, [])).rejects.toThrow(
      "Open vSwitch in userspace sends packets of tunnels by its own bridges only, and 198.51.100.1 is on nic1; " +
        "permitted: a network with backend=ovs, parent=nic1 and parent-address=move before this one, " +
        "or datapath=kernel where the kernel has Open vSwitch, or backend=bridge",
    );
    await expect(agent.datapath.check(stand.network(1, VXLAN), [])).resolves.toBeUndefined();
  });

  it("is refused over IPv6 on a link that has IPv4 as well, but for the bridge's own", async () => {
    await using stand = await TunnelStand.up(1, openVswitch("userspace"));
    const tunnel: Tunnel = { ...VXLAN, local: "2001:db8::1", peers: ["2001:db8::2"] };
    const refused = network(1, { backend: "ovs", switchName: ifName("ts0"), tunnel });

    await expect(stand.host(1).agent.datapath.check(refused, [])).rejects.toThrow(
      /finds no peers by IPv6 on tsg\w+, which has addresses of IPv4 as well; permitted: peers and local of IPv4/,
    );
  });
});

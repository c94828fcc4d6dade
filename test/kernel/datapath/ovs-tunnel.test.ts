// Tunnels of Open vSwitch in userspace: hosts that are namespaces, with real packets, seen from containers and on the wire.
import { describe, expect, it } from "vitest";
import { ALL_OURS } from "../../../src/datapath/ovs/flows-cookie.ts";
import { OpenFlow } from "../../../src/host/openflow.ts";
import { endpoint, ifName, network, networkId } from "../../support/cnm-builder.ts";
import { FrameSocket } from "../../support/frame-capture.ts";
import { BROADCAST_MAC, ETHERTYPE, arp, ethernet, macBytes } from "../../support/frames.ts";
import { managementOf } from "../../support/ovs-flows.ts";
import { end } from "../../support/ovs-host.ts";
import { OvsTunnelStand, type Station, lanNetwork } from "../../support/ovs-tunnel-stand.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";

const UNGUARDED = { isGuarded: false } as const;
const BROADCAST_ALL = macBytes(BROADCAST_MAC);
const UNKNOWN_MAC = "02:77:77:77:77:77";

/** A frame that nobody answers, found again by its payload. */
function probe(from: string, to: string, text: string): Buffer {
  return ethernet({ to, from, type: 0x88b5, payload: Buffer.from(text.padEnd(60, ".")) });
}

/** Pings until an answer comes. */
async function requirePing({ ns }: Station, to: string): Promise<void> {
  await waitUntil(`an answer from ${to}`, () => canPing(ns, to));
}

/** Waits until what was sent before has arrived: it went the same way. */
async function settle({ ns }: Station, to: string): Promise<void> {
  await requirePing({ ns, endpoint: endpoint() }, to);
}

/** The name of the n-th host's only port of the tunnel. */
async function tunnelPort(stand: OvsTunnelStand, n: number): Promise<string> {
  const { ovs } = stand.host(n);
  const name = await ovs.vsctl("--bare", "--columns=name", "find", "interface", `type=${stand.plan.kind}`);
  if (!/^tsx\w{12}$/.test(name)) throw new Error(`ports of tunnels: ${name}`);
  return name;
}

const CASES = [
  { kind: "vxlan", family: 4 },
  { kind: "gre", family: 4 },
  { kind: "geneve", family: 4 },
  { kind: "vxlan", family: 6 },
] as const;

describe.each(CASES)("a tunnel of kind $kind over IPv$family", ({ kind, family }) => {
  it("carries both families, the largest packet in one piece, and not one byte more", async () => {
    await using stand = await OvsTunnelStand.up({ kind, family });
    await stand.make();
    const [one, two] = [await stand.attach(1, 1), await stand.attach(2, 2)];

    await requirePing(one, "10.1.1.3");
    await requirePing(two, "fd00:1:1::2");
    const { mtu } = one.endpoint;
    using wire = stand.listen(1);
    await one.ns.exec(["busybox", "ping", "-c", "1", "-W", "2", "-s", String(mtu - 28), "10.1.1.3"]);
    expect(Math.max(...wire.heard().map(({ length }) => length))).toBe(1514);
    const sent = probe(one.endpoint.mac, two.endpoint.mac, "x".repeat(mtu - 1));
    using eth0 = FrameSocket.open(one.ns, "eth0");
    expect(() => eth0.send(Buffer.concat([sent, Buffer.alloc(mtu + 15 - sent.length)]))).toThrow("errno 90");
  });

  it("brings a broadcast once to each of three hosts, and unknown MAC addresses too", async () => {
    await using stand = await OvsTunnelStand.up({ kind, family, hosts: 3 });
    await stand.make(UNGUARDED);
    const boxes = [1, 2, 3].map((n) => stand.attach(n, n, UNGUARDED));
    const stations = await Promise.all(boxes);
    const [one, two, three] = stations;
    if (one === undefined || two === undefined || three === undefined) throw new Error("three containers");
    for (const from of stations) for (const n of [1, 2, 3]) await requirePing(from, `10.1.1.${n + 1}`);
    using sender = FrameSocket.open(one.ns, "eth0");
    using second = FrameSocket.open(two.ns, "eth0");
    using third = FrameSocket.open(three.ns, "eth0");

    for (const [to, text] of [
      [BROADCAST_MAC, "to all"],
      ["01:00:5e:01:02:03", "to a group"],
      [UNKNOWN_MAC, "to nobody"],
      [two.endpoint.mac, "to the second"],
    ] as const) {
      sender.send(probe(one.endpoint.mac, to, text));
      await settle(one, "10.1.1.3");
      await settle(one, "10.1.1.4");
      const heard = [sender, second, third].map((ear) => ear.count(Buffer.from(text)));
      expect([text, ...heard]).toEqual([text, 0, 1, text === "to the second" ? 0 : 1]);
    }
  });
});

describe("a tunnel with a gateway on each host", () => {
  it("answers by the container's own host alone, and nothing of it is on the wire", async () => {
    await using stand = await OvsTunnelStand.up();
    await stand.make();
    const [one] = [await stand.attach(1, 1), await stand.attach(2, 2)];
    await requirePing(one, "10.1.1.3");
    using wire = stand.listen(1);
    using other = stand.listen(2);
    using ear = FrameSocket.open(one.ns, "eth0");

    for (const address of ["10.1.1.1", "fd00:1:1::1"]) {
      await shell(one.ns, ["ip neigh flush all; ip -6 neigh flush all"]);
      await requirePing(one, address);
    }
    await stand
      .host(1)
      .namespace.exec(["busybox", "arping", "-c", "1", "-U", "-I", stand.network(1).hostLink, "10.1.1.1"])
      .catch(() => {});
    expect(await canPing(stand.host(1).namespace, "10.1.1.3")).toBe(false);
    await settle(one, "10.1.1.3");

    const gateway = macBytes("02:aa:00:00:00:01");
    const ask = Buffer.concat([Buffer.from([10, 1, 1, 2]), Buffer.alloc(6), Buffer.from([10, 1, 1, 1])]);
    const solicited = Buffer.from("fd000001000100000000000000000001", "hex");
    expect(ear.count(gateway)).toBeGreaterThan(0);
    for (const bytes of [gateway, macBytes("02:aa:00:00:00:02"), ask, solicited]) {
      expect([wire.count(bytes), other.count(bytes)]).toEqual([0, 0]);
    }
  });

  it.each(["tsnet's own", "a user's"])("is claimed by nobody from another host, on a switch of %s", async (whose) => {
    await using stand = await OvsTunnelStand.up();
    const isSwitchOurs = whose === "tsnet's own";
    const more = { isSwitchOurs, ...UNGUARDED };
    if (!isSwitchOurs)
      for (const { ovs } of stand.hosts)
        await ovs.vsctl("add-br", "net1", "--", "set", "bridge", "net1", "datapath_type=netdev");
    await stand.make(more);
    const [one, two] = [await stand.attach(1, 1, more), await stand.attach(2, 2, more)];
    await requirePing(one, "10.1.1.3");
    using ear = FrameSocket.open(one.ns, "eth0");
    using forger = FrameSocket.open(two.ns, "eth0");
    const { mac } = two.endpoint;
    const say = (sender: string, target: string, other: object = {}) =>
      ethernet({
        to: BROADCAST_MAC,
        from: mac,
        type: ETHERTYPE.arp,
        payload: arp({ operation: "reply", senderMac: mac, sender, target, ...other }),
      });

    forger.send(
      say("10.1.1.1", "10.1.1.2"),
      say("10.1.1.77", "10.1.1.1"),
      say("10.1.1.1", "10.1.1.2", { layout: [6, ETHERTYPE.ipv4, 6, 4] }),
      probe("02:aa:00:00:00:01", BROADCAST_MAC, "by the gateway's MAC"),
      say("10.1.1.66", "10.1.1.2"),
    );
    await settle(one, "10.1.1.3");

    const arps = ear
      .heard()
      .filter((frame) => frame.includes(BROADCAST_ALL) && frame.readUInt16BE(12) === ETHERTYPE.arp);
    expect(arps.map((frame) => [...frame.subarray(28, 32)].join("."))).toEqual(["10.1.1.66"]);
    expect(ear.count(Buffer.from("by the gateway's MAC"))).toBe(0);
    expect(await canPing(two.ns, "10.1.1.1")).toBe(true);
  });
});

describe("VLANs in a tunnel", () => {
  it("go as an endpoint of the network has them, and no others", async () => {
    const vlans = { vlan: 10, trunk: [20] };
    await using stand = await OvsTunnelStand.up({ vlans });
    const more = { ...UNGUARDED, mode: "l2", isHostOnSwitch: false } as const;
    await stand.make(more);
    const stations = [];
    for (const [n, vlan] of [10, 20, 30].entries()) {
      stations.push([
        await stand.attach(1, 2 * n + 1, more, { vlans: { vlan } }),
        await stand.attach(2, 2 * n + 2, more, { vlans: { vlan } }),
      ] as const);
    }
    const [ten, twenty, thirty] = stations;
    if (ten === undefined || twenty === undefined || thirty === undefined) throw new Error("three VLANs");
    await requirePing(ten[0], "10.1.1.3");
    await requirePing(twenty[0], "10.1.1.5");
    using wire = stand.listen(1);
    const ears = stations.map(([, far]) => FrameSocket.open(far.ns, "eth0"));

    for (const [n, [near]] of stations.entries()) {
      using sender = FrameSocket.open(near.ns, "eth0");
      sender.send(probe(near.endpoint.mac, BROADCAST_MAC, `of ${n}`));
    }
    await settle(ten[0], "10.1.1.3");
    await settle(twenty[0], "10.1.1.5");
    const texts = ["of 0.", "of 1.", "of 2."];
    const before = texts.map((text) => {
      const frame = wire.heard().find((each) => each.includes(text));
      const at = frame?.indexOf(text) ?? 0;
      return frame?.subarray(at - 6, at).toString("hex"); // the tag, or the end of the sender's MAC address, and the type
    });
    const heard = ears.map((ear) => texts.map((text) => ear.count(Buffer.from(text))));
    for (const ear of ears) ear[Symbol.dispose]();

    const macEnd = ten[0].endpoint.mac.slice(6).replaceAll(":", "");
    expect(before).toEqual([`${macEnd}88b5`, "8100001488b5", undefined]);
    expect(heard).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 0],
    ]);
    expect(await canPing(ten[0].ns, "10.1.1.5")).toBe(false);
  });
});

describe("an endpoint that is announced", () => {
  it.each([true, false])("is reached at once where it is now (guarded: %s)", async (isGuarded) => {
    await using stand = await OvsTunnelStand.up({ hosts: 3 });
    const more = { isGuarded };
    await stand.make(more);
    const [one, before] = [await stand.attach(1, 1, more), await stand.attach(2, 2, more)];
    await requirePing(one, "10.1.1.3");
    await requirePing(one, "fd00:1:1::3");

    await stand.host(2).datapath.detach(before.endpoint);
    const moved = await stand.attach(3, 2, more);
    using ear = FrameSocket.open(one.ns, "eth0");
    await stand.host(3).datapath.announce(stand.network(3, more), moved.endpoint);

    await waitUntil("the announcements to come", () => ear.count(macBytes(moved.endpoint.mac)) >= 2);
    expect(await canPing(one.ns, "10.1.1.3")).toBe(true);
    await stand.host(3).datapath.detach(moved.endpoint);
    const near = await stand.attach(1, 2, more);
    await stand.host(1).datapath.announce(stand.network(1, more), near.endpoint);
    expect(await canPing(one.ns, "10.1.1.3")).toBe(true);
  });
});

describe("a tunnel that was disturbed", () => {
  it("is as it was after its port was deleted, changed or doubled by hand", async () => {
    await using stand = await OvsTunnelStand.up();
    await stand.make();
    const [one] = [await stand.attach(1, 1), await stand.attach(2, 2)];
    await requirePing(one, "10.1.1.3");
    const { ovs, datapath } = stand.host(1);
    const name = await tunnelPort(stand, 1);
    const again = () => datapath.ensureNetwork(stand.network(1), []);
    const state = async () => [
      await ovs.vsctl("--bare", "--columns=type,options", "list", "interface", name),
      await ovs.vsctl("--bare", "--columns=protected,tag,vlan_mode", "list", "port", name),
      await ovs.vsctl("get", "port", stand.network(1).hostLink, "protected"),
    ];
    const made = await state();

    await ovs.vsctl("del-port", name);
    await again();
    expect(await state()).toEqual(made);
    await requirePing(one, "10.1.1.3");
    await ovs.vsctl("set", "interface", name, "options:key=99", "--", "set", "port", name, "protected=false", "tag=7");
    await ovs.vsctl("set", "port", stand.network(1).hostLink, "protected=false");
    await again();
    expect(await state()).toEqual(made);
    await ovs.vsctl(
      "add-port",
      "net1",
      "stray",
      "--",
      "set",
      "interface",
      "stray",
      "type=vxlan",
      "options:remote_ip=192.0.2.99",
      "options:key=5",
      "external_ids:tsnet-network=gone",
      "--",
      "set",
      "port",
      "stray",
      "external_ids:tsnet-network=gone",
    );
    await again();
    expect(await ovs.vsctl("list-ports", "net1")).not.toContain("stray");
    await requirePing(one, "10.1.1.3");
    expect(made).toEqual([
      "vxlan\ndst_port=4789 key=77 local_ip=192.0.2.1 remote_ip=192.0.2.2",
      "true\n0\naccess",
      "true",
    ]);
  });

  it("carries frames again after ovs-vswitchd was started anew, and still keeps the gateway to its host", async () => {
    await using stand = await OvsTunnelStand.up();
    await stand.make();
    const [one] = [await stand.attach(1, 1), await stand.attach(2, 2)];
    await requirePing(one, "10.1.1.3");
    const host = stand.host(1);

    await end(host.vswitchd, "SIGTERM");
    await host.ovs.startVswitchd();
    for (const made of [lanNetwork(), stand.network(1)]) {
      await waitUntil("ovs-vswitchd to have its bridges", () => host.datapath.ensureNetwork(made, []).then(() => true));
    }
    await host.datapath.reattach(stand.network(1), one.endpoint);

    await requirePing(one, "10.1.1.3");
    await requirePing(one, "10.1.1.1");
    using flows = await OpenFlow.open(managementOf(host.ovs, "net1"));
    const before = await flows.countFlows(ALL_OURS);
    await host.datapath.ensureNetwork(stand.network(1), []);
    expect(await flows.countFlows(ALL_OURS)).toBe(before);
  });

  it("ends with the last network that has it", async () => {
    await using stand = await OvsTunnelStand.up();
    await stand.make();
    const { ovs, datapath } = stand.host(1);
    const first = stand.network(1);
    const second = { ...first, id: networkId(2), pools: network(2).pools };
    await datapath.ensureNetwork(second, [first]);
    const name = await tunnelPort(stand, 1);

    await datapath.removeNetwork(first, [second]);
    expect(await tunnelPort(stand, 1)).toBe(name);
    const third = network(3, { backend: "ovs", switchName: ifName("net1"), vlans: { vlan: 30 }, mtu: first.mtu });
    await datapath.ensureNetwork(third, [second]);
    await datapath.removeNetwork(second, [third]);
    expect(await ovs.vsctl("find", "interface", "type=vxlan")).toBe("");
    expect((await ovs.vsctl("list-ports", "net1")).split("\n")).toEqual([third.hostLink]);
  });
});

describe("a tunnel that cannot be", () => {
  it("is refused with the ways out where the local address is on no switch of Open vSwitch", async () => {
    await using stand = await OvsTunnelStand.up({ hosts: 1 });
    const { namespace, datapath } = stand.host(1);
    await shell(namespace, [
      "ip link add nic1 type veth peer name far; ip address add 198.51.100.1/24 dev nic1; ip link set nic1 up; ip link set far up",
    ]);
    const tunnel = { kind: "vxlan", vni: 5, port: 4789, local: "198.51.100.1", peers: ["198.51.100.2"] } as const;
    const more = { backend: "ovs", switchName: ifName("net1"), tunnel } as const;

    await expect(datapath.check(network(1, more), [])).rejects.toThrow(
      "Open vSwitch in userspace sends packets of tunnels by its own bridges only, and 198.51.100.1 is on nic1; " +
        "permitted: a network with backend=ovs, parent=nic1 and parent-address=move before this one, " +
        "or datapath=kernel where the kernel has Open vSwitch, or backend=bridge",
    );
    await expect(datapath.check(stand.network(1), [])).resolves.toBeUndefined();
  });

  it("is refused over IPv6 on a link that has IPv4 as well, but for the bridge's own", async () => {
    await using stand = await OvsTunnelStand.up({ hosts: 1 });
    const tunnel = { kind: "vxlan", vni: 5, port: 4789, local: "2001:db8::1", peers: ["2001:db8::2"] } as const;
    const more = { backend: "ovs", switchName: ifName("net1"), tunnel } as const;

    await expect(stand.host(1).datapath.check(network(1, more), [])).rejects.toThrow(
      /finds no peers by IPv6 on tsg\w+, which has addresses of IPv4 as well; permitted: peers and local of IPv4/,
    );
  });

  it("is refused in Open vSwitch's words where another port is the same tunnel", async () => {
    await using stand = await OvsTunnelStand.up();
    const { ovs, datapath } = stand.host(1);
    await ovs.vsctl("add-br", "his", "--", "set", "bridge", "his", "datapath_type=netdev");
    const options = [
      "options:remote_ip=192.0.2.2",
      "options:local_ip=192.0.2.1",
      "options:key=77",
      "options:dst_port=4789",
    ];
    await ovs.vsctl("add-port", "his", "same", "--", "set", "interface", "same", "type=vxlan", ...options);

    await expect(datapath.ensureNetwork(stand.network(1), [])).rejects.toThrow(
      /make tunnel vxlan of bridge net1: Open vSwitch cannot use tsx\w{12}: .*; permitted: another tunnel/,
    );
    await datapath.removeNetwork(stand.network(1), []);
    expect(await ovs.vsctl("list-br")).not.toContain("net1");
  });
});

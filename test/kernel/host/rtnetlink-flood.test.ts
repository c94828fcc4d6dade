// To whom a VXLAN link floods, as bridge(8) shows and tells it.
import { describe, expect, it } from "vitest";
import { formatAddress, parseAddress } from "../../../src/cidr.ts";
import { isErrno } from "../../../src/host/netlink.ts";
import { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { FrameSocket } from "../../support/frame-capture.ts";
import { BROADCAST_MAC, ethernet } from "../../support/frames.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";

const NO_MAC = "00:00:00:00:00:00";
const CONTAINER = "02:42:0a:01:01:02";
const peers = (...texts: string[]) => texts.map(parseAddress);

interface Entry {
  readonly mac: string;
  readonly dst?: string;
  readonly state: string;
  readonly port?: number;
}

async function addVxlan(rtnetlink: Rtnetlink, local = "192.0.2.1", name = "vx0"): Promise<number> {
  const tunnel = { kind: "vxlan", vni: 7, local: parseAddress(local), port: 4789 } as const;
  return rtnetlink.addTunnel({ name, mtu: 1430, group: 71, isUp: true, tunnel });
}

async function entries(ns: NetNamespace, mac: string): Promise<Entry[]> {
  const all = await ns.json<Entry[]>(["bridge", "-json", "fdb", "show", "dev", "vx0"]);
  return all.filter((entry) => entry.mac === mac && entry.dst !== undefined);
}

const flooded = async (ns: NetNamespace) => (await entries(ns, NO_MAC)).map(({ dst = "" }) => dst).sort();

describe("setFloodPeers", () => {
  it.each([
    ["IPv4", "192.0.2.1", ["192.0.2.2", "192.0.2.3", "192.0.2.4"]],
    ["IPv6", "2001:db8::1", ["2001:db8::2", "2001:db8::3", "2001:db8::4"]],
  ])("makes the link flood to exactly the hosts wanted, over %s", async (_family, local, [b = "", c = "", d = ""]) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addVxlan(rtnetlink, local);
    expect(await rtnetlink.listFloodPeers(index)).toEqual([]);

    for (const wanted of [[b], [b, c, d], [d], [c, b], [c, b, c], []]) {
      await rtnetlink.setFloodPeers(index, peers(...wanted));
      const expected = [...new Set(wanted)].sort();
      expect(await flooded(ns)).toEqual(expected);
      expect((await entries(ns, NO_MAC)).map(({ state }) => state)).toEqual(expected.map(() => "permanent"));
      expect((await rtnetlink.listFloodPeers(index)).map(formatAddress).sort()).toEqual(expected);
    }
  });

  it("does the same for a link that is port of a bridge, whose own entries stay", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addVxlan(rtnetlink);
    const masterIndex = await rtnetlink.addBridge({ name: "br0", mac: "02:00:00:00:00:0b", mtu: 1430, group: 71 });
    await rtnetlink.setLink(index, { masterIndex });
    await rtnetlink.ensureFdbEntry(index, CONTAINER);
    await rtnetlink.setFloodPeers(index, peers("192.0.2.2"));

    await rtnetlink.setFloodPeers(index, peers("192.0.2.3"));

    expect(await flooded(ns)).toEqual(["192.0.2.3"]);
    expect(await rtnetlink.listFdbEntries(index)).toEqual([CONTAINER]);
  });

  it("adds what is missing before it removes, and touches nothing that stays", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addVxlan(rtnetlink);
    await rtnetlink.setFloodPeers(index, peers("192.0.2.2", "192.0.2.3"));
    const monitor = ns.spawn(["stdbuf", "-oL", "bridge", "monitor", "fdb"]);
    let told = "";
    monitor.stdout?.on("data", (text: Buffer) => (told += text.toString()));
    const news = () => told.split("\n").filter((line) => line.includes(NO_MAC));
    await waitUntil("the monitor", async () => {
      await shell(ns, [`bridge fdb add ${CONTAINER} dst 192.0.2.9 dev vx0`, `bridge fdb del ${CONTAINER} dev vx0`]);
      return told !== "";
    });

    await rtnetlink.setFloodPeers(index, peers("192.0.2.3", "192.0.2.4", "192.0.2.5"));
    await rtnetlink.setFloodPeers(index, peers("192.0.2.3", "192.0.2.4", "192.0.2.5"));
    await rtnetlink.setFloodPeers(index, peers("192.0.2.6"));

    await waitUntil("the last of the news", () => told.includes("Deleted") && news().length >= 7);
    const steps = news().map(
      (line) => `${line.startsWith("Deleted") ? "-" : "+"}${/dst 192\.0\.2\.(\d)/.exec(line)?.[1]}`,
    );
    expect(steps).toEqual(["+4", "+5", "-2", "+6", "-3", "-4", "-5"]);
  });

  it("makes permanent what would age, and takes out what goes to another port", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addVxlan(rtnetlink);
    const shown = async () => (await entries(ns, NO_MAC)).map(({ dst, state, port }) => [dst, state, port]);
    await shell(ns, [`bridge fdb append ${NO_MAC} dst 192.0.2.2 dev vx0 dynamic`]);
    expect(await shown()).not.toEqual([["192.0.2.2", "permanent", undefined]]);

    await rtnetlink.setFloodPeers(index, peers("192.0.2.2"));

    expect(await shown()).toEqual([["192.0.2.2", "permanent", undefined]]);

    await shell(ns, [`bridge fdb append ${NO_MAC} dst 192.0.2.3 port 8472 dev vx0`]);
    await rtnetlink.setFloodPeers(index, peers("192.0.2.3"));

    expect(await shown()).toEqual([["192.0.2.3", "permanent", undefined]]);
  });

  it("refuses a host of the other family and a link that is not there, by name", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addVxlan(rtnetlink);

    const family = await rtnetlink.setFloodPeers(index, peers("2001:db8::2")).catch((failure: unknown) => failure);
    const absent = await rtnetlink.setFloodPeers(4711, peers("192.0.2.2")).catch((failure: unknown) => failure);

    expect(String(family)).toContain("add 2001:db8::2 to the hosts of link vx0: ");
    expect(isErrno(family, "EAFNOSUPPORT")).toBe(true);
    expect(isErrno(absent, "ENODEV")).toBe(true);
    expect(await flooded(ns)).toEqual([]);
  });

  it("sends a broadcast once to each of three hosts, and forgets with a host what was learned behind it", async () => {
    await using stack = new AsyncDisposableStack();
    const hub = stack.use(await NetNamespace.create("hub"));
    await shell(hub, ["ip link add br0 type bridge mcast_snooping 0", "ip link set br0 up"]);
    const hosts = [];
    for (const n of [1, 2, 3]) {
      const ns = stack.use(await NetNamespace.create(`h${n}`));
      await shell(hub, [`ip link add p${n} up master br0 type veth peer name eth0 netns ${ns.name}`]);
      await shell(ns, [`ip address add 192.0.2.${n}/24 dev eth0`, "ip link set eth0 up"]);
      const rtnetlink = stack.use(ns.enter(() => Rtnetlink.open()));
      const index = await addVxlan(rtnetlink, `192.0.2.${n}`);
      await rtnetlink.setFloodPeers(index, peers(...[1, 2, 3].filter((m) => m !== n).map((m) => `192.0.2.${m}`)));
      hosts.push({ ns, rtnetlink, index, socket: stack.use(FrameSocket.open(ns, "vx0")) });
    }
    const [first, second, third] = hosts;
    if (first === undefined || second === undefined || third === undefined) throw new Error("three hosts");
    const broadcast = (from: string, mark: number) =>
      ethernet({ to: BROADCAST_MAC, from, type: 0x88b5, payload: Buffer.alloc(60, mark) });
    const [asks, moves] = [broadcast(CONTAINER, 0xa1), broadcast(CONTAINER, 0xb2)];

    await waitUntil("the underlay", async () => {
      second.socket.send(asks);
      return first.socket.count(asks) > 0 && third.socket.count(asks) > 0;
    });
    second.socket.send(broadcast("02:42:0a:01:01:09", 0xc3), moves);
    await first.socket.waitFor("the broadcast", moves);
    await third.socket.waitFor("the broadcast", moves);
    expect([first.socket.count(moves), second.socket.count(moves), third.socket.count(moves)]).toEqual([1, 0, 1]);
    expect(await entries(first.ns, CONTAINER)).toMatchObject([{ dst: "192.0.2.2" }]);

    third.socket.send(broadcast(CONTAINER, 0xd4)); // it moved
    await first.socket.waitFor("the broadcast", broadcast(CONTAINER, 0xd4));
    expect(await entries(first.ns, CONTAINER)).toMatchObject([{ dst: "192.0.2.3" }]);
    expect(await entries(first.ns, "02:42:0a:01:01:09")).toMatchObject([{ dst: "192.0.2.2" }]);

    await first.rtnetlink.setFloodPeers(first.index, peers("192.0.2.3"));
    expect(await entries(first.ns, "02:42:0a:01:01:09")).toEqual([]);
    expect(await entries(first.ns, CONTAINER)).toMatchObject([{ dst: "192.0.2.3" }]);
  });
});

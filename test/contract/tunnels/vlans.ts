// VLANs in tunnels: a tunnel carries what an endpoint of the network has.
import { expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import { networkId } from "../../support/cnm-builder.ts";
import { FrameSocket } from "../../support/frame-capture.ts";
import { ETHERTYPE, addressBytes, macBytes } from "../../support/frames.ts";
import { canPing } from "../../support/packet-lab.ts";
import { GATEWAY, type TunnelContainer, UNDERLAY_MTU, reaches } from "../../support/tunnel-stand.ts";
import type { TunnelSuite } from "../tunnels.ts";
import { outerPackets } from "../../support/outer-packets.ts";
import { AT_ONCE } from "./announcements.ts";
import { ANSWER_LIMIT_S, pingOnce } from "./carriage.ts";
import { datagram } from "./three.ts";

/** VLAN 10 goes untagged, VLAN 20 tagged, VLAN 30 not at all. */
const TRUNK = { vlans: { vlan: 10, trunk: [20] }, mode: "l2", isHostOnSwitch: false, isGuarded: false } as const;

/** The tags of the frame that a container sent to all, as it is inside a packet. */
function tagsOf(frame: Buffer | undefined, sender: TunnelContainer): readonly number[] | undefined {
  if (frame === undefined) return undefined;
  const tags: number[] = [];
  let at = frame.indexOf(Buffer.concat([Buffer.alloc(6, 0xff), macBytes(sender.endpoint.mac)])) + 12;
  for (; frame.readUInt16BE(at) === ETHERTYPE.customerTag; at += 4) tags.push(frame.readUInt16BE(at + 2) & 0xfff);
  return tags;
}

export function describeVlansInside(suite: TunnelSuite): void {
  const { kind } = suite;
  const trunk = (n: number) => suite.stand.network(n, kind, TRUNK);

  /** The n-th container, on that host, in one VLAN. */
  const inVlan = (host: number, id: number, vlan: number) =>
    suite.stand.attach(host, trunk(host), id, { vlans: { vlan } });

  it("go as an endpoint of the network has them: its own untagged, the trunk's tagged, and no others", async () => {
    const { stand } = suite;
    await stand.make(kind, TRUNK);
    const senders = [await inVlan(1, 1, 10), await inVlan(1, 2, 20), await inVlan(1, 3, 30)] as const;
    const hearers = [await inVlan(2, 4, 10), await inVlan(2, 5, 20), await inVlan(2, 6, 30)] as const;
    const onTrunk = await stand.attach(3, trunk(3), 7);
    await reaches(senders[0], hearers[0].address[4]);
    await reaches(senders[1], hearers[1].address[4]);
    await reaches(senders[0], onTrunk.address[4]);
    using wire = stand.listen();
    using stack = new DisposableStack();
    const ears = [...hearers, onTrunk].map(({ ns }) => stack.use(FrameSocket.open(ns, "eth0")));

    const texts = senders.map((_, n) => `of sender ${n};`);
    for (const [n, sender] of senders.entries()) {
      using own = FrameSocket.open(sender.ns, "eth0");
      own.send(datagram(sender, `of sender ${n};`));
    }
    const expected = { 0: [0], 1: [1], 3: [0, 1] };
    for (const [at, of] of Object.entries(expected))
      for (const n of of) await ears[Number(at)]?.waitFor(`sender ${n}`, Buffer.from(`of sender ${n};`));
    await reaches(senders[0], hearers[0].address[4]);
    await reaches(senders[1], hearers[1].address[4]);
    await reaches(senders[0], onTrunk.address[4]);

    const heard = ears.map((ear) => texts.map((text) => ear.count(Buffer.from(text))));
    expect(heard).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 0],
      [1, 1, 0],
    ]);
    const onWire = texts.map((text) => wire.heard().find((frame) => frame.includes(text)));
    expect(senders.map((sender, n) => tagsOf(onWire[n], sender))).toEqual([[], [20], undefined]);
    expect(await canPing(senders[0].ns, hearers[1].address[4])).toBe(false);
  });

  it("leave room for the tag: the largest packet of a tagged VLAN fills the underlay's exactly", async () => {
    const { stand } = suite;
    await stand.make(kind, TRUNK);
    const [one, two] = [await inVlan(1, 1, 20), await inVlan(2, 2, 20)];
    await reaches(one, two.address[4]);
    using wire = stand.listen();

    expect(await pingOnce(one, two.address[4], trunk(1).mtu, ANSWER_LIMIT_S)).toBe(true);

    const packets = outerPackets(wire.heard());
    expect(Math.max(...packets.map(({ size }) => size))).toBe(UNDERLAY_MTU);
    expect(packets.filter(({ isFragment }) => isFragment)).toEqual([]);
  });

  it("have a container that moves reached at once, with a tag or without", async () => {
    const { stand } = suite;
    await stand.make(kind, TRUNK);
    for (const [id, vlan] of [
      [1, 10],
      [3, 20],
    ] as const) {
      const one = await inVlan(1, id, vlan);
      const before = await inVlan(2, id + 1, vlan);
      await reaches(one, before.address[4]);
      await stand.detach(2, trunk(2), before);

      const after = await stand.attach(3, trunk(3), id + 1, { vlans: { vlan } }, { isSilent: true });
      expect([vlan, await reaches(one, after.address[4], AT_ONCE)]).toEqual([vlan, true]);
    }
  });

  it("are apart when two networks of a switch have a tunnel each, and the gateway of one is on every host", async () => {
    const { stand } = suite;
    const first = (n: number) => stand.network(n, kind, { vlans: { vlan: 10 } });
    const more: Partial<Network> = { id: networkId(2), vlans: { vlan: 20 }, mode: "l2", isHostOnSwitch: false };
    const second = (n: number) => stand.network(n, { ...kind, vni: (kind.vni ?? 0) + 100 }, more);
    using wire = stand.listen();
    for (const n of [1, 2]) for (const network of [first(n), second(n)]) await stand.makeOn(n, network);
    const [one, two] = [await stand.attach(1, first(1), 1), await stand.attach(2, first(2), 2)];
    const [three, four] = [await stand.attach(1, second(1), 3), await stand.attach(2, second(2), 4)];

    for (const to of [two.address[4], two.address[6], ...Object.values(GATEWAY)]) await reaches(one, to);
    for (const address of Object.values(GATEWAY)) await reaches(two, address);
    for (const to of Object.values(four.address)) await reaches(three, to);
    using ear = FrameSocket.open(four.ns, "eth0");
    using own = FrameSocket.open(one.ns, "eth0");
    own.send(datagram(one, "in the first;"));
    await wire.waitFor("it on the wire", Buffer.from("in the first;"));
    await reaches(three, four.address[4]);

    expect(ear.count(Buffer.from("in the first;"))).toBe(0);
    expect(await canPing(one.ns, four.address[4])).toBe(false);
    for (const address of Object.values(GATEWAY)) expect(wire.count(addressBytes(address))).toBe(0);
  });
}

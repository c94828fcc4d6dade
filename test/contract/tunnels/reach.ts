// Who reaches whom by a tunnel, and how often a frame arrives.
import { describe, expect, it } from "vitest";
import { FrameSocket } from "../../support/frame-capture.ts";
import { BROADCAST_MAC, ETHERTYPE, addressBytes, arp, ethernet, ipv4, udpPacket } from "../../support/frames.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { type TunnelContainer, type TunnelStand, UNDERLAY_MTU, reaches } from "../../support/tunnel-stand.ts";
import { waitUntil } from "../../support/wait-until.ts";
import type { TunnelSuite } from "../tunnels.ts";

const GATEWAY = { 4: "10.1.1.1", 6: "fd00:1:1::1" } as const;
const FRAMES = 20;

/** A datagram from a container to all of its network, or to one MAC address. */
function datagram({ endpoint, address }: TunnelContainer, to: string, text: string): Buffer {
  const packet = udpPacket({ from: address[4], to: "10.1.1.255", fromPort: 7, toPort: 7, data: Buffer.from(text) });
  return ethernet({ to, from: endpoint.mac, type: ETHERTYPE.ipv4, payload: ipv4(packet) });
}

/** The size of each IP packet of the underlay, and whether it is part of one that was broken up. */
export function outerPackets(frames: readonly Buffer[]): { readonly size: number; readonly isFragment: boolean }[] {
  return frames.flatMap((frame) => {
    const [type, ip] = [frame.readUInt16BE(12), frame.subarray(14)];
    if (type === ETHERTYPE.ipv4) return [{ size: ip.readUInt16BE(2), isFragment: (ip.readUInt16BE(6) & 0x3fff) !== 0 }];
    if (type === ETHERTYPE.ipv6) return [{ size: 40 + ip.readUInt16BE(4), isFragment: ip.readUInt8(6) === 44 }];
    return [];
  });
}

async function pingOnce(from: TunnelContainer, to: string, bytes: number): Promise<boolean> {
  const isIpv6 = to.includes(":");
  const size = String(bytes - (isIpv6 ? 40 : 20) - 8);
  const argv = ["busybox", isIpv6 ? "ping6" : "ping", "-c", "1", "-W", "2", "-s", size, to];
  return from.ns.exec(argv).then(
    () => true,
    () => false,
  );
}

type Three = readonly [TunnelContainer, TunnelContainer, TunnelContainer];

/** One on each host. */
async function threeContainers(stand: TunnelStand, { kind }: TunnelSuite): Promise<Three> {
  const on = (n: number) => stand.attach(n, stand.network(n, kind));
  return [await on(1), await on(2), await on(3)];
}

export function describeReach(suite: TunnelSuite): void {
  describe("containers on three hosts", () => {
    it("reach one another over IPv4 and IPv6, and each its own host's gateway, of which nothing is on the wire", async () => {
      const { stand } = suite;
      await stand.make(suite.kind);
      using wire = stand.listen();
      const containers = await threeContainers(stand, suite);

      for (const from of containers) {
        for (const to of containers) {
          if (from === to) continue;
          expect(await reaches(from, to.address[4])).toBe(true);
          expect(await reaches(from, to.address[6])).toBe(true);
        }
        expect(await reaches(from, GATEWAY[4])).toBe(true);
        expect(await reaches(from, GATEWAY[6])).toBe(true);
      }
      for (const [at, { ns }] of containers.entries()) {
        const neighbours = await ns.json<readonly { dst: string; lladdr?: string }[]>(["ip", "-json", "neigh"]);
        const gateways = neighbours.filter(({ dst }) => dst === GATEWAY[4] || dst === GATEWAY[6]);
        expect(gateways.map(({ lladdr }) => lladdr)).toEqual(Array(2).fill(`02:00:00:00:fe:0${at + 1}`));
      }
      expect(wire.count(addressBytes(GATEWAY[4]))).toBe(0);
      expect(wire.count(addressBytes(GATEWAY[6]))).toBe(0);
    });

    it("hear a broadcast and a multicast of one of them exactly once, and its sender does not hear it", async () => {
      const { stand } = suite;
      await stand.make(suite.kind);
      const [sender, second, third] = await threeContainers(stand, suite);
      await reaches(sender, second.address[4]);
      await reaches(sender, third.address[4]);
      using own = FrameSocket.open(sender.ns, "eth0");
      using ears = new DisposableStack();
      const others = [second, third].map(({ ns }) => ears.use(FrameSocket.open(ns, "eth0")));

      for (let n = 0; n < FRAMES; n++) own.send(datagram(sender, BROADCAST_MAC, `to all ${n};`));
      for (let n = 0; n < FRAMES; n++) own.send(datagram(sender, "01:00:5e:01:02:03", `to some ${n};`));
      const last = Buffer.from(`to some ${FRAMES - 1};`);
      for (const other of others) await other.waitFor("the last frame", last);
      await reaches(second, third.address[4]); // what comes late has come

      for (const other of others) {
        for (let n = 0; n < FRAMES; n++) {
          expect(other.count(Buffer.from(`to all ${n};`))).toBe(1);
          expect(other.count(Buffer.from(`to some ${n};`))).toBe(1);
        }
      }
      expect(own.count(Buffer.from("to "))).toBe(0);
    });

    it("keep what is for one of them from the others once it was heard of", async () => {
      const { stand } = suite;
      await stand.make(suite.kind);
      const [sender, second, third] = await threeContainers(stand, suite);
      await reaches(sender, second.address[4]);
      await reaches(sender, third.address[4]);
      using own = FrameSocket.open(sender.ns, "eth0");
      using wire = stand.listen();

      for (let n = 0; n < FRAMES; n++) own.send(datagram(sender, second.endpoint.mac, `to one ${n};`));
      await wire.waitFor("the last frame", Buffer.from(`to one ${FRAMES - 1};`));
      await reaches(sender, second.address[4]);

      for (let n = 0; n < FRAMES; n++) expect(wire.count(Buffer.from(`to one ${n};`))).toBe(1);
    });

    it("go on when one host is away, and it is back when it comes back", async () => {
      const { stand } = suite;
      await stand.make(suite.kind);
      const [first, second, third] = await threeContainers(stand, suite);
      await reaches(first, third.address[4]);
      await shell(stand.wire, ["ip link set host3 nomaster"]);

      expect(await reaches(first, second.address[4])).toBe(true);
      expect(await canPing(first.ns, third.address[4])).toBe(false);
      await shell(stand.wire, ["ip link set host3 master lan0"]);
      expect(await reaches(first, third.address[4])).toBe(true);
    });
  });

  describe("a host", () => {
    it("is not reached through the tunnel, nor reaches through it, nor is believed to be the gateway of another", async () => {
      const { stand } = suite;
      const open = { isGuarded: false }; // else its own host keeps a container from saying what it is not
      await stand.make(suite.kind, open);
      const one = await stand.attach(1, stand.network(1, suite.kind, open));
      const two = await stand.attach(2, stand.network(2, suite.kind, open));
      await reaches(one, two.address[4]);
      await reaches(one, GATEWAY[4]);
      using wire = stand.listen();
      using own = FrameSocket.open(two.ns, "eth0");

      expect(await canPing(stand.host(1).ns, two.address[4])).toBe(false);
      expect(await canPing(stand.host(1).ns, two.address[6])).toBe(false);
      own.send(datagram(two, stand.network(1, suite.kind).switchMac, "to the other host;"));
      await reaches(one, two.address[4]);
      const claim = arp({
        operation: "request",
        senderMac: two.endpoint.mac,
        sender: GATEWAY[4],
        target: GATEWAY[4],
      });
      own.send(ethernet({ to: BROADCAST_MAC, from: two.endpoint.mac, type: ETHERTYPE.arp, payload: claim }));
      await reaches(two, one.address[4]);

      const heard = wire.heard().filter((frame) => frame.includes(addressBytes(GATEWAY[4])));
      expect(heard).toEqual([]);
      const [entry] = await one.ns.json<readonly { lladdr?: string }[]>(["ip", "-json", "neigh", "show", GATEWAY[4]]);
      expect(entry?.lladdr).toBe(stand.network(1, suite.kind).switchMac);
    });
  });

  describe("a container that moves to another host with its MAC and addresses", () => {
    it("is reached there at once, though it says nothing itself", async () => {
      const { stand } = suite;
      await stand.make(suite.kind);
      const [onTwo, onThree] = [stand.network(2, suite.kind), stand.network(3, suite.kind)];
      const one = await stand.attach(1, stand.network(1, suite.kind));
      const before = await stand.attach(2, onTwo);
      expect(await reaches(one, before.address[4])).toBe(true);
      await stand.detach(2, onTwo, before);

      const after = await stand.attach(3, onThree, 2, {}, { isSilent: true });
      expect(await canPing(one.ns, after.address[4])).toBe(true);
    });

    it("is reached under its address with another MAC, too", async () => {
      const { stand } = suite;
      await stand.make(suite.kind);
      const [onOne, onTwo] = [stand.network(1, suite.kind), stand.network(2, suite.kind)];
      const one = await stand.attach(1, onOne);
      const before = await stand.attach(2, onTwo);
      expect(await reaches(one, before.address[4])).toBe(true);
      await stand.detach(2, onTwo, before);

      const after = await stand.attach(2, onTwo, 2, { mac: "02:42:00:00:00:99" }, { isSilent: true });
      expect(await canPing(one.ns, after.address[4])).toBe(true);
    });
  });

  describe("the MTU", () => {
    it("fills the underlay's exactly: one byte more breaks packets up or loses them", async () => {
      const { stand } = suite;
      const measure = async (bytes: number) => {
        const mtu = stand.network(1, suite.kind).mtu + bytes;
        await stand.make(suite.kind, { mtu });
        const [one, two] = [
          await stand.attach(1, stand.network(1, suite.kind, { mtu })),
          await stand.attach(2, stand.network(2, suite.kind, { mtu })),
        ];
        const family = bytes === 0 ? [4, 6] : [4];
        await reaches(one, two.address[4]);
        const found = [];
        for (const each of family as readonly (4 | 6)[]) {
          await reaches(one, two.address[each]);
          using wire = stand.listen();
          const isAnswered = await pingOnce(one, two.address[each], mtu);
          if (isAnswered)
            await waitUntil("both ways", () => outerPackets(wire.heard()).some(({ size }) => size > 1000));
          const sizes = outerPackets(wire.heard());
          const largest = Math.max(0, ...sizes.map(({ size }) => size));
          found.push({ isAnswered, largest, isBroken: sizes.some(({ isFragment }) => isFragment) });
        }
        for (const [n, container] of [one, two].entries()) {
          await stand.detach(n + 1, stand.network(n + 1, suite.kind, { mtu }), container);
        }
        return found;
      };

      const whole = { isAnswered: true, largest: UNDERLAY_MTU, isBroken: false };
      expect(await measure(0)).toEqual([whole, whole]);
      const [more] = await measure(1);
      expect(more?.isAnswered === false || more?.isBroken).toBe(true);
    });
  });
}

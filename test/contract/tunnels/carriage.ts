// Who hears whom by a tunnel, how often, and how large a packet may be.
import { describe, expect, it } from "vitest";
import { FrameSocket } from "../../support/frame-capture.ts";
import { BROADCAST_MAC, addressBytes } from "../../support/frames.ts";
import { GATEWAY, type TunnelContainer, UNDERLAY_MTU, reaches } from "../../support/tunnel-stand.ts";
import { outerPackets } from "../../support/outer-packets.ts";
import { PATIENCE, waitUntil } from "../../support/wait-until.ts";
import type { TunnelSuite } from "../tunnels.ts";
import { datagram, threeContainers } from "./three.ts";

const GROUP_MAC = "01:00:5e:01:02:03";
const UNKNOWN_MAC = "02:77:77:77:77:77";
const FRAMES = 20;

/** Of a ping that shall be answered and is sent once. */
export const ANSWER_LIMIT_S = 10 * PATIENCE;

/** @param bytes - of the IP packet. @param limitS - for the answer. @returns whether it was answered. */
export async function pingOnce(from: TunnelContainer, to: string, bytes: number, limitS = 2) {
  const isIpv6 = to.includes(":");
  const size = String(bytes - (isIpv6 ? 40 : 20) - 8);
  const argv = ["busybox", isIpv6 ? "ping6" : "ping", "-c", "1", "-W", String(limitS), "-s", size, to];
  return from.ns.exec(argv).then(
    () => true,
    () => false,
  );
}

/** Has each reach every other: a host knows the way to each peer then, and would send by it what it must not. */
async function meet(containers: readonly TunnelContainer[]): Promise<void> {
  const pairs = containers.flatMap((from) => containers.map((to) => [from, to] as const));
  for (const [from, to] of pairs) if (from !== to) await reaches(from, to.address[4]);
}

/** Of what is sent to one MAC address: how often each of the others hears each frame, and its sender. */
async function countHeard(
  [sender, ...others]: readonly [TunnelContainer, ...TunnelContainer[]],
  to: string,
): Promise<{ readonly others: readonly number[]; readonly sender: number }> {
  using own = FrameSocket.open(sender.ns, "eth0");
  using ears = new DisposableStack();
  const sockets = others.map(({ ns }) => ears.use(FrameSocket.open(ns, "eth0")));
  const texts = Array.from({ length: FRAMES }, (_, n) => Buffer.from(`frame ${n} to ${to};`));
  for (const text of texts) own.send(datagram(sender, text.toString(), to));
  for (const ear of sockets) for (const text of texts) await ear.waitFor(text.toString(), text);
  for (const { address } of others) await reaches(sender, address[4]); // what comes late has come
  const counts = sockets.flatMap((ear) => texts.map((text) => ear.count(text)));
  return { others: [...new Set(counts)], sender: own.count(Buffer.from("frame ")) };
}

export function describeCarriage(suite: TunnelSuite): void {
  describe("containers on three hosts", () => {
    it("reach one another over IPv4 and IPv6, and each its own host's gateway, of which nothing is on the wire", async () => {
      const { stand } = suite;
      using wire = stand.listen();
      const containers = await threeContainers(suite);

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

    it("hear a broadcast and a multicast of one of them exactly once, and its sender does not hear it [F110]", async () => {
      const containers = await threeContainers(suite);
      await meet(containers);

      for (const to of [BROADCAST_MAC, GROUP_MAC]) {
        expect([to, await countHeard(containers, to)]).toEqual([to, { others: [1], sender: 0 }]);
      }
    });

    it("hear exactly once what is for a MAC address that nobody has, where they are not guarded", async () => {
      const containers = await threeContainers(suite, { isGuarded: false });
      await meet(containers);

      expect(await countHeard(containers, UNKNOWN_MAC)).toEqual({ others: [1], sender: 0 });
    });

    it.each(["guarded", "not guarded"])("keep what is for one of them from the others, %s", async (how) => {
      const { stand } = suite;
      const [sender, second, third] = await threeContainers(suite, { isGuarded: how === "guarded" });
      await reaches(sender, second.address[4]);
      await reaches(sender, third.address[4]);
      using own = FrameSocket.open(sender.ns, "eth0");
      using wire = stand.listen();
      let probes = 0;
      await waitUntil("frames to go where the switch knows by now", async () => {
        const text = `probe ${++probes};`;
        own.send(datagram(sender, text, second.endpoint.mac));
        await wire.waitFor("the probe", Buffer.from(text));
        await reaches(sender, second.address[4]); // what comes late has come
        return wire.count(Buffer.from(text)) === 1;
      });

      const texts = Array.from({ length: FRAMES }, (_, n) => `to one ${n};`);
      for (const text of texts) own.send(datagram(sender, text, second.endpoint.mac));
      for (const text of texts) await wire.waitFor(text, Buffer.from(text));
      await reaches(sender, second.address[4]);

      for (const text of texts) expect(wire.count(Buffer.from(text))).toBe(1);
    });
  });

  describe("the MTU", () => {
    it("fills the underlay's exactly: one byte more breaks packets up or loses them [F109]", async () => {
      const whole = { isAnswered: true, largest: UNDERLAY_MTU, isBroken: false };
      expect(await measure(suite, 0)).toEqual([whole, whole]);
      const [more] = await measure(suite, 1);
      expect(more?.isAnswered === false || more?.isBroken).toBe(true);
    });

    it("is that of a container's link: it sends no frame that is one byte longer", async () => {
      const { stand, kind } = suite;
      await stand.makeOn(1, stand.network(1, kind));
      const { ns, endpoint } = await stand.attach(1, stand.network(1, kind));
      using eth0 = FrameSocket.open(ns, "eth0");
      const frame = (bytes: number) =>
        Buffer.concat([datagram({ ns, endpoint, address: { 4: "10.1.1.11", 6: "" } }, "")], 14 + bytes);

      eth0.send(frame(stand.network(1, kind).mtu));
      expect(() => eth0.send(frame(stand.network(1, kind).mtu + 1))).toThrow("errno 90"); // EMSGSIZE
    });
  });
}

interface Measured {
  readonly isAnswered: boolean;
  /** IP packet on the wire. */
  readonly largest: number;
  readonly isBroken: boolean;
}

/** Sends the largest packets of a network whose MTU is that many bytes larger than it should be; IPv6 only of the right one. */
async function measure({ stand, kind }: TunnelSuite, bytes: number): Promise<readonly Measured[]> {
  const mtu = stand.network(1, kind).mtu + bytes;
  await stand.make(kind, { mtu });
  const on = (n: number) => stand.network(n, kind, { mtu });
  const [one, two] = [await stand.attach(1, on(1)), await stand.attach(2, on(2))];
  const families = bytes === 0 ? ([4, 6] as const) : ([4] as const);
  const found: Measured[] = [];
  for (const family of families) {
    await reaches(one, two.address[family]);
    using wire = stand.listen();
    const isAnswered = await pingOnce(one, two.address[family], mtu, bytes === 0 ? ANSWER_LIMIT_S : undefined);
    if (isAnswered) await waitUntil("it on the wire", () => outerPackets(wire.heard()).some(({ size }) => size > 1000));
    const sizes = outerPackets(wire.heard());
    const largest = Math.max(0, ...sizes.map(({ size }) => size));
    found.push({ isAnswered, largest, isBroken: sizes.some(({ isFragment }) => isFragment) });
  }
  await stand.detach(1, on(1), one);
  await stand.detach(2, on(2), two);
  return found;
}

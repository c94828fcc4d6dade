// A tunnel joins what was apart: small and large packets, much data, and broadcasts just once.
import { describe, expect, it } from "vitest";
import { transfer } from "../../support/bulk.ts";
import { FrameSocket } from "../../support/frame-capture.ts";
import { BROADCAST_MAC, ETHERTYPE, ethernet, ipv4, udpPacket } from "../../support/frames.ts";
import { CLOSED } from "../../support/system-host.ts";
import { addressOptions, rangeOf } from "../../support/tunnel-hosts.ts";
import { type HostsSuite, containerOf, networkOf } from "./suite.ts";
import { expectExactMtu, reaches } from "./probes.ts";

const MEGABYTES = 100;
const BROADCASTS = 20;
const MTU = 1500 - 50; // of VXLAN over IPv4

export function describeJoining(suite: HostsSuite): void {
  describe("a network with a tunnel", () => {
    it("joins containers that do not reach one another without it, over IPv4 and IPv6", async () => {
      const { stand } = suite;
      {
        const apart = [1, 2].map((n) => stand.host(n).network("net", ...addressOptions(n)));
        const [here, there] = await Promise.all(apart);
        if (here === undefined || there === undefined) throw new Error("two networks");
        await using _here = here;
        await using _there = there;
        await using one = await stand.run(1, "one", here);
        await using two = await stand.run(2, "two", there);
        const addresses = [await two.address(4), await two.address(6)];
        const reach = await Promise.all(addresses.map((address) => stand.host(1).tryReach(one, address)));
        expect(reach).toEqual([CLOSED, CLOSED]);
      }
      suite.networks = await Promise.all([1, 2, 3].map((n) => stand.join(n, "net")));
      suite.containers = await Promise.all(
        ["one", "two", "three"].map((name, at) => stand.run(at + 1, name, networkOf(suite, at + 1), "-p", "8080:80")),
      );

      for (const from of suite.containers) {
        for (const to of suite.containers) if (to !== from) expect(await reaches(stand, from, to)).toBe(true);
      }
    });

    it("gives containers addresses of their own host's range", async () => {
      for (const n of [1, 2, 3]) {
        const container = containerOf(suite, n);
        const range = rangeOf(n);
        const [base = ""] = range[6].split("0/112");

        expect(await container.address(6)).toMatch(new RegExp(`^${base}`));
        const last = Number((await container.address(4)).split(".")[3]);
        expect([last >= 64 * n, last < 64 * (n + 1)]).toEqual([true, true]);
      }
    });

    it("lets the largest packet pass unbroken, and no byte more [F109]", async () => {
      const [from, to] = [1, 2].map((n) => ({ n, container: containerOf(suite, n) }));
      if (from === undefined || to === undefined) throw new Error("two places");
      await expectExactMtu(suite.stand, from, to, MTU);
    });

    it(`carries ${MEGABYTES} MB over TCP without a fault [F112]`, async () => {
      const { stand } = suite;
      const [from, to] = [1, 2].map((n) => ({ host: stand.host(n), container: containerOf(suite, n) }));
      if (from === undefined || to === undefined) throw new Error("two places");

      const { sent, arrived } = await transfer(from, to, await to.container.address(), MEGABYTES);

      expect(sent).toMatch(new RegExp(`^${MEGABYTES}000000 [0-9a-f]{64}$`));
      expect(arrived).toBe(sent);
    });

    it("brings a broadcast exactly once to every other container, and none back to its sender", async () => {
      const { stand } = suite;
      await using sender = await stand.run(1, "sender", networkOf(suite, 1));
      await reaches(stand, sender, containerOf(suite, 3));
      using own = await stand.ear(1, sender);
      using ears = new DisposableStack();
      const others: FrameSocket[] = [];
      for (const n of [1, 2, 3]) others.push(ears.use(await stand.ear(n, containerOf(suite, n))));
      const { mac } = await sender.interface("eth0");
      const from = await sender.address();
      const say = (text: string) => {
        const data = Buffer.from(text);
        const payload = ipv4(udpPacket({ from, to: "10.9.0.255", fromPort: 7, toPort: 7, data }));
        own.send(ethernet({ to: BROADCAST_MAC, from: mac, type: ETHERTYPE.ipv4, payload }));
      };

      const texts = Array.from({ length: BROADCASTS }, (_, n) => `to all ${n};`);
      for (const text of texts) say(text);
      for (const other of others) for (const text of texts) await other.waitFor(text, Buffer.from(text));
      await reaches(stand, containerOf(suite, 2), containerOf(suite, 3)); // what comes late has come

      for (const other of others) {
        const heard = texts.map((text) => other.count(Buffer.from(text)));
        expect(heard).toEqual(Array<number>(BROADCASTS).fill(1));
      }
      expect(own.count(Buffer.from("to all "))).toBe(0);
    });
  });
}

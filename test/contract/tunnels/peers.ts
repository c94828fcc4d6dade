// `tsnet set NETWORK peers=…`: which hosts a tunnel leads to while its containers run. What leaves a host is counted on the wire.
import { describe, expect, it } from "vitest";
import { FrameSocket } from "../../support/frame-capture.ts";
import { type TunnelContainer, hostAddress, reaches } from "../../support/tunnel-stand.ts";
import type { TunnelSuite } from "../tunnels.ts";
import { datagram, threeContainers } from "./three.ts";

/** Sends to all of the network, until one has it. @returns the text that was sent. */
async function sendToAll(from: TunnelContainer, to: TunnelContainer, text: string): Promise<Buffer> {
  using ear = FrameSocket.open(to.ns, "eth0");
  using own = FrameSocket.open(from.ns, "eth0");
  own.send(datagram(from, text));
  await ear.waitFor(text, Buffer.from(text));
  await reaches(from, to.address[4]); // what comes late has come
  return Buffer.from(text);
}

export function describePeers(suite: TunnelSuite): void {
  describe("a tunnel of which one host is given other peers", () => {
    it("sends to a peer and hears from it only while that is on its list, and goes on with the others", async () => {
      const { stand, kind } = suite;
      const [first, second, third] = await threeContainers(suite);
      for (const peer of [second, third]) await reaches(first, peer.address[4]);
      const whole = stand.network(1, kind);
      const made = await stand.host(1).parts();
      if (whole.tunnel === undefined) throw new Error("a network with a tunnel");
      const peers = whole.tunnel.peers.filter((peer) => peer !== hostAddress(3, kind.family));
      const less = { ...whole, tunnel: { ...whole.tunnel, peers } };
      using wire = stand.listen();
      using own = FrameSocket.open(first.ns, "eth0");
      using far = FrameSocket.open(third.ns, "eth0");
      expect(wire.count(await sendToAll(first, second, "to both;"))).toBe(2);

      await stand.change(1, whole, less);
      expect(await reaches(first, second.address[4])).toBe(true);
      expect(wire.count(await sendToAll(first, second, "to one;"))).toBe(1);
      const stray = await sendToAll(third, second, "from a host that is on no list;");
      expect(wire.count(stray)).toBe(2);
      expect([own.count(stray), far.count(Buffer.from("to one;"))]).toEqual([0, 0]);

      await stand.change(1, less, whole);
      expect(await reaches(first, third.address[4])).toBe(true);
      expect(wire.count(await sendToAll(first, second, "to both again;"))).toBe(2);
      expect(await stand.host(1).parts()).toEqual(made);
    });
  });
}

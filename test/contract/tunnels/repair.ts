// How tunnels come, stay and go: repeated calls, parts that somebody took away, hosts that join later, what is left.
import { describe, expect, it } from "vitest";
import { networkId } from "../../support/cnm-builder.ts";
import { FrameSocket } from "../../support/frame-capture.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { hostAddress, reaches } from "../../support/tunnel-stand.ts";
import type { TunnelSuite } from "../tunnels.ts";
import { datagram, threeContainers } from "./three.ts";

/** Of another network. */
const poolOf = (n: number) => [{ subnet: `10.1.${n}.0/24`, gateway: `10.1.${n}.1` }];

export function describeRepair(suite: TunnelSuite): void {
  const { kind } = suite;

  describe("a tunnel", () => {
    it("stays as it is when the network is made again, and nothing of it is left after its end", async () => {
      const { stand } = suite;
      const host = stand.host(1);
      const before = await host.parts();
      const network = stand.network(1, kind);
      await stand.makeOn(1, network);
      const made = await host.parts();

      expect(await stand.makeOn(1, network)).toBe(false);
      expect(await host.parts()).toEqual(made);
      expect(made.length).toBeGreaterThan(before.length);

      await stand.unmakeOn(1, network);
      await stand.unmakeOn(1, network);
      expect(await host.parts()).toEqual(before);
    });

    it("is put back by the next look, whatever somebody did to its parts", async () => {
      const { stand } = suite;
      await stand.make(kind);
      const network = stand.network(1, kind);
      const [one, two] = [await stand.attach(1, network), await stand.attach(2, stand.network(2, kind))];
      expect(await reaches(one, two.address[4])).toBe(true);
      using own = FrameSocket.open(one.ns, "eth0");
      using far = FrameSocket.open(two.ns, "eth0");

      for (const [what, act] of Object.entries(stand.host(1).damageOf(kind.kind))) {
        await act();
        expect([what, await canPing(one.ns, two.address[4])]).toEqual([what, false]);
        await stand.look(1);
        expect([what, await reaches(one, two.address[4])]).toEqual([what, true]);
        own.send(datagram(one, `after ${what};`)); // it is also sent where nothing was heard from meanwhile
        await far.waitFor(`a broadcast after ${what}`, Buffer.from(`after ${what};`));
      }
    });

    it("goes on when one host is away, and has it again when it comes back [F110]", async () => {
      const { stand } = suite;
      const [first, second, third] = await threeContainers(suite);
      await reaches(first, third.address[4]);
      await shell(stand.wire, ["ip link set host3 nomaster"]);

      expect(await reaches(first, second.address[4])).toBe(true);
      expect(await canPing(first.ns, third.address[4])).toBe(false);
      await shell(stand.wire, ["ip link set host3 master lan0"]);
      expect(await reaches(first, third.address[4])).toBe(true);
    });

    it("ends with the last network that has it", async () => {
      const { stand } = suite;
      const host = stand.host(1);
      const first = stand.network(1, kind);
      const { tunnel: _, ...bare } = { ...first, id: networkId(3), pools: poolOf(3) };
      await stand.makeOn(1, bare);
      const without = await host.parts();
      const second = { ...first, id: networkId(2), pools: poolOf(2) };
      for (const each of [first, second]) await stand.makeOn(1, each);
      const made = await host.parts();

      await stand.unmakeOn(1, first);
      expect(await host.parts()).toEqual(made);
      await stand.unmakeOn(1, second);
      expect(await host.parts()).toEqual(without);
      expect(made.length).toBeGreaterThan(without.length);
    });

    it("goes on while tsnet is killed and started again", async () => {
      const { stand } = suite;
      await stand.make(kind);
      const network = stand.network(1, kind);
      const [one, two] = [await stand.attach(1, network), await stand.attach(2, stand.network(2, kind))];
      await reaches(one, two.address[4]);
      const parts = await stand.host(1).parts();

      await stand.kill(1);
      expect(await reaches(one, two.address[4])).toBe(true);
      await stand.start(1);

      expect(await reaches(one, two.address[4])).toBe(true);
      expect(await stand.host(1).parts()).toEqual(parts);
    });

    it("gets another host by making the network anew on each, one after the other", async () => {
      const { stand } = suite;
      const alone = (n: number, peers: readonly number[]) => {
        const network = stand.network(n, kind);
        const addresses = peers.map((peer) => hostAddress(peer, kind.family));
        return network.tunnel === undefined ? network : { ...network, tunnel: { ...network.tunnel, peers: addresses } };
      };
      await stand.makeOn(1, alone(1, [2]));
      await stand.makeOn(2, alone(2, [1]));
      const two = await stand.attach(2, alone(2, [1]));
      await stand.makeOn(3, alone(3, [1, 2]));
      const three = await stand.attach(3, alone(3, [1, 2]));
      expect(await canPing(three.ns, two.address[4])).toBe(false);

      await stand.unmakeOn(1, alone(1, [2]));
      await stand.makeOn(1, alone(1, [2, 3]));
      const one = await stand.attach(1, alone(1, [2, 3]));

      expect(await reaches(one, three.address[4])).toBe(true);
      expect(await reaches(one, two.address[4])).toBe(true);
    });

    it("of a network whose record was lost is removed with its switch", async () => {
      const { stand } = suite;
      const host = stand.host(1);
      const before = await host.parts();
      const network = stand.network(1, kind);
      await stand.makeOn(1, network);

      await host.agent.datapath.removeStraySwitch(network.id, new Set());
      expect(await host.parts()).toEqual(before);
    });

    it("cannot be made where somebody has the same one already, and leaves the other's alone [F71]", async () => {
      const { stand } = suite;
      const host = stand.host(1);
      const network = stand.network(1, kind);
      if (network.tunnel === undefined) throw new Error("a network with a tunnel");
      const other = await host.plantTunnel(network.tunnel);

      await expect(stand.makeOn(1, network)).rejects.toMatchObject({
        code: other.code,
        message: expect.stringMatching(other.message) as string,
      });
      await stand.unmakeOn(1, network);
      expect(await other.isThere()).toBe(true);
    });
  });
}

// How tunnels come, stay and go: repeated calls, parts that somebody took away, hosts that join later, what is left.
import { describe, expect, it } from "vitest";
import { canPing, shell } from "../../support/packet-lab.ts";
import { hostAddress, reaches } from "../../support/tunnel-stand.ts";
import type { NetNamespace } from "../../support/namespace.ts";
import type { TunnelSuite } from "../tunnels.ts";

interface IpLink {
  readonly ifname: string;
  readonly ifindex: number;
}

async function linksOf(host: NetNamespace): Promise<readonly string[]> {
  const links = await host.json<readonly IpLink[]>(["ip", "-json", "link"]);
  return links.map(({ ifname, ifindex }) => `${ifindex} ${ifname}`);
}

export function describeRepair(suite: TunnelSuite): void {
  const { kind } = suite;

  describe("a tunnel", () => {
    it("stays as it is when the network is made again, and nothing of it is left after its end", async () => {
      const { stand } = suite;
      const { ns, agent } = stand.host(1);
      const before = (await linksOf(ns)).map((link) => link.replace(/@.*/, ""));
      const network = stand.network(1, kind);
      await stand.makeOn(1, network);
      const made = await linksOf(ns);

      await agent.datapath.ensureNetwork(network, []);
      expect(await linksOf(ns)).toEqual(made);
      expect(made.length).toBeGreaterThan(before.length);

      await agent.datapath.removeNetwork(network, []);
      await agent.datapath.removeNetwork(network, []);
      expect(await linksOf(ns)).toEqual(before);
    });

    it("is put back by the network's next look, when somebody removed its parts", async () => {
      const { stand } = suite;
      await stand.make(kind);
      const network = stand.network(1, kind);
      const [one, two] = [await stand.attach(1, network), await stand.attach(2, stand.network(2, kind))];
      expect(await reaches(one, two.address[4])).toBe(true);
      await stand.breakTunnel(1);
      expect(await canPing(one.ns, two.address[4])).toBe(false);

      await stand.host(1).agent.datapath.ensureNetwork(network, []);
      expect(await reaches(one, two.address[4])).toBe(true);
    });

    it("goes on while tsnet is killed and started again", async () => {
      const { stand } = suite;
      await stand.make(kind);
      const network = stand.network(1, kind);
      const [one, two] = [await stand.attach(1, network), await stand.attach(2, stand.network(2, kind))];
      await reaches(one, two.address[4]);
      const links = await linksOf(stand.host(1).ns);

      await stand.kill(1);
      expect(await canPing(one.ns, two.address[4])).toBe(true);
      await stand.start(1);
      await stand.host(1).agent.datapath.ensureNetwork(network, []);

      expect(await canPing(one.ns, two.address[4])).toBe(true);
      expect(await linksOf(stand.host(1).ns)).toEqual(links);
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

      await stand.host(1).agent.datapath.removeNetwork(alone(1, [2]), []);
      await stand.makeOn(1, alone(1, [2, 3]));
      const one = await stand.attach(1, alone(1, [2, 3]));

      expect(await reaches(one, three.address[4])).toBe(true);
      expect(await reaches(one, two.address[4])).toBe(true);
    });

    it("of a network whose record was lost is removed with its switch", async () => {
      const { stand } = suite;
      const { ns, agent } = stand.host(1);
      const before = await linksOf(ns);
      const network = stand.network(1, kind);
      await stand.makeOn(1, network);

      await agent.datapath.removeStraySwitch(network.id, new Set());
      expect(await linksOf(ns)).toEqual(before);
    });

    it("cannot be made where somebody has its number already, and leaves the other's alone", async () => {
      const { stand } = suite;
      if (kind.kind !== "vxlan") return;
      const { ns, agent } = stand.host(1);
      const network = stand.network(1, kind);
      const family = kind.family === 6 ? "local 2001:db8::1" : "local 192.0.2.1";
      await shell(ns, [`ip link add other type vxlan id ${kind.vni} ${family} dstport ${kind.port}`]);

      await expect(agent.datapath.ensureNetwork(network, [])).rejects.toMatchObject({
        code: "conflict",
        message: expect.stringContaining("is taken by link other") as string,
      });
      await agent.datapath.removeNetwork(network, []);
      expect((await linksOf(ns)).map((link) => link.split(" ")[1])).toContain("other");
      await shell(ns, ["ip link delete other"]);
    });
  });
}

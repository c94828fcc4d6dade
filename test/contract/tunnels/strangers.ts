// Who speaks in a tunnel: its peers, and nobody else who knows its number.
import { describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import { datagramFrame, uniqueBytes } from "../../support/attacks.ts";
import { FrameSocket } from "../../support/frame-capture.ts";
import { BROADCAST_MAC, ETHERTYPE, addressBytes, ethernet, ipv4 } from "../../support/frames.ts";
import { ipv6 } from "../../support/frames-ipv6.ts";
import { shell } from "../../support/packet-lab.ts";
import { type TunnelHost, linkWith } from "../../support/tunnel-host.ts";
import { tunnelPacket } from "../../support/tunnel-packets.ts";
import { GATEWAY, type TunnelContainer, hostAddress, reaches } from "../../support/tunnel-stand.ts";
import type { TunnelSuite } from "../tunnels.ts";
import { threeContainers } from "./three.ts";

const STRANGER_MAC = "02:99:99:99:99:99";

/** MAC and bare IP addresses of a packet. */
interface Way {
  readonly mac: readonly [from: string, to: string];
  readonly ip: readonly [from: string, to: string];
}

/** A frame of that container for everybody, in a packet of the network's tunnel. */
function spoken({ tunnel }: Network, { mac, ip }: Way, of: TunnelContainer, data: Buffer): Buffer {
  if (tunnel === undefined) throw new Error("a network with a tunnel");
  const inner = datagramFrame({ from: of.endpoint.mac, to: BROADCAST_MAC }, [of.address[4], "10.1.1.255"], { data });
  const packet = tunnelPacket(tunnel, ip, ethernet(inner));
  const is4 = !ip[0].includes(":");
  const payload = is4 ? ipv4(packet) : ipv6(packet);
  return ethernet({ from: mac[0], to: mac[1], type: is4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6, payload });
}

/** A second address of the first host. */
const SECOND = { 4: "192.0.2.101", 6: "2001:db8::101" } as const;

/** Gives it to the link that has the host's first one. For `await using`. */
async function addAddress(host: TunnelHost, address: string): Promise<AsyncDisposable> {
  const { ifname } = await linkWith(host, hostAddress(1));
  const change = async (verb: "add" | "del") => {
    const flag = verb === "add" && address.includes(":") ? "nodad" : "";
    await shell(host.ns, [`ip address ${verb} ${address}/${address.includes(":") ? 64 : 24} dev ${ifname} ${flag}`]);
  };
  await change("add");
  return { [Symbol.asyncDispose]: () => change("del") };
}

export function describeStrangers(suite: TunnelSuite): void {
  const { kind } = suite;
  const { family = 4 } = kind;

  describe("a tunnel", () => {
    it("speaks from the network's own address where its host has several, or is refused", async () => {
      const { stand } = suite;
      const host = stand.host(1);
      const local = SECOND[family];
      const [first, second] = [stand.network(1, kind), stand.network(2, kind)];
      if (first.tunnel === undefined || second.tunnel === undefined) throw new Error("networks with a tunnel");
      await using _ = await addAddress(host, local);
      const own = { ...first, tunnel: { ...first.tunnel, local } };
      if (kind.kind === "geneve" && first.backend === "bridge") {
        const message = expect.stringContaining(`from ${hostAddress(1, family)}, and can be told no other`) as string;
        await expect(stand.makeOn(1, own)).rejects.toMatchObject({ code: "unsupported", message });
        return;
      }
      await stand.makeOn(1, own);
      await stand.makeOn(2, { ...second, tunnel: { ...second.tunnel, peers: [local] } });
      const [one, two] = [await stand.attach(1, first), await stand.attach(2, second)];
      using wire = stand.listen();

      await reaches(one, two.address[4]);

      const carried = wire.heard().filter((frame) => frame.includes(addressBytes(one.address[4])));
      const isFrom = (address: string) => (frame: Buffer) => frame.includes(addressBytes(address));
      expect(carried.filter(isFrom(local)).length).toBeGreaterThan(0);
      expect(carried.filter(isFrom(hostAddress(1, family)))).toEqual([]);
      await stand.clear(); // before the address goes
    });

    it("takes nothing from a stranger on the wire [S20]", async () => {
      const { stand } = suite;
      const [one, two] = await threeContainers(suite);
      await reaches(one, two.address[4]);
      const network = stand.network(1, kind);
      const { address: mac1 } = await linkWith(stand.host(1), hostAddress(1, family));
      const mac = [STRANGER_MAC, mac1] as const;
      using wire = stand.listen();
      using ear = FrameSocket.open(one.ns, "eth0");
      const [strange, peers] = [uniqueBytes(), uniqueBytes()];
      const from = (n: number, data: Buffer) =>
        spoken(network, { mac, ip: [hostAddress(n, family), hostAddress(1, family)] }, two, data);

      wire.send(from(9, strange), from(2, peers));
      await ear.waitFor("the same from a peer's address", peers);

      expect(ear.count(strange)).toBe(0);
    });

    it("takes nothing from its own containers by way of their host, whose address they would have [S20]", async () => {
      const { stand } = suite;
      const [one, two] = await threeContainers(suite);
      await reaches(one, two.address[4]);
      await reaches(one, GATEWAY[family]);
      const network = stand.network(1, kind);
      const way: Way = {
        mac: [one.endpoint.mac, network.switchMac],
        ip: [one.address[family], hostAddress(2, family)],
      };
      using wire = stand.listen();
      using ear = FrameSocket.open(two.ns, "eth0");
      using own = FrameSocket.open(one.ns, "eth0");
      const [forged, lawful] = [uniqueBytes(), uniqueBytes()];

      own.send(
        spoken(network, way, one, forged),
        ethernet(datagramFrame({ from: way.mac[0], to: way.mac[1] }, way.ip, { data: lawful })),
      );
      await wire.waitFor("what is no tunnel's", lawful);
      await reaches(one, two.address[4]);

      expect([wire.count(forged), ear.count(forged)]).toEqual([0, 0]);
    });
  });
}

// Tunnels of other kinds, or over IPv6, between two of the hosts, beside the network that all have.
import { expect, it } from "vitest";
import { transfer } from "../../support/bulk.ts";
import { addressBytes, macBytes } from "../../support/frames.ts";
import { readTsnet } from "../../support/operator.ts";
import { CLOSED } from "../../support/system-host.ts";
import { type TunnelOptions, UNDERLAY_MTU, hostAddress } from "../../support/tunnel-hosts.ts";
import { type Placed, expectExactMtu, reaches } from "./probes.ts";
import type { HostsSuite } from "./suite.ts";

/** What is asked of a tunnel besides VXLAN over IPv4. */
export interface OtherTunnel extends TunnelOptions {
  /** Of a packet of the underlay. */
  readonly overhead: number;
}

export function describeOtherTunnel(suite: HostsSuite, other: OtherTunnel, megabytes: number): void {
  const placed: Placed[] = [];
  const both = (): readonly [Placed, Placed] => {
    const [from, to] = placed;
    if (from === undefined || to === undefined) throw new Error("two containers");
    return [from, to];
  };

  it("joins containers of two hosts, which others do not reach", async () => {
    const { stand } = suite;
    for (const n of [1, 2]) {
      const network = await stand.join(n, `net${other.net}`, other);
      placed.push({ n, container: await stand.run(n, `of${other.net}`, network) });
    }

    const [from, to] = both();
    expect(await reaches(stand, from.container, to.container)).toBe(true);
    const stranger = suite.containers[2] ?? from.container;
    expect(await stand.host(3).tryReach(stranger, await to.container.address())).toEqual(CLOSED);
  });

  it("lets the largest packet pass unbroken, and no byte more", async () => {
    await expectExactMtu(suite.stand, ...both(), UNDERLAY_MTU - other.overhead);
  });

  it(`carries ${megabytes} MB over TCP without a fault`, async () => {
    const [from, to] = both().map(({ n, container }) => ({ host: suite.stand.host(n), container }));
    if (from === undefined || to === undefined) throw new Error("two places");

    const { sent, arrived } = await transfer(from, to, await to.container.address(), megabytes);

    expect(sent).toMatch(new RegExp(`^${megabytes}000000 [0-9a-f]{64}$`));
    expect(arrived).toBe(sent);
  });

  it("leads to those hosts only that `tsnet set peers=…` names, while its containers run", async () => {
    const { stand } = suite;
    const [from, to] = both();
    const address = await to.container.address();
    const { mac } = await from.container.interface("eth0");
    const set = (hosts: readonly number[]) =>
      readTsnet(stand.host(1).lab, "set", `net${other.net}`, `peers=${stand.peers(other.family, hosts)}`);
    /** To which hosts it sends when it asks for the other container. */
    const led = async (isOpen: boolean) => {
      await from.container.exec(["ip", "neigh", "flush", "dev", "eth0"]);
      using wire = stand.listen();
      if (isOpen) await reaches(stand, from.container, to.container);
      else expect(await stand.host(1).tryReach(from.container, address)).toEqual(CLOSED);
      const own = wire.heard().filter((frame) => frame.includes(macBytes(mac)));
      const way = (n: number) => Buffer.concat([1, n].map((host) => addressBytes(hostAddress(host, other.family))));
      return [2, 3].filter((n) => own.some((frame) => frame.includes(way(n))));
    };
    expect(await led(true)).toEqual([2, 3]);

    await set([1, 3]);
    expect(await led(false)).toEqual([3]);
    await set([1, 2]);
    expect(await led(true)).toEqual([2]);
  });
}

// Tunnels of other kinds, or over IPv6, between two of the hosts, beside the network that all have.
import { expect, it } from "vitest";
import { transfer } from "../../support/bulk.ts";
import { CLOSED } from "../../support/system-host.ts";
import { type TunnelOptions, UNDERLAY_MTU } from "../../support/tunnel-hosts.ts";
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
}

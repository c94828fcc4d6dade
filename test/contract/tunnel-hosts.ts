// What a tunnel between hosts promises to a user who types the commands of the README, with engines of their own, the same on
// every switch. The promises are in `tunnel-hosts/`, by what they are about; they build on one another, as a session does.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/cnm/network.ts";
import type { Variant } from "../support/system-host.ts";
import { TunnelHosts } from "../support/tunnel-hosts.ts";
import { describeChange } from "./tunnel-hosts/change.ts";
import { describeGateway } from "./tunnel-hosts/gateway.ts";
import { describeJoining } from "./tunnel-hosts/joining.ts";
import { describeRequests } from "./tunnel-hosts/requests.ts";
import { type OtherTunnel, describeOtherTunnel } from "./tunnel-hosts/kinds.ts";
import type { HostsSuite } from "./tunnel-hosts/suite.ts";

/** How much is sent. */
export interface HostsPlan {
  readonly others: readonly OtherTunnel[];
  /** Of the data for each of the other tunnels. */
  readonly megabytes: number;
  /** How tsnet runs on the three hosts. */
  readonly variants: readonly [Variant, Variant, Variant];
}

export function describeTunnelHosts(backend: Backend, { others, megabytes, variants }: HostsPlan): void {
  let stand: TunnelHosts;
  const suite: HostsSuite = {
    backend,
    networks: [],
    containers: [],
    get stand() {
      return stand;
    },
  };

  describe(`three hosts with engines, backend ${backend}`, () => {
    beforeAll(async () => {
      stand = await TunnelHosts.up(variants, backend);
    });
    afterAll(async () => await stand?.[Symbol.asyncDispose]());

    describeJoining(suite);
    describeGateway(suite);
    describeChange(suite);
    describeRequests(suite);
    describe.each(others)("a tunnel $kind over IPv$family", (other) => describeOtherTunnel(suite, other, megabytes));

    it("have nothing left of it at the end, and tsnet complained of nothing", async () => {
      expect(await stand.leftovers()).toEqual([]);
      expect(stand.hosts.flatMap((host) => host.complaints())).toEqual([]);
    });
  });
}

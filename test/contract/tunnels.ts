// What tunnels promise, the same on every switch and for every kind; run by each of them. The promises are in `tunnels/`, by
// what they are about. The oracle is the wire between the hosts, and every container's own link.
import { afterAll, afterEach, beforeAll, describe } from "vitest";
import type { TunnelKindOf, TunnelStand } from "../support/tunnel-stand.ts";
import { describeReach } from "./tunnels/reach.ts";
import { describeRepair } from "./tunnels/repair.ts";

/** What the promises are about. */
export interface TunnelSuite {
  readonly kind: TunnelKindOf;
  /** Three hosts without a network. */
  readonly stand: TunnelStand;
}

/**
 * @param name - of switch and kind: `Linux bridge, vxlan`.
 * @param makeStand - three hosts, made once and disposed of here.
 */
export function describeTunnels(name: string, kind: TunnelKindOf, makeStand: () => Promise<TunnelStand>): void {
  let stand: TunnelStand;
  const suite: TunnelSuite = {
    kind,
    get stand() {
      return stand;
    },
  };

  describe(`tunnels: ${name}`, () => {
    beforeAll(async () => {
      stand = await makeStand();
    });

    afterEach(async () => {
      await stand.clear();
    });

    afterAll(async () => {
      await stand[Symbol.asyncDispose]();
    });

    describeReach(suite);
    describeRepair(suite);
  });
}

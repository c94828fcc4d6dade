// What tunnels promise, the same on every switch and for every kind; run by each of them. The promises are in `tunnels/`, by
// what they are about. The oracle is the wire between the hosts, and every container's own link.
import { describe } from "vitest";
import type { TunnelKindOf, TunnelStand } from "../support/tunnel-stand.ts";
import { describeReach } from "./tunnels/reach.ts";
import { describeRepair } from "./tunnels/repair.ts";

/** How a stand is made, and with what tunnel. */
export interface TunnelSuite {
  readonly kind: TunnelKindOf;
  /** Disposed of by the test. @param count - of hosts. */
  makeStand(count: number): Promise<TunnelStand>;
}

/** @param name - of switch and kind: `Linux bridge, vxlan`. */
export function describeTunnels(name: string, suite: TunnelSuite): void {
  describe(`tunnels: ${name}`, () => {
    describeReach(suite);
    describeRepair(suite);
  });
}

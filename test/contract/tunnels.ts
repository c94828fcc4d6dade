// What tunnels promise, the same on every switch and for every kind; run by each of them. The promises are in `tunnels/`, by
// what they are about. The oracle is the wire between the hosts, and every container's own link.
import { afterAll, afterEach, beforeAll, describe } from "vitest";
import type { TunnelKindOf, TunnelStand } from "../support/tunnel-stand.ts";
import { describeAnnouncements } from "./tunnels/announcements.ts";
import { describeCarriage } from "./tunnels/carriage.ts";
import { describeGateways } from "./tunnels/gateways.ts";
import { describePeers } from "./tunnels/peers.ts";
import { describeRepair } from "./tunnels/repair.ts";
import { describeStrangers } from "./tunnels/strangers.ts";
import { describeVlansInside } from "./tunnels/vlans.ts";

/** What the promises are about. */
export interface TunnelSuite {
  readonly kind: TunnelKindOf;
  /** Three hosts without a network. */
  readonly stand: TunnelStand;
}

/** All promises, or only those that a kind or a family can break by itself: who hears whom, how often, in which size, and with which peers. */
export type TunnelPromises = "all" | "carriage";

/**
 * @param name - of switch and kind: `Linux bridge, vxlan`.
 * @param makeStand - three hosts, made once and disposed of here.
 */
export function describeTunnels(
  name: string,
  kind: TunnelKindOf,
  makeStand: () => Promise<TunnelStand>,
  promises: TunnelPromises = "all",
): void {
  describe(`tunnels: ${name}`, () => {
    const suite = suiteOf(kind, makeStand);
    describeCarriage(suite);
    describePeers(suite);
    if (promises === "carriage") return;
    describeGateways(suite);
    describeStrangers(suite);
    describeAnnouncements(suite);
    describeRepair(suite);
  });
}

/** What tunnels promise of VLANs inside, for switches that can have VLANs on this kernel. @param makeStand - as there. */
export function describeTunnelVlans(name: string, kind: TunnelKindOf, makeStand: () => Promise<TunnelStand>): void {
  describe(`VLANs in tunnels: ${name}`, () => describeVlansInside(suiteOf(kind, makeStand)));
}

/** Of the group in which it is called. */
function suiteOf(kind: TunnelKindOf, makeStand: () => Promise<TunnelStand>): TunnelSuite {
  let stand: TunnelStand | undefined;

  beforeAll(async () => {
    stand = await makeStand();
  });
  afterEach(async () => {
    await stand?.clear();
  });
  afterAll(async () => {
    await stand?.[Symbol.asyncDispose]();
  });

  return {
    kind,
    get stand() {
      if (stand === undefined) throw new Error("the stand is made before the first test");
      return stand;
    },
  };
}

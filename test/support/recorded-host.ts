// What ip(8) and bridge(8) printed of a host with VLANs on a bridge and tunnels of every kind, recorded in the virtual machine
// (test/vm/long/commands.test.ts, whose networks these are) without what is about queues and timers, and those networks. The ids
// of the containers are those of the builders.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { NetworkStatus } from "../../src/cnm/requests.ts";
import { endpointStatus, networkStatus } from "./cli-desk.ts";
import { endpointId } from "./cnm-builder.ts";

/** The containers' links. */
const LINKS = ["tsvdf39e09e9abf", "tsv844ea607ddbd", "tsva47453c9846d", "tsvddfb11d20be7", "tsv69f7438d71db"] as const;

/** By command line. */
export const RECORDED = JSON.parse(
  LINKS.reduce(
    (text, link, at) => text.replace(new RegExp(`${link.slice("tsv".length)}[0-9a-f]{52}`), endpointId(at + 1)),
    readFileSync(join(import.meta.dirname, "recorded-bridges.json"), "utf8"),
  ),
) as Readonly<Record<string, readonly object[]>>; // as it was recorded

/** The switch of the first four networks: `red` in VLAN 100, `blue` in 200, `wide` in 30 with a trunk, `plain` in none. */
export const VLAN_BRIDGE = "sw0";

/** The switch of the network `far`, the fifth, with a tunnel of GRE. */
export const GRE_BRIDGE = "tsn-fb7fe1206e7";

/** What tsnet has, the n-th with the n-th container. */
export const RECORDED_NETWORKS: readonly NetworkStatus[] = [
  placed(1, "02:42:0a:05:00:02", { vlan: 100, parent: "eth1" }),
  placed(2, "02:42:0a:05:01:02", { vlan: 200, parent: "eth1" }),
  placed(3, "02:42:0a:05:02:02", { vlan: 30, trunk: [31, 32, 33, 40] }),
  placed(4, "02:42:0a:05:03:02", {}),
  placed(5, "02:42:0a:05:0a:02", { switch: GRE_BRIDGE }),
];

/** The names that Docker has for them. */
export const RECORDED_NAMES = [
  { red: 1, blue: 2, wide: 3, plain: 4, far: 5 },
  { one: [1], two: [2], three: [3], four: [4], five: [5] },
] as const;

function placed(n: number, mac: string, more: Partial<NetworkStatus>): NetworkStatus {
  const hostLink = LINKS[n - 1] ?? "";
  return networkStatus(n, { switch: VLAN_BRIDGE, endpoints: [endpointStatus(n, n, { hostLink, mac })], ...more });
}

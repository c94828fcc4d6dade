// The table of published ports as the README has it, in a user's words. Ways to ask share a row when all of them came to
// the same: a row stands for every combination of the words in its first three cells, and nothing measured is left out.
import type { Driver } from "./publish-stand.ts";
import type { PublishTable, Row } from "./publish-table.ts";
import { inBothFamilies } from "./readme-table.ts";

/** The words of the README for those of the packet tests, in its order. */
const WORDS = {
  on: {
    "all addresses": "all",
    "its address": "host",
    loopback: "loopback",
    nothing: "nothing",
    "all, IPv4-only": "all (IPv4 only)",
    "all, icc=false": "all (icc=false)",
    "nothing, icc=false": "nothing (icc=false)",
    "all, routed": "all (routed)",
    "nothing, routed": "nothing (routed)",
  },
  asks: { host: "host", loopback: "loopback", gateway: "gateway", container: "container" },
  who: {
    "remote host": "LAN",
    "beyond a router": "beyond",
    "the host": "host",
    "same network": "peer",
    "the container": "itself",
    "another network": "other network",
    "the other driver": "other driver",
    docker0: "docker0",
  },
} as const satisfies { [axis in Axis]: Readonly<Record<Row[axis], string>> };

type Axis = "on" | "asks" | "who";

/** Ways to ask, and what came of all of them. */
type Group = Readonly<Record<Axis, readonly string[]> & Record<Driver, string>>;

/** What came of one way to ask. */
export type Outcome = Readonly<Pick<Row, Axis> & Record<Driver, string>>;

/** What was measured, in both families. */
export function outcomesOf(table: PublishTable, rows: readonly Row[]): readonly Outcome[] {
  return rows.map((row) => {
    const of = (driver: Driver) => inBothFamilies(table.cell(driver, row, 4), table.cell(driver, row, 6));
    return { on: row.on, asks: row.asks, who: row.who, tsnet: of("tsnet"), bridge: of("bridge") };
  });
}

/** Rows of a table, the head first; what `bridge` does otherwise is in bold. @param engine - of the bridge driver. */
export function summarize(outcomes: readonly Outcome[], engine: string): readonly (readonly string[])[] {
  let groups = outcomes.map(({ on, asks, who, ...cells }): Group => ({ on: [on], asks: [asks], who: [who], ...cells }));
  for (const axis of ["who", "asks", "on"] as const) groups = merge(groups, axis);
  const lines = groups.map(({ tsnet, bridge, ...group }) => [
    ...(["on", "asks", "who"] as const).map((axis) =>
      group[axis].map((word) => wordsOf(axis)[word] ?? word).join(", "),
    ),
    tsnet,
    ["", tsnet].includes(bridge) ? bridge : `**${bridge}**`,
  ]);
  return [["published on", "asked for at", "by", "tsnet", `bridge, engine ${engine}`], ...lines];
}

/** Puts groups together that differ in nothing but the words of one axis. */
function merge(groups: readonly Group[], axis: Axis): Group[] {
  const merged = new Map<string, Group>();
  for (const group of groups) {
    const key = JSON.stringify({ ...group, [axis]: [] });
    const words = [...(merged.get(key)?.[axis] ?? []), ...group[axis]];
    merged.set(key, { ...group, [axis]: Object.keys(WORDS[axis]).filter((word) => words.includes(word)) });
  }
  return [...merged.values()];
}

function wordsOf(axis: Axis): Readonly<Record<string, string>> {
  return WORDS[axis];
}

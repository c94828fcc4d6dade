// What is on a lab host, taken before and after: proof that "removal leaves nothing behind" and that "refused input changed
// nothing". Taken from outside with ip(8), nft(8) and /proc, never with our own getters.
import { existsSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { LabNamespace } from "./lab-namespace.ts";
import { settleLinks } from "./settled-links.ts";
import { waitUntil } from "./wait-until.ts";

/** Sorted lines per section. */
export type Census = Readonly<Record<string, readonly string[]>>;

/**
 * Counts everything that a network driver could leave behind, once the kernel has done what it does by itself.
 *
 * @param stateDir - tsnet's state directory as seen from outside; its file names are listed.
 */
export async function takeCensus(namespace: LabNamespace, stateDir = join(namespace.folder, "state")): Promise<Census> {
  await settleLinks(namespace);
  const json = async (...args: string[]) =>
    JSON.parse((await namespace.exec(["ip", "-json", ...args])) || "[]") as Entry[];
  const links = await json("-details", "address", "show");
  const routes = [
    ...(await json("-4", "route", "show", "table", "all")),
    ...(await json("-6", "route", "show", "table", "all")),
  ];
  return {
    links: links.map(formatLink).sort(),
    addresses: links.flatMap(formatAddresses).sort(),
    routes: routes.map(formatEntry).sort(),
    rules: [...(await json("-4", "rule")), ...(await json("-6", "rule"))].map(formatEntry).sort(),
    nft: formatRuleset(await namespace.exec(["nft", "--stateless", "list", "ruleset"])),
    "iptables-legacy": await legacyRules(namespace, "ip"),
    "ip6tables-legacy": await legacyRules(namespace, "ip6"),
    "state files": await filesBelow(stateDir),
    "plugin sockets": (await filesBelow(namespace.outside("/run/docker/plugins"))).filter((path) =>
      path.endsWith(".sock"),
    ),
    processes: await processes(namespace),
  };
}

/** A census that is the same twice in a row: what was under way, or has just ended, is done. */
export async function takeAtRest(take: () => Promise<Census>): Promise<Census> {
  let last = await take();
  const isAtRest = async () => {
    const former = last;
    last = await take();
    return diffCensus(former, last).length === 0;
  };
  await waitUntil("the host to be at rest", isAtRest, { limitMs: 20_000, intervalMs: 200 });
  return last;
}

/** The differences, one readable line each: `links: - veth1 ...` for what went, `+` for what came. Empty: nothing changed. */
export function diffCensus(before: Census, after: Census, sections: readonly string[] = Object.keys(before)): string[] {
  return sections.flatMap((section) => [
    ...without(before[section], after[section]).map((line) => `${section}: - ${line}`),
    ...without(after[section], before[section]).map((line) => `${section}: + ${line}`),
  ]);
}

/** Lines of `from` that `other` lacks; two equal lines need two counterparts. */
function without(from: readonly string[] = [], other: readonly string[] = []): string[] {
  const rest = [...other];
  return from.filter((line) => {
    const at = rest.indexOf(line);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
}

type Entry = Record<string, unknown>;

/** What changes by itself: counters of the kernel and states that settle. */
const VOLATILE = new Set([
  "flags",
  "metric_used",
  "expires",
  "operstate",
  "valid_life_time",
  "preferred_life_time",
  "cache",
  "used",
]);

function formatLink(link: Entry): string {
  const flags = Array.isArray(link["flags"]) && link["flags"].includes("UP") ? "up" : "down";
  const info = link["linkinfo"] as Entry | undefined; // shape of `ip -json -details`
  const parts = ["ifname", "address", "mtu", "master", "ifalias", "group"].map(
    (key) => `${key}=${formatValue(link[key])}`,
  );
  return [...parts, `kind=${formatValue(info?.["info_kind"])}`, flags].join(" ");
}

function formatAddresses(link: Entry): string[] {
  const addresses = (link["addr_info"] ?? []) as Entry[]; // shape of `ip -json address`
  return addresses.map(
    (entry) => `${formatValue(link["ifname"])} ${formatValue(entry["local"])}/${formatValue(entry["prefixlen"])}`,
  );
}

function formatEntry(entry: Entry): string {
  const stable = Object.entries(entry).filter(([key]) => !VOLATILE.has(key));
  return stable.map(([key, value]) => `${key}=${formatValue(value)}`).join(" ");
}

function formatValue(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? "-");
}

/** Each rule with the table and chain it stands in, so that a single line says where it is. In order: it matters here. */
function formatRuleset(listing: string): string[] {
  const lines: string[] = [];
  const path: string[] = [];
  for (const line of listing.split("\n").map((text) => text.trim())) {
    if (line === "}") path.pop();
    else if (line.endsWith("{")) lines.push([...path, line.slice(0, -2)].join(" > "));
    else if (line !== "") lines.push([...path, withoutCounters(line)].join(" > "));
    if (line.endsWith("{")) path.push(line.slice(0, -2));
  }
  return lines;
}

function withoutCounters(rule: string): string {
  return rule.replaceAll(/counter packets \d+ bytes \d+/g, "counter");
}

/** Only asks where the tables are in use: the question itself would make them. */
async function legacyRules(namespace: LabNamespace, family: "ip" | "ip6"): Promise<string[]> {
  const tables = await readFile(`/proc/${namespace.keeperPid}/net/${family}_tables_names`, "utf8").catch(() => "");
  if (tables.trim() === "") return [];
  const saved = await namespace.exec([`${family}tables-legacy-save`]);
  const lines = saved.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => line.replace(/ \[\d+:\d+\]$/, ""));
}

async function filesBelow(folder: string): Promise<string[]> {
  if (!existsSync(folder)) return [];
  return (await readdir(folder, { recursive: true })).sort();
}

/** Command lines of all processes but the keeper and its sleep. */
async function processes(namespace: LabNamespace): Promise<string[]> {
  const proc = namespace.outside("/proc");
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name) && name !== "1");
  const lines = await Promise.all(pids.map((pid) => readFile(join(proc, pid, "cmdline"), "utf8").catch(() => "")));
  return lines
    .map((line) => line.replaceAll("\0", " ").trim())
    .filter((line) => line !== "" && line !== "sleep infinity")
    .sort();
}

// The census of a lab host together with tsnet's records, without what the kernel adds by itself.
import { setTimeout as pause } from "node:timers/promises";
import { type Census, takeCensus } from "./census.ts";
import type { LabNamespace } from "./lab-namespace.ts";
import { listRecords } from "./system-records.ts";

/** What the kernel adds to a link some seconds after it is up, and to all links once IPv6 is forwarded. */
const OF_THE_KERNEL = / fe80::|dst=fe80::|type=anycast/;

/** What tsnet starts when it is told of a change, and ends at once; tests put a script in its place. */
const SHORT_LIVED = /^(?:nft|\/bin\/sh \S*\/nft|\S*\/nft\/real) /;

const DAEMON = /tsnet\.js serve|daemon\.cjs serve/;

/** How often those are waited for; after that they count as what hangs, and are in the census. */
const QUIET_ATTEMPTS = 50;

/** Links, addresses, routes, rules, files, processes, and tsnet's records. @param stateDir - as seen from outside. */
export async function takeSystemCensus(namespace: LabNamespace, stateDir: string): Promise<Census> {
  let census = await takeCensus(namespace, stateDir);
  for (let attempt = 0; attempt < QUIET_ATTEMPTS && isToSettle(census); attempt++) {
    await pause(100);
    census = await takeCensus(namespace, stateDir);
  }
  const kept = ([name, lines]: [string, readonly string[]]) => [
    name,
    lines.filter((line) => !OF_THE_KERNEL.test(line)),
  ];
  const sections = Object.entries({ ...census, nft: (census["nft"] ?? []).flatMap(splitElements) }).map(kept);
  return { ...Object.fromEntries(sections), records: listRecords(stateDir) };
}

/** Between fork(2) and execve(2) a command looks like another daemon. */
function isToSettle(census: Census): boolean {
  const lines = census["processes"] ?? [];
  return lines.some((line) => SHORT_LIVED.test(line)) || lines.filter((line) => DAEMON.test(line)).length > 1;
}

/** One line for each element of a set: their order has no meaning. */
function splitElements(rule: string): string[] {
  const [, path = "", elements] = /^(.* > set \S+) > (?:elements = \{ )?("[^}]*?),?(?: \})?$/.exec(rule) ?? [];
  return elements === undefined ? [rule] : elements.split(", ").map((element) => `${path} > ${element}`);
}

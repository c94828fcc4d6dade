// The census of a lab host together with tsnet's records, without what the kernel adds by itself.
import { type Census, takeCensus } from "./census.ts";
import type { LabNamespace } from "./lab-namespace.ts";
import { listRecords } from "./system-records.ts";

/** What the kernel adds to a link some seconds after it is up, and to all links once IPv6 is forwarded. */
const OF_THE_KERNEL = / fe80::|dst=fe80::|type=anycast/;

/** Links, addresses, routes, rules, files, processes, and tsnet's records. @param stateDir - as seen from outside. */
export async function takeSystemCensus(namespace: LabNamespace, stateDir: string): Promise<Census> {
  const census = await takeCensus(namespace, stateDir);
  const kept = ([name, lines]: [string, readonly string[]]) => [
    name,
    lines.filter((line) => !OF_THE_KERNEL.test(line)),
  ];
  const sections = Object.entries({ ...census, nft: (census["nft"] ?? []).flatMap(splitElements) }).map(kept);
  return { ...Object.fromEntries(sections), records: listRecords(stateDir) };
}

/** One line for each element of a set: their order has no meaning. */
function splitElements(rule: string): string[] {
  const [, path = "", elements] = /^(.* > set \S+) > (?:elements = \{ )?("[^}]*?),?(?: \})?$/.exec(rule) ?? [];
  return elements === undefined ? [rule] : elements.split(", ").map((element) => `${path} > ${element}`);
}

// What the host's rules say, in words: of tsnet's own rules what they are for, of others which one it is.
import { type Facts, type Way, networkOf } from "./facts.ts";
import type { Packet } from "./packet.ts";
import type { Outcome } from "./rule-run.ts";

/** Notes what became of a packet at a hook of the host; where nothing stopped it, only what may have. */
export function noteRules({ trace, facts }: Way, hop: string, { verdict, by, fix, doubts, packet }: Outcome): void {
  for (const doubt of doubts) {
    const text = `it cannot be told whether it is dropped by ${doubt}`;
    if (!trace.hops.some((other) => other.text === text)) trace.pass(hop, "probed", text);
  }
  if (verdict === "accept") return;
  if (!isOurs(by)) return trace.stop(hop, "probed", `it is dropped by ${by}`, fix);
  trace.stop(hop, "known", `${reasonOf(facts, packet)}; dropped by ${by}`);
}

function isOurs(by: string): boolean {
  return /of table \w+ tsnet$/.test(by);
}

/** What tsnet's own rules mean. */
function reasonOf(facts: Facts, { source, destination, port, protocol }: Packet): string {
  const [from, to] = [networkOf(facts, source), networkOf(facts, destination)];
  const internal = [from, to].find((network) => network?.isInternal === true);
  if (internal !== undefined) return `network ${internal.name} is internal: nothing is forwarded from or to it`;
  if (to === undefined) return "tsnet's own rules do not permit it";
  const what = port === undefined ? "" : `, and ${destination} does not publish ${port}/${protocol}`;
  if (from === undefined) return `nothing gets into network ${to.name} but to published ports${what}`;
  if (from.id === to.id) return `icc=false: containers of network ${to.name} are kept apart${what}`;
  return `networks ${from.name} and ${to.name} are kept apart: their containers reach one another by published ports alone`;
}

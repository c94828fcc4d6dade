// The driver's own time for the whole life of an endpoint, all verbs at the socket together, beside the kernel's floor: the
// same operations on links in one message, and as many durable writes. The floor's links are deleted outside of the time.
// The rules that let the endpoint's packets in are in tsnet's time and not in the floor's.
import type { EngineNetwork } from "../support/engine-double.ts";
import { KeptConnection } from "../support/kept-connection.ts";
import { ServeHost } from "../support/serve-host.ts";
import { begin, countCommits, end, live, socketOf, sumOf } from "./endpoint-life.ts";
import { LinkFloor, WriteFloor } from "./kernel-floor.ts";
import { type Figure, type Measured, inTurn, pair, summary } from "./measure.ts";

const ROUNDS = 200;
const WARM_UP = 50;
/** Links of the floor that are there at once, at most. */
const BATCH = 50;

/** With the time of each verb, and of each part of the floor. */
export async function measureLife(): Promise<Measured> {
  await using host = await ServeHost.up("life");
  await using links = await LinkFloor.up();
  using writes = new WriteFloor(host.namespace.folder);
  using connection = await KeptConnection.open(socketOf(host));
  const network = await host.engine.createNetwork({ subnet: "10.88.0.0/16", gateway: "10.88.0.1" });
  for (let n = 0; n < WARM_UP; n++) await live(connection, network);
  const commits = await commitsByVerb(host, connection, network);
  const count = [...commits.values()].reduce((sum, of) => sum + of, 0);
  const byVerb = new Map(Array.from(commits.keys(), (verb) => [verb, [] as number[]]));
  const times = { tsnet: [] as number[], "kernel's floor": [] as number[] };
  const parts = { links: [] as number[], commits: [] as number[], syncs: [] as number[] };
  const ours = async () => {
    const one = await live(connection, network);
    for (const [verb, ms] of one) byVerb.get(verb)?.push(ms);
    times.tsnet.push(sumOf(one));
  };
  const floor = async () => {
    const made = links.add();
    const written = repeat(count, () => writes.commit());
    times["kernel's floor"].push(made + written);
    parts.links.push(made);
    parts.commits.push(written);
    parts.syncs.push(repeat(count, () => writes.sync()));
  };
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of inTurn(round, [ours, floor])) await side();
    if (round % BATCH === BATCH - 1) await links.clear();
  }
  return {
    pairs: [{ ...pair(`endpoint life, ${count} durable writes`, times), goal: 2 }],
    figures: [
      ...Array.from(byVerb, ([verb, each]) => median(`${verb}, durable writes: ${commits.get(verb)}`, each)),
      median("floor: links", parts.links),
      median(`floor: ${count} commits of SQLite`, parts.commits),
      median(`${count} times write and fdatasync`, parts.syncs),
    ],
  };
}

/** How many durable writes each verb makes, when nobody else calls. */
async function commitsByVerb(host: ServeHost, connection: KeptConnection, network: EngineNetwork) {
  const counts = new Map<string, number>();
  const ask = async (verb: string, body: object) => {
    const before = countCommits(host);
    const answer = await connection.ask(verb, body);
    counts.set(verb.replace(/.*\./, ""), countCommits(host) - before);
    return answer;
  };
  await end(ask, await begin(ask, network));
  return counts;
}

function repeat(count: number, task: () => number): number {
  return Array.from({ length: count }, task).reduce((sum, ms) => sum + ms, 0);
}

function median(title: string, times: readonly number[]): Figure {
  return { title, value: summary(times).medianMs, unit: "ms" };
}

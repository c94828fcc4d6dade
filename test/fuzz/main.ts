// `npm run fuzz`: both fuzzers in turn until the time is over. Arguments: `--minutes=10`, `--seed=N`. Exit code 1 with the
// smallest input that breaks a promise.
import { parseArgs } from "node:util";
import { Campaign, type Kind, chooseSeed } from "./campaign.ts";

/** Groups of one kind before it is the other's turn. */
const GROUPS_IN_TURN = 5;
const REPORT_MS = 10_000;

const { values } = parseArgs({ options: { minutes: { type: "string" }, seed: { type: "string" } } });
const minutes = Number(values.minutes ?? 10);
const seed = Number(values.seed ?? chooseSeed(Math.floor(Math.random() * 2 ** 31)));
if (!(minutes > 0) || !Number.isSafeInteger(seed))
  throw new Error("--minutes is a number above 0, --seed a whole number");

const startedAt = performance.now();
let nextReport = startedAt + REPORT_MS;
console.log(`seed ${seed}, ${minutes} minutes`);
try {
  await using fields = await Campaign.open("fields");
  await using bytes = await Campaign.open("bytes");
  const campaigns: Readonly<Record<Kind, Campaign>> = { fields, bytes };
  for (let group = 0; performance.now() - startedAt < minutes * 60_000; group++) {
    const kind: Kind = Math.floor(group / GROUPS_IN_TURN) % 2 === 0 ? "fields" : "bytes";
    await campaigns[kind].runGroup(seed + group);
    if (performance.now() < nextReport) continue;
    report(campaigns);
    nextReport += REPORT_MS;
  }
  report(campaigns);
} catch (failure) {
  console.error(failure instanceof Error ? failure.message : failure);
  if (failure instanceof Error && failure.cause !== undefined) console.error(failure.cause);
  process.exitCode = 1;
}

function report(campaigns: Readonly<Record<Kind, Campaign>>): void {
  const seconds = (performance.now() - startedAt) / 1000;
  const inputs = campaigns.fields.tally.inputs + campaigns.bytes.tally.inputs;
  const rss = Math.round(process.memoryUsage().rss / 2 ** 20);
  const growth = Math.max(campaigns.fields.heapGrowth, campaigns.bytes.heapGrowth) / 2 ** 20;
  const speed = `${Math.round(inputs / seconds)} a second`;
  console.log(`${Math.round(seconds)} s: ${inputs} inputs, ${speed}, ${rss} MiB, heap ${growth.toFixed(1)} MiB larger`);
  for (const [kind, { tally }] of Object.entries(campaigns)) console.log(`  ${kind}: ${JSON.stringify(tally)}`);
}

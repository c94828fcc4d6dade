// The part of the fuzzing that runs with the other tests: some groups of one kind, from a seed that the report names.
import { Campaign, GROUP, type Kind, chooseSeed } from "./campaign.ts";

/** A busy machine takes ten times as long as an idle one. */
export const SEEDED_LIMIT_MS = 600_000;

/** The same in every run, unless the environment has another one; `npm run fuzz` goes where chance leads. */
const SEED = 20_260_601;

/** @returns what became of the inputs. @throws Error with the smallest input that breaks a promise, and its seed. */
export async function runSeeded(kind: Kind, groups: number) {
  const seed = chooseSeed(SEED);
  const [startedAt, cpuBefore] = [performance.now(), process.cpuUsage()];
  await using campaign = await Campaign.open(kind);
  for (let group = 0; group < groups; group++) await campaign.runGroup(seed + group);
  const { user, system } = process.cpuUsage(cpuBefore);
  const { tally, heapGrowth } = campaign;
  const took = `${((performance.now() - startedAt) / 1000).toFixed(1)} s, ${((user + system) / 1e6).toFixed(1)} s of a processor`;
  const heap = `heap ${(heapGrowth / 2 ** 20).toFixed(1)} MiB larger`;
  console.log(
    `fuzz ${kind}: ${groups * GROUP} inputs, TSNET_FUZZ_SEED=${seed}, ${took}, ${heap}; ${JSON.stringify(tally)}`,
  );
  return tally;
}

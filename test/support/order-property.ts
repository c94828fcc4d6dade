// The properties of histories, for the short run of every day and the long one. TSNET_ORDER_SEED says which histories.
import * as fc from "fast-check";
import type { OrderDaemon } from "./order-daemon.ts";
import { ANY_FAULT, OUTER_FAULT, histories } from "./order-history.ts";
import { runHistory } from "./order-run.ts";

const SEED = Number(process.env["TSNET_ORDER_SEED"] ?? Date.now() % 0x7fff_ffff);

/** On the real kernel a call takes some hundred times as long. */
const MAX_CALLS_OF_DAEMON = 16;

/** @throws Error with seed, path and the smallest history that fails. */
export async function checkRemembered(
  runs: number,
  isDisturbed: boolean,
  passTime: (ms: number) => void,
): Promise<void> {
  const all = histories({ hasOperator: true, ...(isDisturbed && { fault: ANY_FAULT }) });
  const property = fc.asyncProperty(all, async (history) => runHistory(history, passTime));
  await fc.assert(property, { numRuns: runs, seed: SEED, includeErrorInReport: true });
}

/**
 * @param limitMs - after which no other history is begun, and a failure is told as it is.
 * @returns how many histories were run.
 */
export async function checkDaemon(daemon: OrderDaemon, runs: number, limitMs: number): Promise<number> {
  let count = 0;
  const all = histories({ maxCalls: MAX_CALLS_OF_DAEMON, fault: OUTER_FAULT });
  const property = fc.asyncProperty(all, async (history) => {
    count += 1;
    await daemon.run(history);
  });
  const limits = { numRuns: runs, interruptAfterTimeLimit: limitMs, markInterruptAsFailure: false };
  await fc.assert(property, { ...limits, seed: SEED, includeErrorInReport: true });
  return count;
}

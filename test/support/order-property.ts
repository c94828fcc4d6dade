// The properties of histories, for the short run of every day and the long one. TSNET_ORDER_SEED says which histories.
import * as fc from "fast-check";
import type { OrderDaemon } from "./order-daemon.ts";
import { ANY_FAULT, OUTER_FAULT, histories } from "./order-history.ts";
import { runHistory } from "./order-run.ts";

/** Undefined: not said. */
const SAID_SEED = process.env["TSNET_ORDER_SEED"];
const SEED = Number(SAID_SEED ?? Date.now() % 0x7fff_ffff);

/** Which histories. */
export interface HistoryChoice {
  /** With the operator's verbs among the engine's. */
  readonly hasOperator: boolean;
  readonly isDisturbed: boolean;
  /** Of those of which it is not said which; default: others each time. */
  readonly seed?: number;
}

/** On the real kernel a call takes some hundred times as long. */
const MAX_CALLS_OF_DAEMON = 16;

/** @throws Error with seed, path and the smallest history that fails. */
export async function checkRemembered(
  runs: number,
  { hasOperator, isDisturbed, seed = SEED }: HistoryChoice,
  passTime: (ms: number) => void,
): Promise<void> {
  const all = histories({ hasOperator, ...(isDisturbed && { fault: ANY_FAULT }) });
  const property = fc.asyncProperty(all, async (history) => runHistory(history, passTime));
  const which = SAID_SEED === undefined ? seed : SEED;
  await fc.assert(property, { numRuns: runs, seed: which, includeErrorInReport: true });
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

// Waiting with a limit and an outcome: every wait of the tests goes through here, so that none can hang and each failure
// says what was waited for.
import { setTimeout as pause } from "node:timers/promises";

/** How much longer everything may take: an emulated machine (vm.ts) is some twenty times slower. */
export const PATIENCE = process.env["TSNET_VM"] === "tcg" ? 5 : 1;

/** How long to wait and how often to look. */
export interface WaitLimits {
  /** Default 10 seconds; five times as long on an emulated machine. */
  readonly limitMs?: number;
  /** Default 50 ms. */
  readonly intervalMs?: number;
}

/**
 * Asks `probe` until it returns something other than `undefined` or `false`.
 *
 * @param what - what is waited for, as it shall stand in the error: `dockerd to answer`.
 * @returns what the probe returned.
 * @throws Error after the limit, with the probe's last failure as its cause. A probe that throws counts as "not yet".
 */
export async function waitUntil<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  { limitMs = 10_000, intervalMs = 50 }: WaitLimits = {},
): Promise<T> {
  const patienceMs = limitMs * PATIENCE;
  const deadline = Date.now() + patienceMs;
  let cause: unknown;
  for (;;) {
    const isLast = Date.now() >= deadline; // who slept too long looks once more
    try {
      const found = await probe();
      if (found !== undefined && found !== false) return found;
      cause = undefined;
    } catch (failure) {
      cause = failure;
    }
    if (isLast) break;
    await pause(intervalMs);
  }
  const last = cause instanceof Error ? `; last: ${cause.message}` : "";
  throw new Error(`waited ${patienceMs} ms in vain for ${what}${last}`, { cause });
}

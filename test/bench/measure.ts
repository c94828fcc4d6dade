// How the benchmarks measure: both sides in turn in one run, medians and p95.
import { performance } from "node:perf_hooks";

/** Who is measured. */
export type Side = "tsnet" | "bridge";

/** What was measured of the same thing on both sides. */
export interface Pair {
  readonly title: string;
  readonly tsnet: Summary;
  readonly bridge: Summary;
  readonly ratio: number;
}

/** Milliseconds. */
export interface Summary {
  readonly medianMs: number;
  readonly p95Ms: number;
}

/** Each side goes first in every other round. */
export function inTurn(round: number): readonly Side[] {
  return round % 2 === 0 ? ["tsnet", "bridge"] : ["bridge", "tsnet"];
}

/** How long a task takes, in milliseconds. */
export async function timed(task: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await task();
  return performance.now() - start;
}

/** Compares what was measured, in milliseconds. */
export function pair(title: string, times: Record<Side, number[]>): Pair {
  const [tsnet, bridge] = [summary(times.tsnet), summary(times.bridge)];
  return { title, tsnet, bridge, ratio: tsnet.medianMs / bridge.medianMs };
}

/** Median and p95. */
export function summary(times: readonly number[]): Summary {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { medianMs: at(0.5), p95Ms: at(0.95) };
}

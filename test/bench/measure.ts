// How the benchmarks measure: both sides in turn in one run, medians and p95.
import { performance } from "node:perf_hooks";

/** One side of a comparison. */
export interface Summary {
  readonly medianMs: number;
  readonly p95Ms: number;
}

/** The same thing done by two, of which the first is ours. */
export interface Pair {
  readonly title: string;
  readonly sides: Readonly<Record<string, Summary>>;
  /** Median of the first by that of the second: below 1 ours is faster. */
  readonly ratio: number;
  /** What the ratio shall be at most, or with `least` at least. */
  readonly goal?: number | { readonly least: number };
}

/** A number that stands alone. */
export interface Figure {
  readonly title: string;
  readonly value: number;
  readonly unit: string;
  /** What it shall be at most, or with `least` at least. */
  readonly goal?: number | { readonly least: number };
}

/** What a benchmark found. */
export interface Measured {
  readonly pairs?: readonly Pair[];
  readonly figures?: readonly Figure[];
}

/** Each side goes first in every other round. */
export function inTurn<const T>(round: number, sides: readonly [T, T]): readonly T[] {
  return round % 2 === 0 ? sides : sides.toReversed();
}

/** How long a task takes, in milliseconds. */
export async function timed(task: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await task();
  return performance.now() - start;
}

/** Compares what was measured. @param times - milliseconds by side, ours first. */
export function pair(title: string, times: Readonly<Record<string, readonly number[]>>): Pair {
  const sides = Object.entries(times).map(([name, each]) => [name, summary(each)] as const);
  const [ours, others] = sides.map(([, { medianMs }]) => medianMs);
  return { title, sides: Object.fromEntries(sides), ratio: (ours ?? NaN) / (others ?? NaN) };
}

/** A line for each. */
export function linesOf({ pairs = [], figures = [] }: Measured): readonly string[] {
  return [...pairs.map(lineOfPair), ...figures.map(lineOfFigure)];
}

function lineOfPair({ title, sides, ratio, goal }: Pair): string {
  const shown = Object.entries(sides).map(
    ([name, { medianMs, p95Ms }]) => `${name} ${medianMs.toFixed(1)} ms (p95 ${p95Ms.toFixed(1)})`,
  );
  return `${title.padEnd(30)} ${shown.join(", ")}, ratio ${ratio.toFixed(2)}${judged(ratio, goal)}`;
}

function lineOfFigure({ title, value, unit, goal }: Figure): string {
  return `${title.padEnd(30)} ${value.toFixed(value < 10 ? 2 : 0)} ${unit}${judged(value, goal)}`;
}

function judged(value: number, goal: Pair["goal"]): string {
  if (goal === undefined) return "";
  const [word, limit] = typeof goal === "number" ? ["at most", goal] : ["at least", goal.least];
  return ` (goal: ${word} ${limit}${hasMet(value, goal) ? "" : ", MISSED"})`;
}

/** Whether a ratio or figure is as it shall be. */
export function hasMet(value: number, goal: NonNullable<Pair["goal"]>): boolean {
  return typeof goal === "number" ? value <= goal : value >= goal.least;
}

/** Median and p95. */
export function summary(times: readonly number[]): Summary {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { medianMs: at(0.5), p95Ms: at(0.95) };
}

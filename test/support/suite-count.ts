// Counts what a suite's report says (`suite-report.ts`). A skipped test is expected only if it says why: it puts a sentence into
// its `meta.skipReason` (`expectedSkip` does that); any other skip makes the run fail, so that nothing falls away unseen.
import { readFile } from "node:fs/promises";
import { stripVTControlCharacters } from "node:util";
import type { TestContext } from "vitest";
import type { Report, ReportedTest } from "./suite-report.ts";

declare module "vitest" {
  interface TaskMeta {
    /** Why a test may be skipped on this machine. */
    skipReason?: string;
  }
}

/** How one test went. */
export interface TestOutcome {
  /** With those of its `describe`s. */
  readonly title: string;
  readonly outcome: "passed" | "failed" | "skipped";
  /** Why it was skipped; empty if it does not say. */
  readonly reason: string;
}

/** How one suite, or all of them, went. */
export interface SuiteCount {
  readonly tests: readonly TestOutcome[];
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Of each failure: the test's title and the first lines of what it says. */
  readonly failures: readonly string[];
  /** `title (reason)`. */
  readonly expectedSkips: readonly string[];
  readonly unexpectedSkips: readonly string[];
}

/** Ends the running test as skipped for a reason that is all right on this machine: `this kernel has no 802.1Q links`. */
export function expectedSkip(context: TestContext, reason: string): never {
  context.task.meta.skipReason = reason;
  return context.skip(reason);
}

/** How a suite without a report went. @param failures - none, or why it failed. */
export function countOnly(...failures: readonly string[]): SuiteCount {
  return {
    tests: [],
    passed: 0,
    failed: failures.length,
    skipped: 0,
    failures,
    expectedSkips: [],
    unexpectedSkips: [],
  };
}

/**
 * Reads a report. A crash (no report, a file that failed outside its tests, or a failing exit code) is at least one failure.
 *
 * @param hasFailed - vitest's exit code was not 0.
 */
export async function readReport(path: string, hasFailed: boolean): Promise<SuiteCount> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return countOnly("ended without a report");
  const { tests, faults } = JSON.parse(text) as Report; // written by our own reporter
  const skips = tests.filter(({ state }) => !["passed", "failed"].includes(state));
  const failures = [
    ...tests.filter(({ state }) => state === "failed").map(({ title, errors }) => told(title, errors)),
    ...faults.map(({ place, errors }) => told(place, errors)),
  ];
  if (hasFailed && failures.length === 0) failures.push("the tests passed, and vitest failed");
  return {
    tests: tests.map(outcomeOf),
    passed: tests.filter(({ state }) => state === "passed").length,
    failed: failures.length,
    skipped: skips.length,
    failures,
    expectedSkips: skips.filter(hasReason).map(({ title, skipReason }) => `${title} (${skipReason})`),
    unexpectedSkips: skips.filter((test) => !hasReason(test)).map(({ title }) => title),
  };
}

/** The sum of all. */
export function sumCounts(counts: readonly SuiteCount[]): SuiteCount {
  const sum = (pick: (count: SuiteCount) => number) => counts.reduce((total, count) => total + pick(count), 0);
  return {
    tests: counts.flatMap((count) => count.tests),
    passed: sum((count) => count.passed),
    failed: sum((count) => count.failed),
    skipped: sum((count) => count.skipped),
    failures: counts.flatMap((count) => count.failures),
    expectedSkips: counts.flatMap((count) => count.expectedSkips),
    unexpectedSkips: counts.flatMap((count) => count.unexpectedSkips),
  };
}

/** Enough of a failure to know it by where only the end of the output is shown. */
function told(title: string, messages: readonly string[]): string {
  const lines = stripVTControlCharacters(messages.join("\n"))
    .split("\n")
    .filter((line) => !line.includes("/node_modules/"));
  return [title, ...lines.slice(0, 12).map((line) => `    ${line.slice(0, 300)}`)].join("\n");
}

function outcomeOf({ title, state, skipReason }: ReportedTest): TestOutcome {
  return { title, outcome: state === "pending" ? "skipped" : state, reason: skipReason ?? "" };
}

function hasReason({ skipReason }: ReportedTest): boolean {
  return skipReason !== undefined;
}

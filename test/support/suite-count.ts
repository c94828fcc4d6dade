// Counts what vitest wrote with its JSON reporter. A skipped test is expected only if it says why: it puts a sentence into
// its `meta.skipReason` (`expectedSkip` does that); any other skip makes the run fail, so that nothing falls away unseen.
import { readFile } from "node:fs/promises";
import type { TestContext } from "vitest";

declare module "vitest" {
  interface TaskMeta {
    /** Why a test may be skipped on this machine. */
    skipReason?: string;
  }
}

/** How one suite, or all of them, went. */
export interface SuiteCount {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** `title (reason)`. */
  readonly expectedSkips: readonly string[];
  readonly unexpectedSkips: readonly string[];
}

/** Ends the running test as skipped for a reason that is all right on this machine: `this kernel has no 802.1Q links`. */
export function expectedSkip(context: TestContext, reason: string): never {
  context.task.meta.skipReason = reason;
  return context.skip(reason);
}

/** Counts nothing but failures: what a suite without a report contributes. */
export function countOnly(failed: number): SuiteCount {
  return { passed: 0, failed, skipped: 0, expectedSkips: [], unexpectedSkips: [] };
}

/**
 * Reads a report. A crash (no report, a file that failed outside its tests, or a failing exit code) is at least one failure.
 *
 * @param hasFailed - vitest's exit code was not 0.
 */
export async function readReport(path: string, hasFailed: boolean): Promise<SuiteCount> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return countOnly(1);
  const report = JSON.parse(text) as Report; // written by vitest's own reporter
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  const skips = tests.filter((test) => !["passed", "failed"].includes(test.status));
  const failed = tests.filter((test) => test.status === "failed").length;
  const brokenFiles = report.testResults.filter(isBroken).length;
  return {
    passed: tests.filter((test) => test.status === "passed").length,
    failed: Math.max(failed + brokenFiles, hasFailed ? 1 : 0),
    skipped: skips.length,
    expectedSkips: skips.filter(hasReason).map((test) => `${test.fullName} (${test.meta?.skipReason})`),
    unexpectedSkips: skips.filter((test) => !hasReason(test)).map((test) => test.fullName),
  };
}

/** The sum of all. */
export function sumCounts(counts: readonly SuiteCount[]): SuiteCount {
  const sum = (pick: (count: SuiteCount) => number) => counts.reduce((total, count) => total + pick(count), 0);
  return {
    passed: sum((count) => count.passed),
    failed: sum((count) => count.failed),
    skipped: sum((count) => count.skipped),
    expectedSkips: counts.flatMap((count) => count.expectedSkips),
    unexpectedSkips: counts.flatMap((count) => count.unexpectedSkips),
  };
}

interface ReportedTest {
  readonly fullName: string;
  readonly status: string;
  readonly meta?: { readonly skipReason?: string };
}

interface ReportedFile {
  readonly status: string;
  readonly assertionResults: readonly ReportedTest[];
}

interface Report {
  readonly testResults: readonly ReportedFile[];
}

function hasReason(test: ReportedTest): boolean {
  return test.meta?.skipReason !== undefined;
}

/** Failed without a failed test in it: did not load, or a hook failed. */
function isBroken(file: ReportedFile): boolean {
  return file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed");
}

// Counts what vitest wrote with its JSON reporter. A skipped test is expected only if it says why: it puts a sentence into
// its `meta.skipReason` (`expectedSkip` does that); any other skip makes the run fail, so that nothing falls away unseen.
import { readFile } from "node:fs/promises";
import { stripVTControlCharacters } from "node:util";
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
  return { passed: 0, failed: failures.length, skipped: 0, failures, expectedSkips: [], unexpectedSkips: [] };
}

/**
 * Reads a report. A crash (no report, a file that failed outside its tests, or a failing exit code) is at least one failure.
 *
 * @param hasFailed - vitest's exit code was not 0.
 */
export async function readReport(path: string, hasFailed: boolean): Promise<SuiteCount> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return countOnly("ended without a report");
  const report = JSON.parse(text) as Report; // written by vitest's own reporter
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  const skips = tests.filter((test) => !["passed", "failed"].includes(test.status));
  const failures = [
    ...tests.filter((test) => test.status === "failed").map((test) => told(test.fullName, test.failureMessages)),
    ...report.testResults.filter(isBroken).map((file) => told(file.name, [file.message])),
  ];
  if (hasFailed && failures.length === 0) failures.push("the tests passed, and vitest failed");
  return {
    passed: tests.filter((test) => test.status === "passed").length,
    failed: failures.length,
    skipped: skips.length,
    failures,
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
    failures: counts.flatMap((count) => count.failures),
    expectedSkips: counts.flatMap((count) => count.expectedSkips),
    unexpectedSkips: counts.flatMap((count) => count.unexpectedSkips),
  };
}

interface ReportedTest {
  readonly fullName: string;
  readonly status: string;
  readonly failureMessages: readonly string[];
  readonly meta?: { readonly skipReason?: string };
}

interface ReportedFile {
  readonly name: string;
  readonly status: string;
  readonly message: string;
  readonly assertionResults: readonly ReportedTest[];
}

interface Report {
  readonly testResults: readonly ReportedFile[];
}

/** Enough of a failure to know it by where only the end of the output is shown. */
function told(title: string, messages: readonly string[]): string {
  const lines = stripVTControlCharacters(messages.join("\n"))
    .split("\n")
    .filter((line) => !line.includes("/node_modules/"));
  return [title, ...lines.slice(0, 12).map((line) => `    ${line.slice(0, 300)}`)].join("\n");
}

function hasReason(test: ReportedTest): boolean {
  return test.meta?.skipReason !== undefined;
}

/** Failed without a failed test in it: did not load, or a hook failed. */
function isBroken(file: ReportedFile): boolean {
  return file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed");
}

// `npm test`: installs what the tests need, runs every suite in order, goes on after failures, and ends with one line of
// totals. Arguments choose: suite names (`kernel system`), and `--engines=20.10,26.1,28.5` runs the system suite once each.
// Start it through `bootstrap.sh`.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { execa } from "execa";
import { ENGINE_VERSIONS, selectedEngine } from "./support/engines.ts";
import { TEST_PACKAGES, ensurePackages } from "./support/packages.ts";
import { type SuiteCount, countOnly, readReport, sumCounts } from "./support/suite-count.ts";

/** A suite is either a command that succeeds or not, or projects of `vitest.config.ts`. */
interface Suite {
  readonly name: string;
  readonly script?: string;
  readonly projects?: readonly string[];
  readonly engine?: string;
}

interface Result {
  readonly suite: Suite;
  readonly count: SuiteCount;
  readonly durationMs: number;
}

const REPO = join(import.meta.dirname, "..");
const SUITE_LIMIT_MS = 20 * 60_000;

const SUITES: readonly Suite[] = [
  { name: "check", script: "check" },
  { name: "build", script: "build" },
  { name: "unit", projects: ["unit", "wire"] },
  { name: "kernel", projects: ["kernel"] },
  { name: "plugin:build", script: "plugin:build" },
  { name: "system", projects: ["system"] },
];

process.exitCode = await main(process.argv.slice(2)).catch((failure: unknown) => {
  console.error(failure);
  console.log("\n0 passed, 1 failed, 0 skipped");
  return 1;
});

async function main(args: readonly string[]): Promise<number> {
  const suites = chooseSuites(args);
  console.log("\n== packages");
  await ensurePackages(TEST_PACKAGES);
  const results: Result[] = [];
  for (const suite of suites) results.push(await runSuite(suite));
  return printTotals(results);
}

/** @throws Error that names the suites and engines there are. */
function chooseSuites(args: readonly string[]): readonly Suite[] {
  const names = args.filter((arg) => !arg.startsWith("--"));
  const engines =
    args
      .find((arg) => arg.startsWith("--engines="))
      ?.slice("--engines=".length)
      .split(",") ?? [];
  const bad = [
    ...names.filter((name) => !SUITES.some((suite) => suite.name === name)),
    ...args.filter((arg) => arg.startsWith("--") && !arg.startsWith("--engines=")),
    ...engines.filter((engine) => !(ENGINE_VERSIONS as readonly string[]).includes(engine)),
  ];
  if (bad.length > 0) {
    const known = SUITES.map((suite) => suite.name).join(", ");
    throw new Error(`unknown: ${bad.join(", ")}; suites: ${known}; --engines=${ENGINE_VERSIONS.join(",")}`);
  }
  const chosen = SUITES.filter((suite) => names.length === 0 || names.includes(suite.name));
  const wanted = engines.length > 0 ? engines : [selectedEngine()];
  return chosen.flatMap((suite) =>
    suite.name === "system" ? wanted.map((engine) => ({ ...suite, name: `system ${engine}`, engine })) : [suite],
  );
}

async function runSuite(suite: Suite): Promise<Result> {
  console.log(`\n== ${suite.name}`);
  const start = performance.now();
  const count = suite.projects === undefined ? await runScript(suite) : await runVitest(suite, suite.projects);
  return { suite, count, durationMs: performance.now() - start };
}

async function runScript(suite: Suite): Promise<SuiteCount> {
  const { failed } = await execa("npm", ["run", "--silent", suite.script ?? suite.name], settings(suite));
  return countOnly(failed ? 1 : 0);
}

async function runVitest(suite: Suite, projects: readonly string[]): Promise<SuiteCount> {
  const folder = await mkdtemp(join(tmpdir(), "tsnet-report-"));
  try {
    const report = join(folder, "report.json");
    const selection = projects.flatMap((project) => ["--project", project]);
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
    const flags = ["run", "--config", "test/vitest.config.ts", ...selection, ...reporters];
    const { failed } = await execa("vitest", flags, settings(suite));
    return await readReport(report, failed);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function settings(suite: Suite) {
  const env = suite.engine === undefined ? {} : { TSNET_ENGINE: suite.engine };
  return {
    cwd: REPO,
    env,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
    reject: false,
    timeout: SUITE_LIMIT_MS,
    forceKillAfterDelay: 30_000, // SIGTERM first: the labs take themselves down
  } as const;
}

/** @returns the exit code. */
function printTotals(results: readonly Result[]): number {
  console.log("\nsuite            passed failed skipped minutes");
  for (const { suite, count, durationMs } of results) {
    const numbers = [count.passed, count.failed, count.skipped].map((number, at) =>
      String(number).padStart(at === 2 ? 7 : 6),
    );
    console.log(`${suite.name.padEnd(16)} ${numbers.join(" ")} ${(durationMs / 60_000).toFixed(2).padStart(7)}`);
  }
  const total = sumCounts(results.map((result) => result.count));
  for (const skip of total.expectedSkips) console.log(`skipped: ${skip}`);
  for (const skip of total.unexpectedSkips)
    console.log(`skipped without a reason, which counts against this run: ${skip}`);
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return total.failed > 0 || total.unexpectedSkips.length > 0 ? 1 : 0;
}

// `npm test`: installs what the tests need, runs every suite in order, goes on after failures, and ends with one line of
// totals. Arguments choose: suite names (`kernel system`), and `--engines=20.10,26.1,28.5` runs the system suite once each.
// After `vm` any test files may follow: they run in the virtual machine instead of its own ones.
// Start it through `bootstrap.sh`.
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { execa } from "execa";
import { ENGINE_VERSIONS, selectedEngine } from "./support/engines.ts";
import { onProcessEnd } from "./support/lab-cleanup.ts";
import { TEST_PACKAGES, VM_PACKAGES, ensurePackages } from "./support/packages.ts";
import { type SuiteCount, countOnly, readReport, sumCounts } from "./support/suite-count.ts";
import { runInVm } from "./support/vm.ts";

/** A suite is either a command that succeeds or not, or projects of `vitest.config.ts`. */
interface Suite {
  readonly name: string;
  readonly script?: string;
  readonly projects?: readonly string[];
  readonly engine?: string;
  readonly isInVm?: boolean;
  /** Runs only when it is named: an emulated machine takes its time. */
  readonly isOnRequest?: boolean;
  /** Instead of all files of the projects. */
  readonly files?: readonly string[];
}

interface Result {
  readonly suite: Suite;
  readonly count: SuiteCount;
  readonly durationMs: number;
}

const REPO = join(import.meta.dirname, "..");
const SUITE_LIMIT_MS = 25 * 60_000;

const SUITES: readonly Suite[] = [
  { name: "check", script: "check" },
  { name: "build", script: "build" },
  { name: "unit", projects: ["unit", "wire"] },
  { name: "kernel", projects: ["kernel"] },
  { name: "plugin:build", script: "plugin:build" },
  { name: "system", projects: ["system"] },
  { name: "vm", projects: ["vm"], isInVm: true, isOnRequest: true },
];

process.exitCode = await main(process.argv.slice(2)).catch((failure: unknown) => {
  console.error(failure);
  console.log("\n0 passed, 1 failed, 0 skipped");
  return 1;
});

async function main(args: readonly string[]): Promise<number> {
  const suites = chooseSuites(args);
  console.log("\n== packages");
  await ensurePackages([...TEST_PACKAGES, ...(suites.some(({ isInVm }) => isInVm === true) ? VM_PACKAGES : [])]);
  const results: Result[] = [];
  for (const suite of suites) results.push(await runSuite(suite));
  return printTotals(results);
}

/** @throws Error that names the suites and engines there are. */
function chooseSuites(args: readonly string[]): readonly Suite[] {
  const files = args.filter((arg) => arg.endsWith(".test.ts"));
  const names = args.filter((arg) => !arg.startsWith("--") && !files.includes(arg));
  const engines =
    args
      .find((arg) => arg.startsWith("--engines="))
      ?.slice("--engines=".length)
      .split(",") ?? [];
  const bad = [
    ...names.filter((name) => !SUITES.some((suite) => suite.name === name)),
    ...args.filter((arg) => arg.startsWith("--") && !arg.startsWith("--engines=")),
    ...engines.filter((engine) => !(ENGINE_VERSIONS as readonly string[]).includes(engine)),
    ...(names.includes("vm") ? [] : files),
  ];
  if (bad.length > 0) {
    const known = SUITES.map((suite) => suite.name).join(", ");
    throw new Error(`unknown: ${bad.join(", ")}; suites: ${known}; --engines=${ENGINE_VERSIONS.join(",")}`);
  }
  const chosen = SUITES.filter(
    (suite) => names.includes(suite.name) || (names.length === 0 && suite.isOnRequest !== true),
  );
  if (files.length > 0)
    return chosen.map((suite) => (suite.isInVm === true ? { ...suite, files, projects: projectsOf(files) } : suite));
  const wanted = engines.length > 0 ? engines : [selectedEngine()];
  return chosen.flatMap((suite) =>
    suite.name === "system" ? wanted.map((engine) => ({ ...suite, name: `system ${engine}`, engine })) : [suite],
  );
}

/** A project has the name of its folder. @param files - `test/kernel/nat/rules.test.ts`. */
function projectsOf(files: readonly string[]): readonly string[] {
  return [...new Set(files.map((file) => relative(import.meta.dirname, resolve(REPO, file)).split("/")[0] ?? ""))];
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
  const forget = onProcessEnd(() => rmSync(folder, { recursive: true, force: true }));
  try {
    const report = join(folder, "report.json");
    const selection = projects.flatMap((project) => ["--project", project]);
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
    const options = ["run", "--config", "test/vitest.config.ts", ...selection, ...reporters, ...(suite.files ?? [])];
    const hasFailed = suite.isInVm === true ? await failsInVm(options, folder) : await fails(options, suite);
    return await readReport(report, hasFailed);
  } finally {
    forget();
    await rm(folder, { recursive: true, force: true });
  }
}

async function fails(options: readonly string[], suite: Suite): Promise<boolean> {
  const { failed } = await execa("vitest", options, settings(suite));
  return failed;
}

/** Runs vitest in the virtual machine. @param folder - the one that it may write to. */
async function failsInVm(options: readonly string[], folder: string): Promise<boolean> {
  const passed = Object.entries(process.env).filter(([name]) => ["PATH", "HOME", "TSNET_ENGINE"].includes(name));
  const env = { ...Object.fromEntries(passed), CI: "1", ...(process.stdout.isTTY ? {} : { NO_COLOR: "1" }) };
  const job = { argv: ["vitest", ...options], cwd: REPO, env, share: folder };
  try {
    const { exitCode, console: text } = await runInVm(job, SUITE_LIMIT_MS);
    if (exitCode !== 0) console.log(`\nconsole of the virtual machine:\n${text}`);
    return exitCode !== 0;
  } catch (failure) {
    console.error("the virtual machine could not be made:", failure);
    return true;
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

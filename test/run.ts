// `npm test`: installs what the tests need, runs every suite in order, goes on after failures, and ends with one line of
// totals. The virtual machine, which wants a processor, runs beside the suites that follow it, which mostly wait; its report
// comes after theirs. Arguments choose: suite names (`kernel system`), and
// `--engines=20.10,26.1,28.5` runs the system suites once each, `--faults` only the files that prove entries of the catalogue,
// whose table then ends the run (`faults/table.ts`). After `vm` any test files may follow: they run in the virtual machine instead of
// its own ones. Start it through `bootstrap.sh`.
import { rmSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { inspect } from "node:util";
import { execa } from "execa";
import { filesFor, printVerdicts } from "./faults/table.ts";
import { ENGINE_VERSIONS, selectedEngine } from "./support/engines.ts";
import { onProcessEnd } from "./support/lab-cleanup.ts";
import { TEST_PACKAGES, VM_PACKAGES, ensurePackages } from "./support/packages.ts";
import { type SuiteOutput, say } from "./support/suite-output.ts";
import { REPORT_VARIABLE } from "./support/suite-report.ts";
import { type SuiteCount, countOnly, readReport, sumCounts } from "./support/suite-count.ts";
import { bundlePrograms } from "./support/vm-programs.ts";
import { runInVm } from "./support/vm.ts";

/** A suite is either a command that succeeds or not, or projects of `vitest.config.ts`. */
interface Suite {
  readonly name: string;
  readonly script?: string;
  readonly projects?: readonly string[];
  readonly engine?: string;
  /** It then runs beside the suites that follow. */
  readonly isInVm?: boolean;
  /** It then runs once for each engine that is asked for. */
  readonly isOnEngine?: boolean;
  /** Runs only when it is named: it takes too long for every run. */
  readonly isOnRequest?: boolean;
  /** Instead of all files of the projects. */
  readonly files?: readonly string[];
}

interface Result {
  readonly suite: Suite;
  readonly count: SuiteCount;
  readonly durationMs: number;
}

/** Of a suite that ran beside others, among whose reports its own has no place. */
interface HeldBack {
  readonly result: Result;
  readonly text: string;
}

/** Where a suite writes. */
interface Desk {
  readonly output: SuiteOutput;
  /** For its report; empty. */
  readonly folder: string;
}

const REPO = join(import.meta.dirname, "..");

const FAULTS = "--faults";

/** How long a suite may take, on a machine half as fast: of `npm test`, and of what is run only when it is named. */
const LIMIT_MS = 40 * 60_000;
const LONG_LIMIT_MS = 90 * 60_000;

const SUITES: readonly Suite[] = [
  { name: "check", script: "check" },
  { name: "build", script: "build" },
  { name: "unit", projects: ["unit", "wire"] },
  { name: "fuzz", projects: ["fuzz"] },
  { name: "plugin:build", script: "plugin:build" },
  { name: "vm", projects: ["vm"], isInVm: true },
  { name: "vm-long", projects: ["vm-long"], isInVm: true, isOnRequest: true },
  { name: "kernel", projects: ["kernel"] },
  { name: "long", projects: ["long"], isOnRequest: true },
  { name: "system", projects: ["system"], isOnEngine: true },
  { name: "system-long", projects: ["system-long"], isOnEngine: true, isOnRequest: true },
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
  let beside: Promise<HeldBack> | undefined;
  for (const [at, suite] of suites.entries()) {
    const areOthersToCome = suites.slice(at + 1).some(({ isInVm }) => isInVm !== true);
    if (suite.isInVm === true && areOthersToCome) {
      beside = runBeside(suite);
      beside.catch(() => {}); // it is told below
      continue;
    }
    results.push(await runHere(suite));
  }
  if (beside !== undefined) {
    const { result, text } = await beside;
    console.log(`\n== ${result.suite.name}\n${text}`);
    results.push(result);
  }
  const exitCode = printTotals(results);
  if (!args.includes(FAULTS)) return exitCode;
  const bad = printVerdicts(results.flatMap(({ count }) => count.tests));
  return bad.length > 0 ? 1 : exitCode;
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
    ...args.filter((arg) => arg.startsWith("--") && !arg.startsWith("--engines=") && arg !== FAULTS),
    ...engines.filter((engine) => !(ENGINE_VERSIONS as readonly string[]).includes(engine)),
    ...(names.includes("vm") ? [] : files),
  ];
  if (bad.length > 0) {
    const known = SUITES.map((suite) => suite.name).join(", ");
    throw new Error(`unknown: ${bad.join(", ")}; suites: ${known}; --engines=${ENGINE_VERSIONS.join(",")}; ${FAULTS}`);
  }
  const isOfFaults = args.includes(FAULTS);
  const named = SUITES.filter(
    (suite) => names.includes(suite.name) || (names.length === 0 && (isOfFaults || suite.isOnRequest !== true)),
  );
  const chosen = isOfFaults ? named.flatMap(ofFaults) : named;
  if (files.length > 0) {
    const once = chosen.filter(({ name }) => name !== "vm-long");
    return once.map((suite) => (suite.isInVm === true ? { ...suite, files, projects: projectsOf(files) } : suite));
  }
  const wanted = engines.length > 0 ? engines : [selectedEngine()];
  return chosen.flatMap((suite) =>
    suite.isOnEngine === true
      ? wanted.map((engine) => ({ ...suite, name: `${suite.name} ${engine}`, engine }))
      : [suite],
  );
}

/** What of a suite proves entries of the catalogue: none of it, or some files. */
function ofFaults(suite: Suite): readonly Suite[] {
  if (suite.projects === undefined) return [suite];
  const files = suite.projects.flatMap((project) => filesFor(project));
  return files.length > 0 ? [{ ...suite, files }] : [];
}

/** A project has the name of its folder. @param files - `test/kernel/nat/rules.test.ts`. */
function projectsOf(files: readonly string[]): readonly string[] {
  const projects = files.map((file) => {
    const [folder = "", next] = relative(import.meta.dirname, resolve(REPO, file)).split("/");
    return next === "long" ? `${folder}-long` : folder;
  });
  return [...new Set(projects)];
}

async function runHere(suite: Suite): Promise<Result> {
  console.log(`\n== ${suite.name}`);
  return await withFolder(async (folder) => await runSuite(suite, { folder, output: "inherit" }));
}

async function runBeside(suite: Suite): Promise<HeldBack> {
  console.log(`\n== ${suite.name}: beside what follows; its report comes after that`);
  return await withFolder(async (folder) => {
    const file = join(folder, "output");
    const result = await runSuite(suite, { folder, output: { file, append: true } });
    return { result, text: await readFile(file, "utf8") };
  });
}

async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "tsnet-report-"));
  const forget = onProcessEnd(() => rmSync(folder, { recursive: true, force: true }));
  try {
    return await work(folder);
  } finally {
    forget();
    await rm(folder, { recursive: true, force: true });
  }
}

async function runSuite(suite: Suite, desk: Desk): Promise<Result> {
  const start = performance.now();
  const count =
    suite.projects === undefined ? await runScript(suite, desk) : await runVitest(suite, suite.projects, desk);
  return { suite, count, durationMs: performance.now() - start };
}

async function runScript(suite: Suite, desk: Desk): Promise<SuiteCount> {
  const { failed } = await execa("npm", ["run", "--silent", suite.script ?? suite.name], settings(suite, desk));
  return failed ? countOnly("failed: its output is above") : countOnly();
}

async function runVitest(suite: Suite, projects: readonly string[], desk: Desk): Promise<SuiteCount> {
  const report = join(desk.folder, "report.json");
  const selection = projects.flatMap((project) => ["--project", project]);
  const config = ["--config", "test/vitest.config.ts", "--configLoader", "native"]; // it needs no bundling, which takes long in the VM
  const options = ["run", ...config, ...selection, ...(suite.files ?? [])];
  const hasFailed = await (suite.isInVm === true ? failsInVm : fails)(options, suite, desk, report);
  return await readReport(report, hasFailed);
}

async function fails(options: readonly string[], suite: Suite, desk: Desk, report: string): Promise<boolean> {
  const { env, ...others } = settings(suite, desk);
  const { failed } = await execa("vitest", options, { ...others, env: { ...env, [REPORT_VARIABLE]: report } });
  return failed;
}

/** Runs vitest in the virtual machine, which may write to the folder and nowhere else. */
async function failsInVm(
  options: readonly string[],
  suite: Suite,
  { folder, output }: Desk,
  report: string,
): Promise<boolean> {
  const passed = Object.entries(process.env).filter(([name]) => ["PATH", "HOME", "TSNET_ENGINE"].includes(name));
  try {
    const NODE_OPTIONS = await bundlePrograms(join(folder, "programs"));
    const colour = process.stdout.isTTY ? {} : { NO_COLOR: "1" };
    const env = { ...Object.fromEntries(passed), CI: "1", ...colour, NODE_OPTIONS, [REPORT_VARIABLE]: report };
    const job = { argv: ["vitest", ...options], cwd: REPO, env, share: folder };
    const { exitCode, console: text } = await runInVm(job, limitOf(suite), output);
    if (exitCode !== 0) say(output, `\nconsole of the virtual machine:\n${text}`);
    return exitCode !== 0;
  } catch (failure) {
    say(output, `the virtual machine could not be made: ${inspect(failure)}`);
    return true;
  }
}

function limitOf({ isOnRequest = false, files }: Suite): number {
  return isOnRequest || files !== undefined ? LONG_LIMIT_MS : LIMIT_MS;
}

function settings(suite: Suite, { output }: Desk) {
  const env = suite.engine === undefined ? {} : { TSNET_ENGINE: suite.engine };
  return {
    cwd: REPO,
    env,
    stdin: "ignore",
    stdout: output,
    stderr: output,
    reject: false,
    timeout: limitOf(suite),
    forceKillAfterDelay: 30_000, // SIGTERM first: the labs take themselves down
  } as const;
}

/** @returns the exit code. */
function printTotals(results: readonly Result[]): number {
  for (const { suite, count } of results)
    for (const failure of count.failures) console.log(`\n${suite.name}: ${failure}`);
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

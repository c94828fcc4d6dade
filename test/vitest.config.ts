// Suites by what they need: unit and wire run anywhere; fuzz, kernel and system want root, system a Docker engine too; vm runs in the
// virtual machine (`npm run test:vm`), where files of the other suites can run as well.
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { REPORT_VARIABLE, SuiteReport } from "./support/suite-report.ts";

/** An emulated processor is some twenty times slower than the machine (support/vm.ts). */
const PATIENCE = process.env["TSNET_VM"] === "tcg" ? 5 : 1;

/** As long as `waitUntil` waits (support/wait-until.ts); vitest's own second passes on a busy machine while nobody runs. */
const POLL_MS = 10_000;

const project = (name: string, include: string[], timeoutMs: number, maxWorkers = 1) => ({
  test: {
    name,
    include,
    root: import.meta.dirname + "/..",
    testTimeout: timeoutMs * PATIENCE,
    hookTimeout: timeoutMs * PATIENCE,
    expect: { poll: { timeout: Math.min(POLL_MS, timeoutMs / 2) * PATIENCE } },
    fileParallelism: maxWorkers > 1,
    maxWorkers,
    pool: "forks" as const,
  },
});

/** Where a process takes many seconds to start, all files share one. */
const inOneProcess = ({ test }: ReturnType<typeof project>) => ({
  test: { ...test, isolate: false },
});

/** Files that take long for their size, by which vitest has the largest first. */
const LONG = /\/(?:bridge-kill-points|ovs-tunnels|bridge-tunnels|histories)\.test\.ts$/;

/** What takes long begins early: at the end nobody waits for one file alone. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => LONG.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

const reportPath = process.env[REPORT_VARIABLE];

export default defineConfig({
  test: {
    reporters: reportPath === undefined ? ["default"] : ["default", new SuiteReport(reportPath)],
    root: import.meta.dirname + "/..",
    sequence: { sequencer: LongFirst },
    projects: [
      project("unit", ["test/unit/**/*.test.ts"], 10_000, 2),
      project("wire", ["test/wire/**/*.test.ts"], 15_000, 2),
      project("fuzz", ["test/fuzz/*.test.ts"], 60_000, 2),
      // Each file in namespaces of its own, and waiting half of the time.
      project("kernel", ["test/kernel/**/*.test.ts"], 60_000, 3),
      project("system", ["test/system/*.test.ts"], 180_000, 3),
      project("long", ["test/long/*.test.ts"], 5_400_000),
      project("system-long", ["test/system/long/*.test.ts"], 180_000, 2),
      inOneProcess(project("vm", ["test/vm/*.test.ts"], 60_000)),
      inOneProcess(project("vm-long", ["test/vm/long/*.test.ts"], 60_000)),
    ],
  },
});

// Suites by what they need: unit and wire run anywhere; kernel and system want root, system a Docker engine too; vm runs in the
// virtual machine (`npm run test:vm`), where files of the other suites can run as well.
import { defineConfig } from "vitest/config";

/** An emulated processor is some twenty times slower than the machine (support/vm.ts). */
const PATIENCE = process.env["TSNET_VM"] === "tcg" ? 5 : 1;

const project = (name: string, include: string[], timeoutMs: number, fileParallelism = true) => ({
  test: {
    name,
    include,
    root: import.meta.dirname + "/..",
    testTimeout: timeoutMs * PATIENCE,
    hookTimeout: timeoutMs * PATIENCE,
    fileParallelism,
    maxWorkers: fileParallelism ? 2 : 1,
    pool: "forks" as const,
  },
});

export default defineConfig({
  test: {
    root: import.meta.dirname + "/..",
    projects: [
      project("unit", ["test/unit/**/*.test.ts"], 10_000),
      project("wire", ["test/wire/**/*.test.ts"], 15_000),
      project("kernel", ["test/kernel/**/*.test.ts"], 60_000, false),
      project("system", ["test/system/**/*.test.ts"], 180_000),
      project("vm", ["test/vm/**/*.test.ts"], 60_000, false),
    ],
  },
});

// The packets of a network on Open vSwitch with the kernel's datapath, beside those of a bare Open vSwitch bridge, in the virtual
// machine, whose kernel has that datapath for certain. traffic-vm-main.ts measures there. On an emulated processor only the
// ratios mean anything: they compare how much there is to do, with packets of many kilobytes as on a real one.
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundlePrograms } from "../support/vm-programs.ts";
import { runInVm } from "../support/vm.ts";
import { type Measured, pair } from "./measure.ts";
import { EXCHANGES, MEGABYTES, type VmTimes } from "./traffic-vm-main.ts";

const REPO = join(import.meta.dirname, "../..");
const MAIN = join(import.meta.dirname, "traffic-vm-main.ts");
const LIMIT_MS = 1_200_000;
/** Of the throughput or rate 0.98 at least: what is compared are times. */
const GOAL = 1.02;

/** Container to container on one network. @throws Error with the virtual machine's console. */
export async function measureTrafficInVm(): Promise<Measured> {
  const share = await mkdtemp(join(tmpdir(), "tsnet-bench-"));
  try {
    const result = join(share, "times.json");
    const NODE_OPTIONS = await bundlePrograms(join(share, "programs"));
    const env = { PATH: process.env["PATH"] ?? "", HOME: "/root", NODE_OPTIONS };
    const argv = [process.execPath, "--no-warnings", MAIN, result];
    const { exitCode, console: text } = await runInVm({ argv, cwd: REPO, env, share }, LIMIT_MS, "inherit");
    if (exitCode !== 0) throw new Error(`the virtual machine did not measure:\n${text}`);
    const { bulk, echo } = JSON.parse(readFileSync(result, "utf8")) as VmTimes; // written by our own program
    return {
      pairs: [
        { ...pair(`kernel's OVS, ${MEGABYTES} MB`, bulk), goal: GOAL },
        { ...pair(`kernel's OVS, ${EXCHANGES} round trips`, echo), goal: GOAL },
      ],
    };
  } finally {
    await rm(share, { recursive: true, force: true });
  }
}

// A virtual machine with a complete Debian kernel for tests that the machine's own kernel may be too small for. Its files are
// the machine's own, read-only under a layer in memory (9p), so that every program and this repository are there without
// an image being built; what it writes is lost when it ends, but for one folder. It has no network, and needs no help of
// the processor: KVM is used where it works, and qemu emulates elsewhere, some twenty times slower than the machine.
import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { onProcessEnd } from "./lab-cleanup.ts";
import { makeLabFolder, removeLabFolder, removeLabFolderAtOnce } from "./lab-folder.ts";
import { type SuiteOutput, say } from "./suite-output.ts";
import { provideVmKernel } from "./vm-kernel.ts";
import { type VmJob, packRamdisk } from "./vm-ramdisk.ts";
import { waitUntil } from "./wait-until.ts";

const MEMORY_MIB = 4096;
/** A guest that KVM really runs says its first word after a second or two. */
const KVM_LIMIT_MS = 15_000;
/** How each way of running fits; without AVX the emulation is quicker. */
const ACCELERATORS = {
  kvm: ["-accel", "kvm", "-cpu", "host"],
  tcg: ["-accel", "tcg,thread=multi", "-cpu", "Nehalem"],
} as const;
/** `mitigations=off` spares the emulation work; AppArmor would want its parser for each container. */
const KERNEL_OPTIONS = "console=ttyS0 loglevel=5 panic=-1 mitigations=off apparmor=0 audit=0";

type Accelerator = keyof typeof ACCELERATORS;

/** How a job ended. */
export interface VmOutcome {
  /** Of the job; absent when the machine broke down before its end, or the time was over. */
  readonly exitCode?: number;
  /** What the kernel and the guest's start wrote; for a breakdown also what qemu complained about. */
  readonly console: string;
}

interface Boot {
  readonly folder: string;
  readonly machine: readonly string[];
  readonly limitMs: number;
  readonly output: SuiteOutput;
}

/**
 * Boots, runs one command as root, and powers off. In the command's environment `TSNET_VM` says `kvm` or `tcg`. Nothing stays
 * behind: neither files but those in the job's share, nor processes, not even when this process is killed.
 *
 * @param limitMs - for all of it.
 * @param output - takes the command's.
 * @throws Error when the kernel cannot be fetched or the RAM disk not be packed.
 */
export async function runInVm(job: VmJob, limitMs: number, output: SuiteOutput): Promise<VmOutcome> {
  const kernel = await provideVmKernel();
  const folder = makeLabFolder("vm");
  const forget = onProcessEnd(() => removeLabFolderAtOnce(folder));
  try {
    const mark = join(dirname(kernel.root), "kvm-failed");
    for (const accelerator of accelerators(mark)) {
      const env = { ...job.env, TSNET_VM: accelerator };
      const ramdisk = await packRamdisk(join(folder, accelerator), kernel, { ...job, env });
      const machine = [
        ...ACCELERATORS[accelerator],
        "-kernel",
        kernel.image,
        "-initrd",
        ramdisk,
        ...devices(job.share),
      ];
      const outcome = await boot(accelerator, { folder, machine, limitMs, output });
      if (outcome !== undefined) return outcome;
      writeFileSync(mark, bootId());
    }
    throw new Error("unreachable: qemu can always emulate");
  } finally {
    forget();
    await removeLabFolder(folder);
  }
}

/** Those to be tried in turn. @param mark - a file with the id of the boot since which KVM is known to fail. */
function accelerators(mark: string): readonly Accelerator[] {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch {
    return ["tcg"];
  }
  return readText(mark) === bootId() ? ["tcg"] : ["kvm", "tcg"];
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
}

function devices(share: string): string[] {
  const memory = Math.min(MEMORY_MIB, Math.floor(totalmem() / 2 / 1024 / 1024));
  const folders = [
    "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap",
    `local,path=${share},mount_tag=share,security_model=none`,
  ];
  return [
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
    "-display",
    "none",
    "-smp",
    String(Math.min(4, availableParallelism())),
    "-m",
    String(memory),
    "-append",
    KERNEL_OPTIONS,
    ...folders.flatMap((options) => ["-virtfs", options]),
  ];
}

/** @returns undefined when KVM does not run this kernel, although its device is there. */
async function boot(
  accelerator: Accelerator,
  { folder, machine, limitMs, output }: Boot,
): Promise<VmOutcome | undefined> {
  const log = join(folder, `${accelerator}.log`);
  const lines = ["-serial", `file:${log}`, "-serial", "stdio"]; // the console, and the job's output
  const bound = ["--pdeathsig", "KILL", "--", "prlimit", "--core=0", "--"];
  const qemu = execa("setpriv", [...bound, "qemu-system-x86_64", ...machine, ...lines], {
    cwd: folder,
    stdio: ["ignore", output, "pipe"],
    reject: false,
    timeout: limitMs,
    forceKillAfterDelay: 2000,
  });
  if (accelerator === "kvm" && !(await comesUp(qemu, log))) {
    say(output, "KVM does not run a Debian kernel on this machine: emulating");
    qemu.kill("SIGKILL");
    await qemu;
    return undefined;
  }
  const { stderr, timedOut } = await qemu;
  const text = readText(log);
  const exit = /^tsnet-vm: exit (\d+)\r?$/m.exec(text)?.[1];
  if (exit !== undefined) return { exitCode: Number(exit), console: text };
  return { console: `${text}\n${stderr}${timedOut ? `\nnot done after ${limitMs / 1000} s` : ""}` };
}

async function comesUp(qemu: PromiseLike<unknown>, log: string): Promise<boolean> {
  let hasEnded = false;
  void qemu.then(() => (hasEnded = true));
  const isUp = () => readText(log).includes("tsnet-vm: up");
  const limits = { limitMs: KVM_LIMIT_MS, intervalMs: 100 };
  await waitUntil("the guest to come up", () => hasEnded || isUp(), limits).catch(() => {});
  return isUp();
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

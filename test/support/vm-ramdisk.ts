// The initial RAM disk of the virtual machine of the tests: Debian's static busybox, the modules that lead to the machine's own
// files, the first script, and what shall be run. Packed anew for each run, which takes less than a second.
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { execa } from "execa";
import { type VmKernel, findModules } from "./vm-kernel.ts";

const MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];
const MOUNT_POINTS = ["proc", "sys", "dev", "lower", "upper", "root"];

/** What a virtual machine shall do. */
export interface VmJob {
  readonly argv: readonly string[];
  readonly cwd: string;
  /** Replaces the environment of this process; TMPDIR is set besides. */
  readonly env: Readonly<Record<string, string>>;
  /** The one folder of this machine that the guest may write to; it has the same path there. */
  readonly share: string;
}

/** Packs the RAM disk. @param folder - empty, for work. @returns its path. */
export async function packRamdisk(folder: string, kernel: VmKernel, job: VmJob): Promise<string> {
  const root = join(folder, "ramdisk");
  for (const name of ["bin", "modules", "job", ...MOUNT_POINTS]) await mkdir(join(root, name), { recursive: true });
  await copyFile("/bin/busybox", join(root, "bin/busybox"));
  await copyFile(join(import.meta.dirname, "vm-init.sh"), join(root, "init"));
  await chmod(join(root, "init"), 0o755);
  for (const [index, path] of (await findModules(kernel, MODULES)).entries())
    await copyFile(path, join(root, "modules", `${String(index).padStart(2, "0")}-${basename(path)}`));
  for (const [name, text] of Object.entries(describeJob(kernel, job))) await writeFile(join(root, "job", name), text);
  const packed = `${root}.cpio`;
  const pack = 'cd "$0" && find . | busybox cpio -o -H newc >"$1"';
  await execa("bash", ["--norc", "-o", "pipefail", "-c", pack, root, packed], { timeout: 60_000 });
  return packed;
}

/** The files that `vm-init.sh` and `vm-guest.sh` read. */
function describeJob(kernel: VmKernel, job: VmJob): Readonly<Record<string, string>> {
  const environment = Object.entries({ ...job.env, TMPDIR: "/tsnet-vm/tmp" }).map(([key, value]) => `${key}=${value}`);
  const list = (parts: readonly string[]) => parts.map((part) => `${part}\0`).join("");
  return {
    share: job.share,
    guest: join(import.meta.dirname, "vm-guest.sh"),
    modules: kernel.modules,
    cwd: job.cwd,
    environment: list(environment),
    argv: list(job.argv),
  };
}

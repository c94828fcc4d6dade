// A complete Debian kernel for the virtual machine of the tests (`vm.ts`), unpacked (not installed: no boot loader, no initramfs)
// from the package that `linux-image-amd64` stands for, once per machine. To get a newer one, remove the folder.
//
//   <cache>/6.1.0-56-amd64/vmlinux                         what qemu boots
//   <cache>/6.1.0-56-amd64/lib/modules/6.1.0-56-amd64/     all modules but those for hardware that no virtual machine has
import { existsSync, rmSync } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { onProcessEnd } from "./lab-cleanup.ts";

const META_PACKAGE = "linux-image-amd64";
const HARDWARE = [
  "sound",
  ...["gpu", "iio", "infiniband", "media", "net/ethernet", "net/wireless", "scsi", "staging", "usb"].map(
    (name) => `drivers/${name}`,
  ),
];
const XZ_MAGIC = Buffer.from("fd377a585a00", "hex");
const SETTINGS = { stdin: "ignore", timeout: 300_000 } as const;

/** One unpacked kernel. */
export interface VmKernel {
  /** As `uname -r` says it: `6.1.0-56-amd64`. */
  readonly version: string;
  /** For `qemu -kernel`. */
  readonly image: string;
  /** What is `/lib/modules/<version>` on an installed system. */
  readonly modules: string;
  /** Folder that holds `lib/modules`, for `modprobe -d`. */
  readonly root: string;
}

/**
 * Finds the newest kernel of the cache, or fetches one, which takes some 15 s and 200 MB of disk once. Safe to call from
 * several runs at once.
 *
 * @throws Error on a machine that is not x86-64, and when apt-get or a tool fails.
 */
export async function provideVmKernel(): Promise<VmKernel> {
  if (process.arch !== "x64")
    throw new Error(`the virtual machine of the tests is x86-64, this machine ${process.arch}`);
  const cache = process.env["TSNET_VM_CACHE"] ?? "/var/cache/tsnet-vm";
  await mkdir(cache, { recursive: true });
  const found = (await readdir(cache)).filter((name) => /^\d[\d.]*-\d+-amd64$/.test(name));
  const newest = found.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1);
  const version = newest ?? (await fetchInto(cache));
  const root = join(cache, version);
  return { version, root, image: join(root, "vmlinux"), modules: join(root, "lib/modules", version) };
}

/** The modules to load, dependencies first, and those of other names in between. @param names - as modprobe(8) takes them. */
export async function findModules(kernel: VmKernel, names: readonly string[]): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const name of names) {
    const options = ["-d", kernel.root, "-S", kernel.version, "--show-depends", name];
    const { stdout } = await execa("modprobe", options, SETTINGS); // lines `insmod PATH` or `builtin NAME`
    paths.push(...[...stdout.matchAll(/^insmod (\S+)/gm)].flatMap(([, path]) => path ?? []));
  }
  return [...new Set(paths)];
}

/** Unpacks beside the final folder and renames: another run sees all of it or nothing. @returns the kernel's version. */
async function fetchInto(cache: string): Promise<string> {
  const work = join(cache, `work.${process.pid}`);
  const forget = onProcessEnd(() => rmSync(work, { recursive: true, force: true }));
  try {
    await mkdir(work);
    await execa("apt-get", ["-qq", "-o", "Acquire::Retries=3", "update"], SETTINGS);
    const name = await findKernelPackage();
    const version = name.replace("linux-image-", "");
    console.error(`fetching the kernel of the virtual machine (${name}, unpacked below ${cache})`);
    const flags = ["-qq", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3", "download", name];
    await execa("apt-get", flags, { ...SETTINGS, cwd: work });
    const [deb = ""] = await readdir(work);
    await unpack(join(work, deb), join(work, "root"), version);
    await rename(join(work, "root"), join(cache, version)).catch((failure: unknown) => {
      if (!existsSync(join(cache, version))) throw failure; // else another run was first: its copy is as good
    });
    return version;
  } finally {
    forget();
    await rm(work, { recursive: true, force: true });
  }
}

/** @returns `linux-image-6.1.0-56-amd64`. */
async function findKernelPackage(): Promise<string> {
  const { stdout } = await execa("apt-cache", ["show", "--no-all-versions", META_PACKAGE], SETTINGS);
  const found = /^Depends: (linux-image-\d\S*)/m.exec(stdout)?.[1];
  if (found === undefined) throw new Error(`apt-cache knows no kernel that ${META_PACKAGE} depends on`);
  return found;
}

async function unpack(deb: string, root: string, version: string): Promise<void> {
  await execa("dpkg", ["-x", deb, root], SETTINGS);
  if (!existsSync(join(root, "lib"))) await symlink("usr/lib", join(root, "lib")); // as on a merged system
  const modules = join(root, "lib/modules", version);
  for (const folder of HARDWARE) await rm(join(modules, "kernel", folder), { recursive: true, force: true });
  await execa("find", [modules, "-name", "*.ko.xz", "-exec", "xz", "-d", "{}", "+"], SETTINGS); // insmod wants them plain
  await execa("depmod", ["-b", root, version], SETTINGS);
  await writeFile(join(root, "vmlinux"), await extractKernel(join(root, "boot", `vmlinuz-${version}`)));
}

/**
 * The kernel without the program that unpacks it, which would need as long under emulation as all the rest of the boot. qemu
 * boots it by its PVH note. A kernel that is packed otherwise than by xz is taken as it is.
 *
 * Source: Documentation/arch/x86/boot.rst, fields setup_sects, payload_offset and payload_length.
 */
async function extractKernel(path: string): Promise<Buffer> {
  const image = await readFile(path);
  const start = (image.readUInt8(0x1f1) + 1) * 512 + image.readUInt32LE(0x248);
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c));
  if (!payload.subarray(0, XZ_MAGIC.length).equals(XZ_MAGIC)) return image;
  const unpacking = { input: payload, encoding: "buffer", maxBuffer: 512 * 1024 * 1024, timeout: 60_000 } as const;
  const { stdout } = await execa("xz", ["-dc", "--single-stream"], unpacking);
  return Buffer.from(stdout);
}

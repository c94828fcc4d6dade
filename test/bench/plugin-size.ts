// How large the managed plugin is: what lies in its root file system, and that as a registry would have it.
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { execa } from "execa";

const REPO = join(import.meta.dirname, "../..");
const ROOTFS = join(REPO, "build/plugin/rootfs");

/** Builds the plugin. @returns bytes of its files, and of a tar archive of them that is compressed as the engine does it. */
export async function pluginSize(): Promise<{ readonly rootfs: number; readonly compressed: number }> {
  await execa("npm", ["run", "--silent", "plugin:build"], { cwd: REPO, stdio: ["ignore", "ignore", "inherit"] });
  let compressed = 0;
  const count = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      compressed += chunk.length;
      done();
    },
  });
  const archive = execa("tar", ["-C", ROOTFS, "-cf", "-", "."], { buffer: false, stdout: "pipe" });
  await Promise.all([archive, pipeline(archive.readable(), createGzip(), count)]);
  return { rootfs: sizeOf(ROOTFS), compressed };
}

/** Bytes of all files below; what links lead to is not counted again, as a recursive `readdir` would. */
function sizeOf(folder: string): number {
  const sizes = readdirSync(folder, { withFileTypes: true }).map((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sizeOf(path);
    return entry.isFile() ? lstatSync(path).size : 0;
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}

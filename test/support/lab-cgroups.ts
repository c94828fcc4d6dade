// Removes the cgroups that runc leaves behind when a lab ends by force: containers' below the lab's own name (dockerd's
// `--cgroup-parent`), and managed plugins' at the top under their ids, which no flag can move.
import { existsSync, readdirSync, rmdirSync } from "node:fs";
import { basename, join } from "node:path";

const ROOT = "/sys/fs/cgroup";

/** Names of all cgroups that a lab may have made. Ask while its folder is there: plugin ids are read from its data. */
export function cgroupNamesOf(folder: string): string[] {
  const plugins = foldersIn(join(folder, "data/plugins")).map((path) => basename(path));
  return [basename(folder), ...plugins.filter((name) => /^[0-9a-f]{64}$/.test(name))];
}

/** Paths of the cgroups with these names at the top of any hierarchy (cgroup v1: one per controller). */
export function findCgroups(names: readonly string[]): string[] {
  const tops = [ROOT, ...foldersIn(ROOT)];
  return tops.flatMap((top) => names.map((name) => join(top, name))).filter((path) => existsSync(path));
}

/** Removes them, innermost first. @returns those that stayed because they still hold a process. */
export function removeCgroups(names: readonly string[]): string[] {
  for (const path of findCgroups(names)) removeTree(path);
  return findCgroups(names);
}

function removeTree(path: string): void {
  for (const child of foldersIn(path)) removeTree(child);
  try {
    rmdirSync(path);
  } catch {
    // busy for a moment longer: the caller sees that it is still there
  }
}

function foldersIn(path: string): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(path, entry.name));
}

// Removes the cgroups that runc leaves behind when a lab's containers end by force. Only those below the lab's own name.
import { readdirSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";

/** Paths of the cgroups that are called `name` at the top of any hierarchy (cgroup v1: one per controller). */
export function findCgroups(name: string): string[] {
  const tops = [ROOT, ...foldersIn(ROOT)];
  return tops.map((top) => join(top, name)).filter((path) => statSync(path, { throwIfNoEntry: false }) !== undefined);
}

/** Removes them, innermost first. A cgroup that still holds a process stays, and is found by `findCgroups`. */
export function removeCgroups(name: string): void {
  for (const path of findCgroups(name)) removeTree(path);
}

function removeTree(path: string): void {
  for (const child of foldersIn(path)) removeTree(child);
  try {
    rmdirSync(path);
  } catch {
    // busy for a moment longer: the caller looks again
  }
}

function foldersIn(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(path, entry.name));
}

// Demos that were left up with --keep: found again by a file in the folders of their labs, and taken down.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { labFolders, removeLabFolder } from "../support/lab-folder.ts";
import type { LabNamespace } from "../support/lab-namespace.ts";
import { waitUntil } from "../support/wait-until.ts";

const MARK = "kept-demo";

/** Notes that these namespaces belong to a demo that stays. */
export function markKept(namespaces: readonly LabNamespace[]): void {
  for (const { folder, keeperPid } of namespaces) writeFileSync(join(folder, MARK), String(keeperPid));
}

/** Takes down what `markKept` noted, whoever started it. @returns how many hosts there were. */
export async function takeDownKept(): Promise<number> {
  const folders = labFolders().filter((folder) => existsSync(join(folder, MARK)));
  for (const folder of folders) {
    const pid = Number(readFileSync(join(folder, MARK), "utf8"));
    if (isKeeper(pid, folder)) {
      process.kill(pid, "SIGKILL"); // pid 1 of its namespace: everything inside ends with it
      await waitUntil(`process ${pid} to end`, () => !isKeeper(pid, folder));
    }
    await removeLabFolder(folder);
  }
  return folders.length;
}

/** Pids are given out again: only a process that names the folder is its keeper. */
function isKeeper(pid: number, folder: string): boolean {
  const path = `/proc/${pid}/cmdline`;
  return existsSync(path) && readFileSync(path, "utf8").split("\0").includes(folder);
}

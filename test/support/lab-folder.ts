// The temp folder of one lab: `<tmp>/tsnet-lab-<pid>-<number>-<name>`. Also removes the folders (and cgroups) of runs that were
// killed with -9: those whose keeper (pid and start time in the file `keeper`) and whose maker no longer live.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cgroupNamesOf, removeCgroups } from "./lab-cgroups.ts";
import { waitUntil } from "./wait-until.ts";

const PREFIX = "tsnet-lab-";
let count = 0;

/** Makes the folder of a new lab and sweeps those of dead runs. @returns its path; its last part is unique on this machine. */
export function makeLabFolder(name: string): string {
  sweepDeadFolders();
  count += 1;
  const folder = join(tmpdir(), `${PREFIX}${process.pid}-${count}-${name}`);
  mkdirSync(folder, { mode: 0o755 });
  writeFileSync(join(folder, "keeper"), processMark(process.pid));
  return folder;
}

/** Notes whose life the folder's life hangs on from now on. @param pid - as seen from this process. */
export function markKeeper(folder: string, pid: number): void {
  writeFileSync(join(folder, "keeper"), processMark(pid));
}

/** Removes the folder and the cgroups of an ended lab. @throws Error with what resisted. */
export async function removeLabFolder(folder: string): Promise<void> {
  const cgroups = cgroupNamesOf(folder);
  await waitUntil(`the cgroups ${cgroups.join(", ")} to be empty`, () => removeCgroups(cgroups).length === 0);
  await waitUntil(
    `${folder} to be removable`,
    async () => {
      await rm(folder, { recursive: true, force: true });
      return !existsSync(folder);
    },
    { limitMs: 10_000, intervalMs: 100 },
  );
}

/** The same at once, for the end of this process: once more would be too late. */
export function removeLabFolderAtOnce(folder: string): void {
  const cgroups = cgroupNamesOf(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  removeCgroups(cgroups);
}

/** The paths of all lab folders on this machine, also those of other runs. */
export function labFolders(): string[] {
  return readdirSync(tmpdir())
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => join(tmpdir(), name));
}

function sweepDeadFolders(): void {
  for (const folder of labFolders()) {
    const mark = readText(join(folder, "keeper")).split(" ");
    const isAlive = mark.length === 2 && processMark(Number(mark[0])) === mark.join(" ");
    if (isAlive || mark.length !== 2) continue;
    try {
      removeLabFolderAtOnce(folder);
    } catch {
      // another run sweeps the same folder: it will be gone
    }
  }
}

/** `PID STARTTIME`, or empty when there is no such process: a pid alone may have been given out again. */
function processMark(pid: number): string {
  const stat = readText(`/proc/${pid}/stat`);
  const startTime = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  return startTime === undefined ? "" : `${pid} ${startTime}`;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

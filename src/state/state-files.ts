// The files in the folder of records: their names, who may have made them, and how one takes the place of another so that a
// crash at any moment leaves either of them whole.
//
//   tsnet.db             the records (`sqlite-store.ts`), with tsnet.db-wal, its log
//   tsnet.db-count       how many commits were answered (`commit-count.ts`)
//   tsnet.db-reserve     room for removals when the disk is full
//   tsnet.db-incomplete  there while records may be missing without a name: why, one line
//   tsnet.db.format-1    the records as they were before they were brought to this format
//   tsnet.db.damaged-N   files that were found damaged, with their -wal; 1 is the first of them, 4 the last
//   tsnet.db.mended      complete, about to become tsnet.db
//   tsnet.db.new-PID     only while a file is being made
import { chmodSync, closeSync, copyFileSync, existsSync, fsyncSync, linkSync, lstatSync, mkdirSync } from "node:fs";
import { openSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { TsnetError } from "../errors.ts";

const FILE_NAME = "tsnet.db";

/** What tsnet reads or writes besides the file itself: none may be somebody else's. */
const COMPANIONS = ["", "-wal", "-shm", "-journal", "-count", "-reserve", "-incomplete", ".mended"];

/** So many damaged files are kept: the first ones, which say most, and the last one. */
const KEPT_FILES = 4;

/** @returns the path of the file of records. @throws Error of node:fs; TsnetError `host` for a folder of another user. */
export function requireDirectory(directory: string): string {
  const firstMade = mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (firstMade !== undefined) chmodSync(directory, 0o700);
  const { uid } = statSync(directory);
  const own = process.getuid?.() ?? 0;
  if (uid !== 0 && uid !== own)
    throw new TsnetError("host", `${directory} belongs to user ${uid}, who can exchange its files`);
  return join(directory, FILE_NAME);
}

/** A link or pipe that somebody put there would let them read or steer the records, or hang the start. */
export function requirePlainFiles(path: string): void {
  const uid = process.getuid?.();
  for (const file of COMPANIONS.map((ending) => `${path}${ending}`)) {
    const stats = lstatSync(file, { throwIfNoEntry: false });
    if (stats === undefined) continue;
    if (!stats.isFile()) throw new TsnetError("host", `${file} is no regular file`);
    if (stats.uid !== uid) throw new TsnetError("host", `${file} belongs to user ${stats.uid}, not to user ${uid}`);
    if (stats.nlink > 1 && !removeDraftOf(path, stats.ino))
      throw new TsnetError("host", `${file} has a second name (hard link), by which others reach it`);
    if ((stats.mode & 0o777) !== 0o600) chmodSync(file, 0o600);
  }
}

/** @throws TsnetError `host` if files of records are there without the records themselves: they were taken away. */
export function requireNothingLeft(path: string): void {
  const isOther = (name: string) => name.startsWith(basename(path)) && !name.startsWith(`${basename(path)}.new-`);
  const other = readdirSync(dirname(path)).find(isOther);
  if (other === undefined) return;
  const advice = `restore it, or remove all ${path}* to start without any network`;
  throw new TsnetError("host", `${path} is missing, but ${join(dirname(path), other)} is there; ${advice}`);
}

/** Takes away what starts left that were killed in the middle. The caller is the only daemon here. */
export function removeDrafts(path: string): void {
  const prefix = `${basename(path)}.new-`;
  for (const name of readdirSync(dirname(path))) {
    if (name.startsWith(prefix)) rmSync(join(dirname(path), name), { force: true });
  }
}

/** A start that was killed while it gave a draft its place has left it there with both names. @returns whether it was that. */
function removeDraftOf(path: string, inode: number): boolean {
  const drafts = readdirSync(dirname(path)).filter((name) => name.startsWith(`${basename(path)}.new-`));
  const own = drafts.map((name) => join(dirname(path), name)).filter((file) => lstatSync(file).ino === inode);
  for (const file of own) rmSync(file, { force: true });
  return own.length > 0 && lstatSync(path).nlink === 1;
}

/** An empty file under a name that nobody else uses. */
export function makeDraft(path: string): string {
  const draft = `${path}.new-${process.pid}`;
  rmSync(draft, { force: true });
  closeSync(openSync(draft, "wx", 0o600));
  chmodSync(draft, 0o600); // the umask may have taken even our own rights
  return draft;
}

/**
 * Gives a complete draft its place. Not by a rename: if two daemons start at once, the second one must not win.
 *
 * @returns false if the place is taken.
 */
export function placeDraft(draft: string, path: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false; // of node:fs
    throw cause;
  } finally {
    rmSync(draft, { force: true });
    syncFolder(path);
  }
}

/** Puts a complete draft in the place of the file, which is kept under another name. @returns that name. */
export function replaceFile(draft: string, path: string, isOldFormat: boolean): string {
  const kept = isOldFormat ? `${path}.format-1` : freeKeptName(path);
  for (const ending of ["-wal", ""]) {
    rmSync(`${kept}${ending}`, { force: true });
    if (existsSync(`${path}${ending}`)) copyFileSync(`${path}${ending}`, `${kept}${ending}`);
  }
  renameSync(draft, `${path}.mended`);
  syncFolder(path);
  finishReplacement(path);
  return kept;
}

/** What was interrupted by a crash is done again. The log goes first: beside the new file it would be taken for its own. */
export function finishReplacement(path: string): void {
  if (!existsSync(`${path}.mended`)) return;
  for (const ending of ["-wal", "-shm"]) rmSync(`${path}${ending}`, { force: true });
  syncFolder(path);
  renameSync(`${path}.mended`, path);
  syncFolder(path);
}

/** Why records may be missing, as an earlier start found out; undefined if none are. */
export function readLoss(path: string): string | undefined {
  const file = lossFile(path);
  return existsSync(file) ? (readFileSync(file, "utf8").split("\n", 1)[0] ?? "") : undefined;
}

/** Remembers, until an operator removes the file, that records may be missing. */
export function writeLoss(path: string, loss: string): void {
  writeFileSync(lossFile(path), `${loss}\n`, { mode: 0o600, flush: true });
  syncFolder(path);
}

/** The file that says so. */
export function lossFile(path: string): string {
  return `${path}-incomplete`;
}

function freeKeptName(path: string): string {
  const names = Array.from({ length: KEPT_FILES }, (_, n) => `${path}.damaged-${n + 1}`);
  return names.find((name) => !existsSync(name)) ?? `${path}.damaged-${KEPT_FILES}`;
}

function syncFolder(path: string): void {
  const folder = openSync(dirname(path), "r");
  fsyncSync(folder);
  closeSync(folder);
}

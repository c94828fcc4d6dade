// Opens the file of `sqlite-store.ts`: makes it, reads it, mends it, and keeps every other daemon out.
//
// Damage is found here, and nothing of it is ever taken for "no record":
//   - what one of the two trees has lost is taken from the other one;
//   - a record that is damaged in both keeps its name: it is known to be there, and reported;
//   - records that are missing without a name make the store say so (`fault`), until an operator removes a file that says it;
//   - a file of which nothing can be read is left as it is: `openRecordFile` throws, and the daemon goes on without records.
// Whatever is mended goes to a new file, and the damaged one is kept beside it.
//
// The exclusive lock of SQLite (fcntl) dies with the process. No other code of this process may open and close the file
// meanwhile: closing any descriptor of a file gives up all of the process's locks on it (fcntl(2)).
import { closeSync, existsSync, fsyncSync, openSync, rmSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { TsnetError, messageOf } from "../errors.ts";
import { readCommitCount } from "./commit-count.ts";
import { type Row, bookOf, formatBook, sealOfBook } from "./record-book.ts";
import { type Contents, TREES, readCommits, readContents, readOldContents, rowOfDamaged } from "./sqlite-contents.ts";
import * as files from "./state-files.ts";

const FORMAT_VERSION = 2;

const SCHEMA = `
  ${TREES.map(
    (tree) => `
  CREATE TABLE ${tree} (kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, seal INTEGER NOT NULL,
    PRIMARY KEY (kind, id)) STRICT, WITHOUT ROWID;`,
  ).join("")}
  CREATE TABLE books (number INTEGER PRIMARY KEY, text TEXT NOT NULL, seal INTEGER NOT NULL) STRICT;
  PRAGMA user_version = ${FORMAT_VERSION};
`;

/** Result codes of SQLite (sqlite.org/rescode.html), the low byte. */
const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** A file of records that is open, mended, and ours alone until it is closed. */
export interface RecordFile {
  readonly path: string;
  readonly database: DatabaseSync;
  readonly rows: readonly Row[];
  readonly commits: number;
  /** What was found and done, for the log: a line each. */
  readonly notes: readonly string[];
  /** Why records may be missing without a name. */
  readonly fault: TsnetError | undefined;
}

/**
 * Opens the file of records in `directory`, makes both if they are absent, reads all of it, and mends what is damaged.
 *
 * @throws TsnetError `conflict` if another tsnet uses it, `unsupported` if a newer tsnet wrote it, `host` if nothing of it can
 * be read, or if it is somebody else's. In each case the file stays as it is.
 */
export function openRecordFile(directory: string): RecordFile {
  let path = directory;
  try {
    path = files.requireDirectory(directory);
    files.requirePlainFiles(path);
    files.finishReplacement(path);
    if (!existsSync(path)) createFile(directory, path);
    const contents = inspect(path);
    const loss = lossOf(path, contents);
    const rows = [...contents.rows, ...contents.damaged.map(rowOfDamaged)];
    if (loss !== undefined) files.writeLoss(path, loss);
    const notes = contents.isWhole ? [] : [mend(path, rows, contents)];
    const database = openExclusively(directory, path, contents.commits);
    files.removeDrafts(path);
    return {
      path,
      database,
      rows,
      commits: contents.commits,
      notes,
      fault: loss === undefined ? loss : incomplete(path, loss),
    };
  } catch (failure) {
    throw explain(failure, directory, path);
  }
}

/** Not a static import: an older Node must get as far as saying that it is too old. */
function sqlite(): typeof import("node:sqlite") {
  return process.getBuiltinModule("node:sqlite");
}

/** Makes a complete file under another name first: a crash leaves none or a whole one, so an empty one is damage. */
function createFile(directory: string, path: string): void {
  files.requireNothingLeft(path);
  const draft = files.makeDraft(path);
  fill(draft, [], 0);
  if (!files.placeDraft(draft, path)) throw inUse(directory);
}

/** Writes a whole file of records. */
function fill(draft: string, rows: readonly Row[], commits: number): void {
  const database = new (sqlite().DatabaseSync)(draft);
  database.exec(`PRAGMA synchronous = FULL; BEGIN; ${SCHEMA}`);
  for (const tree of TREES) {
    const put = database.prepare(`INSERT INTO ${tree} (kind, id, body, seal) VALUES (?, ?, ?, ?)`);
    for (const { kind, id, body, seal } of rows) put.run(kind, id, body, seal);
  }
  const text = formatBook(bookOf(rows, commits));
  const book = database.prepare("INSERT INTO books (number, text, seal) VALUES (?, ?, ?)");
  for (const number of [1, 2]) book.run(number, text, sealOfBook(text));
  database.exec("COMMIT");
  database.close();
  const descriptor = openSync(draft, "r");
  fsyncSync(descriptor);
  closeSync(descriptor);
}

/** Read-only, so that neither a newer format nor a file that cannot be read is touched. */
function inspect(path: string): Contents & { readonly isOldFormat: boolean } {
  const database = new (sqlite().DatabaseSync)(path, { readOnly: true });
  try {
    const version = Number(valueOf(database, "PRAGMA user_version"));
    if (version > FORMAT_VERSION) {
      const known = `newer than ${FORMAT_VERSION} which this tsnet knows`;
      const advice = "use the newer tsnet again, or another TSNET_STATE_DIR";
      throw new TsnetError("unsupported", `records in ${path} have format ${version}, ${known}; ${advice}`);
    }
    if (version < 1) throw damaged(path, "it is empty or was not written by tsnet");
    const isOldFormat = version === 1;
    const contents = (isOldFormat ? readOldContents : readContents)(database, faultOf(database));
    const isNothing = contents.rows.length + contents.damaged.length === 0;
    if (contents.loss !== undefined && isNothing) throw damaged(path, contents.loss);
    return { ...contents, isOldFormat };
  } finally {
    database.close();
  }
}

/** What SQLite finds wrong with the file, "" for nothing. */
function faultOf(database: DatabaseSync): string {
  try {
    const verdict = String(valueOf(database, "PRAGMA integrity_check(1)")).replaceAll(/\s+/g, " ");
    return verdict === "ok" ? "" : verdict;
  } catch (failure) {
    if (resultOf(failure) === SQLITE_BUSY) throw failure;
    return messageOf(failure);
  }
}

function lossOf(path: string, { loss, commits }: Contents): string | undefined {
  const missing = (readCommitCount(`${path}-count`) ?? 0) - commits;
  const late = `the last ${missing} changes that were answered are not in it: it is of an earlier time, or its log was damaged`;
  const found = [files.readLoss(path), loss, missing > 0 ? late : undefined].filter((why) => why !== undefined);
  return found.length === 0 ? undefined : [...new Set(found)].join("; ");
}

/** @returns what was done. */
function mend(path: string, rows: readonly Row[], contents: Contents & { readonly isOldFormat: boolean }): string {
  const draft = files.makeDraft(path);
  fill(draft, rows, contents.commits);
  const isWholeOld = contents.isOldFormat && contents.loss === undefined && contents.damaged.length === 0;
  const kept = files.replaceFile(draft, path, isWholeOld);
  if (isWholeOld)
    return `records in ${path} were brought to format ${FORMAT_VERSION}; as they were they are kept in ${kept}`;
  const what = contents.loss === undefined && contents.damaged.length === 0 ? "; nothing was lost" : "";
  return `records in ${path} were damaged and are mended${what}; the damaged file is kept as ${kept}`;
}

function openExclusively(directory: string, path: string, commits: number): DatabaseSync {
  const database = new (sqlite().DatabaseSync)(path);
  try {
    // In this order: a first access to the WAL in exclusive mode takes the lock and needs no shared memory file.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    database.exec("BEGIN EXCLUSIVE; COMMIT");
    rmSync(`${path}-shm`, { force: true }); // left by `inspect`
    if (readCommits(database) !== commits) throw inUse(directory); // it was, since `inspect`
    return database;
  } catch (failure) {
    database.close();
    throw failure;
  }
}

function valueOf(database: DatabaseSync, pragma: string): unknown {
  return Object.values(database.prepare(pragma).get() ?? {})[0];
}

function damaged(path: string, why: string, cause?: unknown): TsnetError {
  const advice = `restore it from a copy, or move all ${path}* away to start without any network`;
  return new TsnetError("host", `records in ${path} are damaged: ${why}; ${advice}`, { cause });
}

function incomplete(path: string, loss: string): TsnetError {
  const effect = "what is there goes on and can be removed, nothing new is made";
  const remedy = `restore a copy, or remove the networks that tsnet has no record of, then ${files.lossFile(path)}`;
  return new TsnetError(
    "host",
    `records in ${path} are not complete: ${loss}; ${effect}; ${remedy}, and start tsnet again`,
  );
}

function inUse(directory: string, cause?: unknown): TsnetError {
  return new TsnetError("conflict", `another tsnet uses ${directory}`, { cause });
}

/** The low byte of SQLite's result. */
function resultOf(failure: unknown): number {
  const { errcode = 0 } = failure as { errcode?: number }; // set by node:sqlite
  return errcode & 0xff;
}

function explain(failure: unknown, directory: string, path: string): TsnetError {
  if (failure instanceof TsnetError) return failure;
  const result = resultOf(failure);
  if (result === SQLITE_BUSY) return inUse(directory, failure);
  if (result === SQLITE_CORRUPT || result === SQLITE_NOTADB) return damaged(path, messageOf(failure), failure);
  const message = `cannot open the records in ${path}: ${messageOf(failure)}`;
  return new TsnetError("host", message, { cause: failure });
}

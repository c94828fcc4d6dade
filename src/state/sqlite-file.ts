// Opens the SQLite file of `sqlite-store.ts`: makes it, checks it, and keeps every other daemon out. Damage is found here; a
// file that cannot be read is refused, never taken for an empty one, which would mean that no network exists.
//
// The exclusive lock of SQLite (fcntl) dies with the process. No other code of this process may open and close the file
// meanwhile: closing any descriptor of a file gives up all of the process's locks on it (fcntl(2)).
import { chmodSync, closeSync, existsSync, fsyncSync, linkSync, lstatSync, mkdirSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { TsnetError, messageOf } from "../errors.ts";

const FORMAT_VERSION = 1;
const FILE_NAME = "tsnet.db";

const SCHEMA = `
  CREATE TABLE records (kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id))
    STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${FORMAT_VERSION};
`;

/** Result codes of SQLite (sqlite.org/rescode.html), the low byte. */
const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** A file of records that is open, checked, and ours alone until it is closed. */
export interface RecordFile {
  readonly path: string;
  readonly database: DatabaseSync;
}

/**
 * Opens the file of records in `directory`, makes both if they are absent, and checks the whole file.
 *
 * @throws TsnetError `conflict` if another tsnet uses it, `unsupported` if a newer tsnet wrote it, `host` if it is damaged or
 * cannot be read. In each case the file stays as it is.
 */
export function openRecordFile(directory: string): RecordFile {
  const path = join(directory, FILE_NAME);
  try {
    requireDirectory(directory);
    if (!existsSync(path)) createFile(directory, path);
    requirePlainFile(path);
    checkFile(path);
    return { path, database: openExclusively(path) };
  } catch (failure) {
    throw explain(failure, directory, path);
  }
}

/** Not a static import: an older Node must get as far as saying that it is too old. */
function sqlite(): typeof import("node:sqlite") {
  return process.getBuiltinModule("node:sqlite");
}

function requireDirectory(directory: string): void {
  const firstMade = mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (firstMade !== undefined) chmodSync(directory, 0o700);
}

/** Makes a complete file under another name first: a crash leaves none or a whole one, so an empty one is damage. */
function createFile(directory: string, path: string): void {
  if (existsSync(`${path}-wal`)) {
    throw new TsnetError("host", `${path} is missing, but ${path}-wal is there; restore it, or remove that one too`);
  }
  const draft = `${path}.new-${process.pid}`;
  rmSync(draft, { force: true });
  closeSync(openSync(draft, "wx", 0o600));
  chmodSync(draft, 0o600); // the umask may have taken even our own rights
  const database = new (sqlite().DatabaseSync)(draft);
  database.exec(`PRAGMA synchronous = FULL; BEGIN; ${SCHEMA} COMMIT`);
  database.close();
  try {
    linkSync(draft, path); // not a rename: if two daemons start at once, the second one must not win
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException; // of node:fs
    throw code === "EEXIST" ? inUse(directory, cause) : cause;
  } finally {
    rmSync(draft);
  }
  const folder = openSync(directory, "r");
  fsyncSync(folder);
  closeSync(folder);
}

/** A link or pipe that somebody put there would let them read or steer the records. */
function requirePlainFile(path: string): void {
  const stats = lstatSync(path);
  if (!stats.isFile()) throw new TsnetError("host", `${path} is no regular file`);
  const uid = process.getuid?.();
  if (stats.uid !== uid) throw new TsnetError("host", `${path} belongs to user ${stats.uid}, not to user ${uid}`);
  chmodSync(path, 0o600);
}

/** Read-only, so that neither a newer format nor a damaged file is touched. */
function checkFile(path: string): void {
  const database = new (sqlite().DatabaseSync)(path, { readOnly: true });
  try {
    const version = Number(valueOf(database, "PRAGMA user_version"));
    if (version > FORMAT_VERSION) {
      const known = `newer than ${FORMAT_VERSION} which this tsnet knows`;
      const advice = "use the newer tsnet again, or another TSNET_STATE_DIR";
      throw new TsnetError("unsupported", `records in ${path} have format ${version}, ${known}; ${advice}`);
    }
    if (version < 1) throw damaged(path, "it is empty or was not written by tsnet");
    const verdict = String(valueOf(database, "PRAGMA quick_check(1)"));
    if (verdict !== "ok") throw damaged(path, verdict.replaceAll(/\s+/g, " "));
    database.prepare("SELECT kind, id, body FROM records");
  } finally {
    database.close();
  }
}

function openExclusively(path: string): DatabaseSync {
  const database = new (sqlite().DatabaseSync)(path);
  try {
    // In this order: a first access to the WAL in exclusive mode takes the lock and needs no shared memory file.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    database.exec("BEGIN EXCLUSIVE; COMMIT");
    rmSync(`${path}-shm`, { force: true }); // left by `checkFile`
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
  const advice = "restore it from a copy, or move it away to start without any network";
  return new TsnetError("host", `records in ${path} are damaged: ${why}; ${advice}`, { cause });
}

function inUse(directory: string, cause: unknown): TsnetError {
  return new TsnetError("conflict", `another tsnet uses ${directory}`, { cause });
}

function explain(failure: unknown, directory: string, path: string): TsnetError {
  if (failure instanceof TsnetError) return failure;
  const { errcode = 0 } = failure as { errcode?: number }; // set by node:sqlite
  const result = errcode & 0xff;
  if (result === SQLITE_BUSY) return inUse(directory, failure);
  if (result === SQLITE_CORRUPT || result === SQLITE_NOTADB) return damaged(path, messageOf(failure), failure);
  const message = `cannot open the records in ${path}: ${messageOf(failure)}`;
  return new TsnetError("host", message, { cause: failure });
}

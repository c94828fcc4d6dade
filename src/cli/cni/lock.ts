// One `tsnet cni` at a time changes something on this host. SQLite's lock on a file is taken, since the kernel ends it together with
// the process that holds it, however that ends; nothing is written into the file.
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { TsnetError, messageOf } from "../../errors.ts";

/** As long as a chain of some plugins may take. */
const PATIENCE_MS = 180_000;
const INTERVAL_MS = 50;
/** sqlite.org/rescode.html */
const SQLITE_BUSY = 5;

/**
 * Waits for others.
 *
 * @param folder - of the records.
 * @throws TsnetError `unavailable` if another one never ends, `host` if there can be no lock.
 */
export async function lockRecords(folder: string, patienceMs = PATIENCE_MS): Promise<Disposable> {
  const file = join(folder, "lock");
  const limit = performance.now() + patienceMs;
  for (;;) {
    const lock = tryLock(file);
    if (lock !== undefined) return lock;
    if (performance.now() > limit) {
      throw new TsnetError("unavailable", `${file}: another tsnet cni is at work and does not end`);
    }
    await delay(INTERVAL_MS);
  }
}

/** @returns undefined if another one has it. */
function tryLock(file: string): Disposable | undefined {
  // Not a static import: an older Node must get as far as saying that it is too old.
  const sqlite = process.getBuiltinModule("node:sqlite");
  let database: DatabaseSync | undefined;
  try {
    database = new sqlite.DatabaseSync(file);
    database.exec("BEGIN EXCLUSIVE");
    const locked = database;
    return { [Symbol.dispose]: () => locked.close() };
  } catch (cause) {
    database?.close();
    if (cause instanceof Error && "errcode" in cause && cause.errcode === SQLITE_BUSY) return undefined;
    throw new TsnetError("host", `${file} cannot be locked: ${messageOf(cause)}`, { cause });
  }
}

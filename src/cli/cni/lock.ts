// One `tsnet cni` at a time changes something on this host. SQLite's lock on a file is taken, since the kernel ends it together with
// the process that holds it, however that ends; nothing is written into the file.
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { TsnetError } from "../../errors.ts";

/** As long as a chain of some plugins may take. */
const PATIENCE_MS = 180_000;
const INTERVAL_MS = 50;
/** sqlite.org/rescode.html */
const SQLITE_BUSY = 5;

/**
 * Waits for others.
 *
 * @param folder - of the records.
 * @throws TsnetError `unavailable` if another one never ends.
 */
export async function lockRecords(folder: string, patienceMs = PATIENCE_MS): Promise<Disposable> {
  // Not a static import: an older Node must get as far as saying that it is too old.
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
  const file = join(folder, "lock");
  const database = new DatabaseSync(file);
  const limit = performance.now() + patienceMs;
  for (;;) {
    try {
      database.exec("BEGIN EXCLUSIVE");
      return { [Symbol.dispose]: () => database.close() };
    } catch (cause) {
      const isBusy = cause instanceof Error && "errcode" in cause && cause.errcode === SQLITE_BUSY;
      if (!isBusy || performance.now() > limit) {
        database.close();
        const why = isBusy ? "another tsnet cni is at work and does not end" : "the file cannot be locked";
        throw new TsnetError("unavailable", `${file}: ${why}`, { cause });
      }
    }
    await delay(INTERVAL_MS);
  }
}

// Opens the records for the daemon, whatever state they are in: a daemon that ends is left disabled by the engine, and with
// it all that it could still do. So it goes on without records that nobody can read.
import { TsnetError } from "../errors.ts";
import type { Log } from "../log.ts";
import { ClosedStore } from "./closed-store.ts";
import type { RecordStore } from "./record-store.ts";
import { SqliteStore } from "./sqlite-store.ts";

/** @throws TsnetError `conflict` if another tsnet has them: that one does the work. */
export function openRecords(directory: string, log: Log): RecordStore {
  const records = openOrClosed(directory);
  for (const note of records.notes) log.warn({ note }, "records mended");
  return records;
}

function openOrClosed(directory: string): SqliteStore | ClosedStore {
  try {
    return SqliteStore.open(directory);
  } catch (failure) {
    if (!(failure instanceof TsnetError) || failure.code === "conflict") throw failure;
    return new ClosedStore(failure, directory);
  }
}

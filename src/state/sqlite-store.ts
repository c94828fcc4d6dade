// The records on disk: one SQLite file, changed in durable groups. `sqlite-file.ts` makes, checks and locks it.
//
//   DIRECTORY            mode 0700 if tsnet makes it
//     tsnet.db           mode 0600; PRAGMA user_version = 1, the version of this format; one table:
//                          records (kind TEXT, id TEXT, body TEXT), primary key (kind, id), body is JSON;
//                          kinds and who writes them: `record-store.ts`, bodies: the folder that writes them
//     tsnet.db-wal       changes that are not in tsnet.db yet (sqlite.org/wal.html); both files belong together
//     tsnet.db.new-PID   only while the first start makes the file
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { TsnetError, messageOf } from "../errors.ts";
import type { RecordChange, RecordKind, RecordStore } from "./record-store.ts";
import { type RecordFile, openRecordFile } from "./sqlite-file.ts";

/** One call of `commit`: its changes as text, and who waits for it. */
interface Group {
  readonly changes: readonly { readonly kind: RecordKind; readonly id: string; readonly body: string | undefined }[];
  readonly resolve: () => void;
  readonly reject: (failure: TsnetError) => void;
}

/** Records in a SQLite file. Calls of `commit` in one turn of the event loop share one transaction and one sync. */
export class SqliteStore implements RecordStore {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  #waiting: Group[] = [];
  #isOpen = true;

  private constructor({ path, database }: RecordFile) {
    this.#path = path;
    this.#database = database;
    this.#put = database.prepare("INSERT OR REPLACE INTO records (kind, id, body) VALUES (?, ?, ?)");
    this.#remove = database.prepare("DELETE FROM records WHERE kind = ? AND id = ?");
  }

  /**
   * Opens the records in `directory`, which is made if it is absent, and checks the whole file.
   *
   * @throws TsnetError `conflict` if another tsnet uses them, `unsupported` if a newer tsnet wrote them, `host` if they are
   * damaged or cannot be read. In each case the file stays as it is.
   */
  static open(directory: string): SqliteStore {
    return new SqliteStore(openRecordFile(directory));
  }

  list(kind: RecordKind): ReadonlyMap<string, unknown> {
    const found = new Map<string, unknown>();
    for (const row of this.#database.prepare("SELECT id, body FROM records WHERE kind = ?").iterate(kind)) {
      const { id, body } = row as { id: string; body: string }; // both columns are TEXT NOT NULL of a STRICT table
      try {
        found.set(id, JSON.parse(body));
      } catch (cause) {
        throw new TsnetError("internal", `${kind} record ${JSON.stringify(id)} in ${this.#path} is no JSON`, { cause });
      }
    }
    return found;
  }

  async commit(changes: readonly RecordChange[]): Promise<void> {
    if (!this.#isOpen) throw new TsnetError("unavailable", `the records in ${this.#path} are closed`);
    if (changes.length === 0) return;
    const asText = changes.map((change) => {
      const body = change.op === "put" ? JSON.stringify(change.body) : undefined;
      return { kind: change.kind, id: change.id, body };
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#waiting.length === 0) setImmediate(() => this.#flush());
    this.#waiting.push({ changes: asText, resolve, reject });
    await promise;
  }

  /** Writes what is waiting, then closes the file. */
  close(): void {
    if (!this.#isOpen) return;
    this.#flush();
    this.#isOpen = false;
    this.#database.close();
  }

  #flush(): void {
    const groups = this.#waiting;
    this.#waiting = [];
    if (groups.length === 0) return;
    if (this.#write(groups) === undefined) {
      for (const group of groups) group.resolve();
      return;
    }
    // One group may be the cause, so each has its own try; a single one was alone already, but a retry does no harm.
    for (const group of groups) {
      const failure = this.#write([group]);
      if (failure === undefined) group.resolve();
      else
        group.reject(new TsnetError("host", `cannot write ${this.#path}: ${messageOf(failure)}`, { cause: failure }));
    }
  }

  /** Applies the groups in one transaction. @returns what went wrong; then nothing was changed. */
  #write(groups: readonly Group[]): unknown {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      for (const { kind, id, body } of groups.flatMap((group) => group.changes)) {
        if (body === undefined) this.#remove.run(kind, id);
        else this.#put.run(kind, id, body);
      }
      this.#database.exec("COMMIT");
    } catch (failure) {
      this.#rollBack();
      return failure;
    }
  }

  #rollBack(): void {
    try {
      // After a full disk SQLite has done so by itself.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    } catch {
      // The next BEGIN fails on the open transaction, and comes here again.
    }
  }
}

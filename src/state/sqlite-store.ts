// The records on disk: one SQLite file, changed in durable groups. `sqlite-file.ts` makes, mends and locks it, and says what
// happens to a damaged one; what else is in the folder stands in `state-files.ts`.
//
//   DIRECTORY            mode 0700 if tsnet makes it
//     tsnet.db           mode 0600; PRAGMA user_version = 2, the version of this format; three tables:
//                          records (kind TEXT, id TEXT, body TEXT, seal INTEGER), primary key (kind, id): body is JSON,
//                            seal the CRC-32 of the other three with NUL between them;
//                            kinds and who writes them: `record-store.ts`, bodies: the folder that writes them; and
//                            `damaged`, whose id is kind and id of a record that cannot be read;
//                          copies: the same again, so that one damaged place loses nothing;
//                          books (number, text, seal): two rows alike, text {"commits":17,"count":5,"sum":3735928559}, which
//                            tell a record that is missing from one that never was
//     tsnet.db-wal       changes that are not in tsnet.db yet (sqlite.org/wal.html); both files belong together
//
// Format 1 had the table `records` alone, without seals. It is brought to format 2 when it is opened.
import { statSync } from "node:fs";
import { dirname } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { TsnetError, messageOf } from "../errors.ts";
import { type DiskRoom, readDiskRoom } from "./disk-room.ts";
import { CommitCount } from "./commit-count.ts";
import { type Book, bookOf, combine, formatBook, keyOf, sealOf, sealOfBook } from "./record-book.ts";
import type { CommitPurpose, DamagedRecord, RecordChange, RecordKind, RecordStore } from "./record-store.ts";
import { DAMAGED_KIND, TREES, damagedOf } from "./sqlite-contents.ts";
import { Reserve } from "./reserve.ts";
import { type RecordFile, openRecordFile } from "./sqlite-file.ts";

/** How often at most it is tried whether a disk that refused takes something again. */
const TRIAL_INTERVAL_MS = 1000;

/** As much as a container's start writes. */
const TRIAL = { kind: "host", id: "trial", body: JSON.stringify({ room: "x".repeat(4096) }) } as const;

/** Result codes of SQLite for a disk that is full, or that failed for another reason; the low byte. */
const OUT_OF_ROOM: readonly number[] = [13, 10];

/** One call of `commit`: its changes as text, and who waits for it. */
interface Group {
  readonly changes: readonly { readonly kind: string; readonly id: string; readonly body: string | undefined }[];
  readonly purpose: CommitPurpose;
  readonly resolve: () => void;
  readonly reject: (failure: TsnetError) => void;
}

/** Records in a SQLite file. Calls of `commit` in one turn of the event loop share one transaction and one sync. */
export class SqliteStore implements RecordStore {
  readonly fault: TsnetError | undefined;
  /** What was found and done when the file was opened, for the log: a line each. */
  readonly notes: readonly string[];
  readonly #path: string;
  readonly #inode: number;
  readonly #database: DatabaseSync;
  readonly #put: readonly StatementSync[];
  readonly #remove: readonly StatementSync[];
  readonly #putBook: StatementSync;
  readonly #count: CommitCount;
  readonly #reserve: Reserve;
  readonly #seals: Map<string, number>;
  #book: Book;
  #damaged: readonly DamagedRecord[];
  #trialAt = 0;
  #waiting: Group[] = [];
  #isOpen = true;
  #writeFault: TsnetError | undefined;

  private constructor({ path, database, rows, commits, notes, fault }: RecordFile) {
    [this.#path, this.#database, this.notes, this.fault] = [path, database, notes, fault];
    this.#inode = statSync(path).ino;
    this.#put = TREES.map((tree) =>
      database.prepare(`INSERT OR REPLACE INTO ${tree} (kind, id, body, seal) VALUES (?, ?, ?, ?)`),
    );
    this.#remove = TREES.map((tree) => database.prepare(`DELETE FROM ${tree} WHERE kind = ? AND id = ?`));
    this.#putBook = database.prepare("UPDATE books SET text = ?, seal = ?");
    this.#seals = new Map(rows.map((row) => [keyOf(row), row.seal]));
    this.#book = bookOf(rows, commits);
    this.#damaged = damagedOf(rows);
    this.#count = new CommitCount(`${path}-count`);
    this.#count.write(commits);
    this.#reserve = new Reserve(path);
    this.#reserve.keep();
  }

  /**
   * Opens the records in `directory`, which is made if it is absent, and mends what is damaged.
   *
   * @throws TsnetError `conflict` if another tsnet uses them, `unsupported` if a newer tsnet wrote them, `host` if nothing of
   * them can be read. In each case the file stays as it is.
   */
  static open(directory: string): SqliteStore {
    return new SqliteStore(openRecordFile(directory));
  }

  list(kind: RecordKind): ReadonlyMap<string, unknown> {
    const found = new Map<string, unknown>();
    for (const row of this.#database.prepare("SELECT id, body FROM records WHERE kind = ?").iterate(kind)) {
      const { id, body } = row as { id: string; body: string }; // both columns are TEXT NOT NULL of a STRICT table
      found.set(id, JSON.parse(body)); // sealed, so written by `commit`
    }
    return found;
  }

  damaged(): readonly DamagedRecord[] {
    return this.#damaged;
  }

  get writeFault(): TsnetError | undefined {
    return this.#writeFault;
  }

  tryAgain(): void {
    if (this.#writeFault === undefined || performance.now() < this.#trialAt || !this.#isOpen) return;
    this.#trialAt = performance.now() + TRIAL_INTERVAL_MS;
    const isWritten = this.#writeAlone({ changes: [TRIAL], purpose: "change" }) === undefined;
    if (isWritten) this.#writeAlone({ changes: [{ ...TRIAL, body: undefined }], purpose: "change" });
    if (this.#writeFault === undefined) this.#reserve.keep();
  }

  async disk(): Promise<DiskRoom | undefined> {
    return readDiskRoom(dirname(this.#path));
  }

  async commit(changes: readonly RecordChange[], purpose: CommitPurpose = "change"): Promise<void> {
    if (!this.#isOpen) throw new TsnetError("unavailable", `the records in ${this.#path} are closed`);
    if (changes.length === 0) return;
    const asText = changes.map((change) => {
      const body = change.op === "put" ? JSON.stringify(change.body) : undefined;
      return { kind: change.kind, id: change.id, body };
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#waiting.length === 0) setImmediate(() => this.#flush());
    this.#waiting.push({ changes: asText, purpose, resolve, reject });
    await promise;
  }

  /** Writes what is waiting, then closes the file. */
  close(): void {
    if (!this.#isOpen) return;
    this.#flush();
    this.#isOpen = false;
    this.#database.close();
    this.#count.close();
  }

  #flush(): void {
    const groups = this.#waiting;
    this.#waiting = [];
    if (groups.length === 0) return;
    if (this.#write(groups) === undefined) {
      this.#writeFault = undefined;
      this.#reserve.keep();
      for (const group of groups) group.resolve();
      return;
    }
    // One group may be the cause, so each has its own try; a single one was alone already, but a retry does no harm.
    for (const group of groups) {
      const fault = this.#writeAlone(group);
      if (fault === undefined) group.resolve();
      else group.reject(fault);
    }
  }

  /** @returns what went wrong, which `writeFault` says from then on. */
  #writeAlone(group: Pick<Group, "changes" | "purpose">): TsnetError | undefined {
    let failure = this.#write([group]);
    const { errcode = 0 } = (failure ?? {}) as { errcode?: number }; // set by node:sqlite
    if (OUT_OF_ROOM.includes(errcode & 0xff)) {
      this.#makeRoom(group.purpose);
      failure = this.#write([group]);
    }
    this.#writeFault = failure === undefined ? undefined : writeError(this.#path, failure);
    return this.#writeFault;
  }

  /** Applies the groups in one transaction. @returns what went wrong; then nothing was changed. */
  #write(groups: readonly Pick<Group, "changes">[]): unknown {
    const changes = groups.flatMap((group) => group.changes);
    const seals = new Map<string, number | undefined>();
    let { commits, count, sum } = this.#book;
    const apply = (kind: string, id: string, body: string | undefined) => {
      const key = keyOf({ kind, id });
      const former = seals.has(key) ? seals.get(key) : this.#seals.get(key);
      const seal = body === undefined ? undefined : sealOf(kind, id, body);
      if (body === undefined) this.#remove.forEach((remove) => remove.run(kind, id));
      else this.#put.forEach((put) => put.run(kind, id, body, seal ?? 0));
      count += Number(seal !== undefined) - Number(former !== undefined);
      sum = combine(combine(sum, former ?? 0), seal ?? 0);
      seals.set(key, seal);
    };
    try {
      requireInPlace(this.#path, this.#inode);
      this.#database.exec("BEGIN IMMEDIATE");
      for (const { kind, id, body } of changes) {
        apply(kind, id, body);
        if (this.#seals.has(keyOf({ kind: DAMAGED_KIND, id: `${kind} ${id}` })))
          apply(DAMAGED_KIND, `${kind} ${id}`, undefined);
      }
      commits += 1;
      const text = formatBook({ commits, count, sum });
      this.#putBook.run(text, sealOfBook(text));
      this.#database.exec("COMMIT");
    } catch (failure) {
      this.#rollBack();
      return failure;
    }
    this.#count.write(commits);
    this.#book = { commits, count, sum };
    for (const [key, seal] of seals) {
      if (seal === undefined) this.#seals.delete(key);
      else this.#seals.set(key, seal);
    }
    if (this.#damaged.length > 0) this.#damaged = this.#damaged.filter((one) => this.#isDamaged(one));
  }

  #isDamaged({ kind, id }: DamagedRecord): boolean {
    return this.#seals.has(keyOf({ kind: DAMAGED_KIND, id: `${kind} ${id}` }));
  }

  #rollBack(): void {
    try {
      // After a full disk SQLite has done so by itself.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    } catch {
      // The next BEGIN fails on the open transaction, and comes here again.
    }
  }

  /** On a full disk the log starts anew, so that it need not grow; for removals the reserve is given up. */
  #makeRoom(purpose: CommitPurpose): void {
    try {
      if (purpose === "removal") this.#reserve.giveUp();
      this.#database.exec("PRAGMA wal_checkpoint(RESTART)");
    } catch {
      // The next try says why.
    }
  }
}

function writeError(path: string, failure: unknown): TsnetError {
  return new TsnetError("host", `cannot write ${path}: ${messageOf(failure)}`, { cause: failure });
}

/** What is written to a file that was taken away is lost with the next start. */
function requireInPlace(path: string, inode: number): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.ino === inode) return;
  throw new Error(
    `the file was ${found === undefined ? "moved away" : "exchanged"} while tsnet runs: put it back, or start tsnet again`,
  );
}

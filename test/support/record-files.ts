// Folders of records as a daemon leaves them, and damage done to them.
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { TsnetError } from "../../src/errors.ts";
import { ClosedStore } from "../../src/state/closed-store.ts";
import type { RecordChange, RecordKind, RecordStore } from "../../src/state/record-store.ts";
import { SqliteStore } from "../../src/state/sqlite-store.ts";

const STORE_URL = new URL("../../src/state/sqlite-store.ts", import.meta.url).href;

const KINDS: readonly RecordKind[] = ["network", "endpoint", "pool", "address", "uplink", "host"];

/** Records by `kind id`. */
export type Written = ReadonlyMap<string, unknown>;

/** A folder of its own that goes with the test. */
export class RecordFolder implements Disposable {
  readonly parent = mkdtempSync(join(tmpdir(), "tsnet-records-"));
  /** Does not exist at first. */
  readonly directory = join(this.parent, "state");
  readonly #stores: SqliteStore[] = [];
  readonly #children: ChildProcess[] = [];

  get file(): string {
    return join(this.directory, "tsnet.db");
  }

  /** Closed with the folder. */
  open(): SqliteStore {
    const store = SqliteStore.open(this.directory);
    this.#stores.push(store);
    return store;
  }

  /** As the daemon opens it: one that cannot be read is closed. */
  openAnyhow(): RecordStore & { readonly notes: readonly string[] } {
    try {
      return this.open();
    } catch (failure) {
      if (!(failure instanceof TsnetError) || failure.code === "conflict") throw failure;
      return new ClosedStore(failure, this.directory);
    }
  }

  /** Makes this folder's records be those of another one. */
  copyFrom(other: RecordFolder): void {
    this.closeAll();
    rmSync(this.directory, { recursive: true, force: true });
    cpSync(other.directory, this.directory, { recursive: true });
  }

  closeAll(): void {
    for (const store of this.#stores.splice(0)) store.close();
  }

  /** A process of its own with a store open as `store`, which has run `code` and printed `line`. */
  async inOtherProcess(code: string, launcher: readonly string[] = []): Promise<{ child: ChildProcess; line: string }> {
    const script = `import { SqliteStore } from ${JSON.stringify(STORE_URL)};
      const put = (id, size = 10) => store.commit([{ op: "put", kind: "pool", id, body: { text: "x".repeat(size) } }]);
      const remove = (id) => store.commit([{ op: "remove", kind: "pool", id }], "removal");
      const outcome = (commit) => commit.then(() => "done", ({ code, message }) => code + ": " + message);
      const ids = () => [...store.list("pool").keys()].sort().join();
      const store = SqliteStore.open(${JSON.stringify(this.directory)}); ${code}; setInterval(() => {}, 1000);`;
    const [program, ...args] = [...launcher, process.execPath, "--input-type=module", "-e", script];
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"], detached: true });
    this.#children.push(child);
    const line = await new Promise<string>((resolve, reject) => {
      child.stdout?.once("data", (data: Buffer) => resolve(data.toString()));
      child.once("exit", (status) => reject(new Error(`it ended with ${status} and said nothing`)));
    });
    return { child, line };
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) killGroup(child);
    this.closeAll();
    rmSync(this.parent, { recursive: true, force: true });
  }
}

/** Ends a child with all that it started: strace, killed alone, leaves its program running. */
export function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** A change that puts. */
export function put(id: string, body: object = {}, kind: RecordKind = "pool"): RecordChange {
  return { op: "put", kind, id, body };
}

/** Everything that a store has. */
export function contentsOf(store: RecordStore): Written {
  return new Map(
    KINDS.flatMap((kind) => Array.from(store.list(kind), ([id, body]) => [`${kind} ${id}`, body] as const)),
  );
}

/**
 * What is wrong with a store that was opened after damage: a record that is neither as it was written nor said to be lost.
 * With a fault the store says that records are lost or of an earlier time.
 */
export function silentLosses(store: RecordStore, written: Written): string[] {
  const found = contentsOf(store);
  const damaged = new Set(store.damaged().map(({ kind, id }) => `${kind} ${id}`));
  const isSame = (key: string) => JSON.stringify(found.get(key)) === JSON.stringify(written.get(key));
  if (store.fault !== undefined) return [];
  const lost = [...written.keys()].filter((key) => !damaged.has(key) && !isSame(key));
  const invented = [...found.keys()].filter((key) => !written.has(key));
  return [...lost, ...invented];
}

/** Changes one bit, or all, of one byte. */
export function flip(file: string, offset: number, mask = 0xff): void {
  const bytes = readFileSync(file);
  bytes.writeUInt8(bytes.readUInt8(offset) ^ mask, offset);
  writeFileSync(file, bytes);
}

/** Changes a record without its seal, in both trees. The file is nobody's. @throws Error if there is no such record. */
export function damageRecord(file: string, kind: RecordKind, id: string): void {
  using database = new DatabaseSync(file);
  for (const tree of ["records", "copies"]) {
    const change = `UPDATE ${tree} SET body = replace(body, '"', '!') WHERE kind = ? AND id = ?`;
    const { changes } = database.prepare(change).run(kind, id);
    if (changes !== 1) throw new Error(`${file} has no ${kind} ${id} in ${tree}`);
  }
}

/** Makes a record be another one, as if it had been written so. The folder is nobody's. @throws Error if there is no such record. */
export async function changeRecord(
  directory: string,
  kind: RecordKind,
  id: string,
  change: (text: string) => string,
): Promise<void> {
  const store = SqliteStore.open(directory);
  try {
    const before = JSON.stringify(store.list(kind).get(id));
    const after = before === undefined ? before : change(before);
    if (after === undefined || after === before) throw new Error(`${kind} ${id} is not as expected: ${before}`);
    await store.commit([{ op: "put", kind, id, body: JSON.parse(after) as object }]);
  } finally {
    store.close();
  }
}

/** Fills the first page of a tree with zeros. */
export function zeroTree(file: string, tree: "records" | "copies"): void {
  const database = new DatabaseSync(file, { readOnly: true });
  const found = database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = ?").get(tree);
  database.close();
  const bytes = readFileSync(file);
  const offset = (Number(found?.["rootpage"]) - 1) * 4096;
  bytes.fill(0, offset, offset + 4096);
  writeFileSync(file, bytes);
}

/** Makes the folder hold what a tsnet with format 1 leaves when it is killed: the last of these records is in the log only. */
export function writeFormat1(folder: RecordFolder, records: Written): void {
  mkdirSync(folder.directory, { mode: 0o700 });
  using live = new RecordFolder();
  mkdirSync(live.directory);
  const database = new DatabaseSync(live.file);
  database.exec(`CREATE TABLE records (kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id))
    STRICT, WITHOUT ROWID; PRAGMA user_version = 1; PRAGMA journal_mode = WAL`);
  for (const [n, [key, body]] of [...records].entries()) {
    if (n === records.size - 1) database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    const [kind = "", ...id] = key.split(" ");
    database.prepare("INSERT INTO records VALUES (?, ?, ?)").run(kind, id.join(" "), JSON.stringify(body));
  }
  for (const ending of ["", "-wal"]) writeFileSync(`${folder.file}${ending}`, readFileSync(`${live.file}${ending}`));
  database.close();
}

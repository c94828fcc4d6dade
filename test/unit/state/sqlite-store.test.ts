// What is special to the records on disk: durability, damage, locks, permissions. No root needed.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync } from "node:fs";
import { renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { RecordChange, RecordKind } from "../../../src/state/record-store.ts";
import { SqliteStore } from "../../../src/state/sqlite-store.ts";
import { describeRecordStore } from "../../contract/record-store.ts";

const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
const STORE_URL = new URL("../../../src/state/sqlite-store.ts", import.meta.url).href;

const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup();
});

/** A name for a directory that does not exist yet. */
function freshDirectory(): string {
  const parent = mkdtempSync(join(tmpdir(), "tsnet-records-"));
  cleanups.push(() => rmSync(parent, { recursive: true }));
  return join(parent, "state");
}

function openIn(directory: string): SqliteStore {
  const store = SqliteStore.open(directory);
  cleanups.push(() => store.close());
  return store;
}

function put(id: string, body: object = {}): RecordChange {
  return { op: "put", kind: "pool", id, body };
}

/** A closed file with `count` records. */
async function writtenDirectory(count = 1): Promise<string> {
  const directory = freshDirectory();
  const store = SqliteStore.open(directory);
  await store.commit(Array.from({ length: count }, (_, n) => put(`pool ${n}`, { n })));
  store.close();
  return directory;
}

/** A process of its own with a store open as `store`, which has run `code` and printed `line`. */
async function inOtherProcess(directory: string, code: string): Promise<{ child: ChildProcess; line: string }> {
  const script = `import { SqliteStore } from ${JSON.stringify(STORE_URL)};
    const store = SqliteStore.open(${JSON.stringify(directory)}); ${code}; setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  cleanups.push(() => child.kill("SIGKILL"));
  const line = await new Promise<string>((resolve) => {
    child.stdout.once("data", (data: Buffer) => resolve(data.toString()));
  });
  return { child, line };
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await exited;
}

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

describeRecordStore("SQLite", () => {
  const directory = freshDirectory();
  let store: SqliteStore | undefined;
  return {
    open() {
      store?.close();
      store = openIn(directory);
      return store;
    },
  };
});

describe("SqliteStore.open", () => {
  it.each(["000", "077", "777"])("makes directory 0700 and file 0600 also with umask %s", async (umask) => {
    const directory = freshDirectory();
    const before = process.umask(umask);
    cleanups.push(() => process.umask(before));
    const store = openIn(directory);
    await store.commit([put("a")]);
    process.umask(before);

    const modes = readdirSync(directory).map((name) => [
      name,
      (statSync(join(directory, name)).mode & 0o777).toString(8),
    ]);
    expect((statSync(directory).mode & 0o777).toString(8)).toBe("700");
    expect(modes).toEqual([
      ["tsnet.db", "600"],
      ["tsnet.db-count", "600"],
      ["tsnet.db-reserve", "600"],
      ["tsnet.db-wal", "600"],
    ]);
  });

  it("leaves the mode of a directory that was there", () => {
    const directory = freshDirectory();
    mkdirSync(directory);
    chmodSync(directory, 0o750);
    openIn(directory);

    expect((statSync(directory).mode & 0o777).toString(8)).toBe("750");
  });

  it("writes in WAL mode, format version 2", async () => {
    const directory = await writtenDirectory();
    const database = new DatabaseSync(join(directory, "tsnet.db"), { readOnly: true });
    const journal = database.prepare("PRAGMA journal_mode").get();
    const version = database.prepare("PRAGMA user_version").get();
    database.close();

    expect({ ...journal, ...version }).toEqual({ journal_mode: "wal", user_version: 2 });
  });

  it("refuses a second daemon on the same directory in one clear message [F37]", async () => {
    const directory = freshDirectory();
    await inOtherProcess(directory, `console.log("open")`);

    expect(() => SqliteStore.open(directory)).toThrow(`another tsnet uses ${directory}`);
  });

  it("refuses a second store in the same process, and the first goes on", async () => {
    const directory = freshDirectory();
    const store = openIn(directory);

    expect(() => SqliteStore.open(directory)).toThrow(expect.objectContaining({ code: "conflict" }));
    await store.commit([put("a")]);
    expect(() => SqliteStore.open(directory)).toThrow(expect.objectContaining({ code: "conflict" }));
  });

  it("opens after the previous daemon was killed, with all that it had committed [F37]", async () => {
    const directory = freshDirectory();
    const commit = `await store.commit([{ op: "put", kind: "pool", id: "a", body: { n: 1 } }]); console.log("committed")`;
    const { child } = await inOtherProcess(directory, commit);
    await kill(child);

    expect(openIn(directory).list("pool")).toEqual(new Map([["a", { n: 1 }]]));
  });

  it("refuses records of a newer format and does not touch the file [F31]", async () => {
    const directory = await writtenDirectory();
    const path = join(directory, "tsnet.db");
    const database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 7");
    database.close();
    const before = hashOf(path);

    expect(() => SqliteStore.open(directory)).toThrow(
      expect.objectContaining({
        code: "unsupported",
        message: expect.stringContaining(
          `records in ${path} have format 7, newer than 2 which this tsnet knows; `,
        ) as string,
      }),
    );
    expect(hashOf(path)).toBe(before);
  });

  it("does not touch a file of a newer format whose daemon was killed", async () => {
    const directory = await writtenDirectory();
    const path = join(directory, "tsnet.db");
    const database = new DatabaseSync(path);
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA user_version = 7");
    const copy = freshDirectory();
    mkdirSync(copy);
    for (const name of ["tsnet.db", "tsnet.db-wal"]) copyFileSync(join(directory, name), join(copy, name));
    database.close();
    const hashes = () => ["tsnet.db", "tsnet.db-wal"].map((name) => hashOf(join(copy, name)));
    const before = hashes();

    expect(() => SqliteStore.open(copy)).toThrow(expect.objectContaining({ code: "unsupported" }));
    expect(hashes()).toEqual(before);
  });

  it("does not take an empty file for a new one", async () => {
    const directory = await writtenDirectory();
    truncateSync(join(directory, "tsnet.db"), 0);

    expect(() => SqliteStore.open(directory)).toThrow(
      /tsnet\.db are damaged: it is empty or was not written by tsnet; /,
    );
  });

  it("refuses to start empty when only the log of changes is left", async () => {
    const directory = await writtenDirectory();
    rmSync(join(directory, "tsnet.db"));
    writeFileSync(join(directory, "tsnet.db-wal"), "changes");

    expect(() => SqliteStore.open(directory)).toThrow(/tsnet\.db is missing, but .*tsnet\.db-(count|wal) is there/);
  });

  it("refuses a symbolic link, and a pipe without waiting for it", async () => {
    const target = await writtenDirectory();
    const linked = freshDirectory();
    mkdirSync(linked);
    symlinkSync(join(target, "tsnet.db"), join(linked, "tsnet.db"));
    const piped = freshDirectory();
    mkdirSync(piped);
    execFileSync("mkfifo", [join(piped, "tsnet.db")]);

    expect(() => SqliteStore.open(linked)).toThrow("is no regular file");
    expect(() => SqliteStore.open(piped)).toThrow("is no regular file");
  });

  it("names a directory that cannot be made", () => {
    const directory = freshDirectory();
    writeFileSync(directory, "");

    expect(() => SqliteStore.open(directory)).toThrow(
      expect.objectContaining({ code: "host", message: expect.stringContaining(directory) as string }),
    );
  });
});

describe("SqliteStore.commit", () => {
  it("makes one transaction of the commits of one turn", async () => {
    const directory = freshDirectory();
    const store = openIn(directory);
    const sizeBefore = statSync(join(directory, "tsnet.db-wal")).size;
    await Promise.all(Array.from({ length: 50 }, (_, n) => store.commit([put(`pool ${n}`)])));

    // Fifty transactions would have written a frame of at least one page each.
    expect(statSync(join(directory, "tsnet.db-wal")).size - sizeBefore).toBeLessThan(10 * 4096);
  });

  it("fails a bad group alone: the others of its turn are kept", async () => {
    const store = openIn(freshDirectory());
    const bad = put(null as unknown as string); // the file refuses it: id is NOT NULL
    const commits = [[put("a")], [put("half"), bad], [put("b")]].map((changes) => store.commit(changes));
    const outcomes = await Promise.allSettled(commits);

    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(outcomes[1]).toMatchObject({ reason: { code: "host" } });
    expect([...store.list("pool").keys()]).toEqual(["a", "b"]);
  });

  it("fails when the disk is full, changes nothing, says so, and goes on when there is room again", async () => {
    const directory = freshDirectory();
    const { child, line } = await inOtherProcess(directory, FULL_DISK);
    await kill(child);

    expect(JSON.parse(line)).toEqual([
      "done",
      `host: cannot write ${directory}/tsnet.db: disk I/O error`,
      "before",
      `cannot write ${directory}/tsnet.db: disk I/O error`,
      "done",
      "after,before",
      "undefined",
    ]);
    expect([...openIn(directory).list("pool").keys()].sort()).toEqual(["after", "before"]);
  });

  it("writes what is waiting when it is closed", async () => {
    const directory = freshDirectory();
    const store = SqliteStore.open(directory);
    const committed = store.commit([put("a")]);
    store.close();
    await committed;

    expect([...openIn(directory).list("pool").keys()]).toEqual(["a"]);
  });
});

describe("SqliteStore.tryAgain", () => {
  afterEach(() => void vi.restoreAllMocks());

  /** A store whose last commit was refused, since its file is not where it was. */
  async function refusing() {
    const clock = vi.spyOn(performance, "now").mockReturnValue(10_000);
    const directory = freshDirectory();
    const store = openIn(directory);
    const [file, away] = [join(directory, "tsnet.db"), join(directory, "away")];
    renameSync(file, away);
    await expect(store.commit([put("refused")])).rejects.toThrow("moved away");
    return { store, directory, clock, putBack: () => renameSync(away, file) };
  }

  it("finds out that the disk takes again what it refused, without a commit, and leaves no record of it", async () => {
    const { store, directory, putBack } = await refusing();
    putBack();

    store.tryAgain();

    expect(store.writeFault).toBeUndefined();
    expect(["pool", "host"].map((kind) => store.list(kind as RecordKind).size)).toEqual([0, 0]);
    store.close();
    const again = openIn(directory);
    expect([again.list("host").size, again.fault, again.notes]).toEqual([0, undefined, []]);
  });

  it("keeps the fault as long as the disk refuses, and tries once a second at most", async () => {
    const { store, clock, putBack } = await refusing();

    store.tryAgain();
    expect(store.writeFault?.message).toContain("moved away");
    putBack();
    clock.mockReturnValue(10_999);
    store.tryAgain();
    expect(store.writeFault?.message).toContain("moved away");
    clock.mockReturnValue(11_000);
    store.tryAgain();
    expect(store.writeFault).toBeUndefined();
  });

  it("writes nothing where nothing was refused", async () => {
    const directory = freshDirectory();
    const store = openIn(directory);
    await store.commit([put("a")]);
    const files = () => readdirSync(directory).map((name) => readFileSync(join(directory, name)).toString("latin1"));
    const before = files();

    store.tryAgain();

    expect(files()).toEqual(before);
  });
});

/** A limit of the file size stands in for a full disk: the kernel refuses to write, with EFBIG instead of ENOSPC. */
const FULL_DISK = `
  import { execFileSync } from "node:child_process";
  process.on("SIGXFSZ", () => {});
  const limit = (bytes) => execFileSync("prlimit", ["--pid", String(process.pid), "--fsize=" + bytes + ":unlimited"]);
  const put = (id, size) => store.commit([{ op: "put", kind: "pool", id, body: { text: "x".repeat(size) } }]);
  const outcome = (commit) => commit.then(() => "done", ({ code, message }) => code + ": " + message);
  const ids = () => [...store.list("pool").keys()].sort().join();
  const fault = () => String(store.writeFault?.message);
  const seen = [await outcome(put("before", 10))];
  limit(200_000);
  seen.push(await outcome(put("large", 500_000)), ids(), fault());
  limit("unlimited");
  seen.push(await outcome(put("after", 500_000)), ids(), fault());
  console.log(JSON.stringify(seen))`;

// The records on a disk that is full, fails, or is read-only: real ones, in a mount namespace, and errors of single system calls
// by strace.
import { chownSync, mkdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { RecordFolder, killGroup } from "../../support/record-files.ts";
import { waitUntil } from "../../support/wait-until.ts";

/** Runs a command where the folder is a file system of its own. */
function onTmpfs(folder: RecordFolder, options: string): string[] {
  const mount = `mount -t tmpfs -o mode=700,${options} tsnet ${folder.directory} && exec "$0" "$@"`;
  mkdirSync(folder.directory);
  return ["unshare", "--mount", "sh", "-c", mount];
}

/** Makes system calls of one kind fail from the n-th of the whole process on; the store's are the only ones of that kind. */
function failing(what: string): string[] {
  return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${what.split(":")[0] ?? ""}`, "-e", `inject=${what}`];
}

/** Fills the file system and leaves so many pages of 4 KiB free. */
const FILL = `
  import { openSync, writeSync, closeSync, rmSync, ftruncateSync, fstatSync } from "node:fs";
  import { dirname } from "node:path";
  const ballast = FOLDER + "/ballast";
  const fill = (pages) => {
    const fd = openSync(ballast, "w");
    try { for (;;) writeSync(fd, Buffer.alloc(4096, 1)); } catch (failure) { if (failure.code !== "ENOSPC") throw failure; }
    ftruncateSync(fd, Math.max(0, fstatSync(fd).size - pages * 4096));
    closeSync(fd);
  };
  const empty = () => rmSync(ballast);`;

function isInUse(folder: RecordFolder): boolean {
  try {
    folder.open();
    folder.closeAll();
    return false;
  } catch {
    return true;
  }
}

describe("records on a full disk", () => {
  it("refuse what is new and change nothing, take what is removed, and go on when there is room [F33]", async () => {
    using folder = new RecordFolder();
    const loop = `
      for (let n = 0; n < 40; n++) await put("old" + n, 100);
      const seen = [];
      for (let pages = 0; pages < 24; pages++) {
        fill(pages);
        const refused = await outcome(put("new" + pages, 900_000));
        const kept = ids();
        const removed = await outcome(remove("old" + pages));
        empty();
        const after = await outcome(put("after" + pages, 100));
        seen.push({ refused, isKept: kept.includes("new" + pages) === (refused === "done"), removed, isGone: !ids().includes("old" + pages + ","), after });
        await remove("new" + pages);
      }
      store.close();
      const again = SqliteStore.open(FOLDER);
      const ends = [[...again.list("pool").keys()].sort().join(), String(again.fault), again.notes.join()];
      console.log(JSON.stringify({ seen, ends }));`.replaceAll("FOLDER", JSON.stringify(folder.directory));
    const fill = FILL.replaceAll("FOLDER", JSON.stringify(folder.directory));
    const { line } = await folder.inOtherProcess(`${fill}${loop}`, onTmpfs(folder, "size=8m"));
    const { seen, ends } = JSON.parse(line) as { seen: Record<string, unknown>[]; ends: string[] };
    const left = Array.from({ length: 16 }, (_, n) => `old${n + 24}`);

    const good = { isKept: true, removed: "done", isGone: true, after: "done" };
    const refused = `host: cannot write ${folder.file}: database or disk is full`;
    expect(seen.filter((one) => one["refused"] !== "done")).toEqual(seen.map(() => ({ refused, ...good })));
    expect(ends).toEqual([
      [...Array.from({ length: 24 }, (_, n) => `after${n}`), ...left].sort().join(),
      "undefined",
      "",
    ]);
  });

  it("turn whole again by themselves when there is room, and not before [F33]", async () => {
    using folder = new RecordFolder();
    const fill = FILL.replaceAll("FOLDER", JSON.stringify(folder.directory));
    const code = `
      let now = 1e6;
      performance.now = () => (now += 2000); // each trial is in time
      const fault = () => (store.tryAgain(), String(store.writeFault?.message));
      await put("old");
      fill(0);
      const seen = [await outcome(put("new", 900_000)), fault(), fault()];
      empty();
      seen.push(fault(), [...store.list("host").keys()].join(), ids());
      console.log(JSON.stringify(seen));`;
    const { line } = await folder.inOtherProcess(`${fill}${code}`, onTmpfs(folder, "size=2m"));

    const full = `cannot write ${folder.file}: database or disk is full`;
    expect(JSON.parse(line)).toEqual([`host: ${full}`, full, full, "undefined", "", "old"]);
  });

  it("take all removals one after the other with no room at all [F33]", async () => {
    using folder = new RecordFolder();
    const fill = FILL.replaceAll("FOLDER", JSON.stringify(folder.directory));
    const code = `
      for (let n = 0; n < 300; n++) await put("old" + n, 600);
      fill(0);
      const seen = new Set();
      for (let n = 0; n < 300; n++) seen.add(await outcome(remove("old" + n)));
      console.log(JSON.stringify([[...seen], ids()]));`;
    const { line } = await folder.inOtherProcess(`${fill}${code}`, onTmpfs(folder, "size=6m"));

    expect(JSON.parse(line)).toEqual([["done"], ""]);
  });
});

describe("records that belong to another user", () => {
  it.each(["", "/tsnet.db", "/tsnet.db-count", "/tsnet.db-reserve"])(
    "are refused, told by the owner of %j [F36]",
    async (name) => {
      using folder = new RecordFolder();
      await folder.open().commit([{ op: "put", kind: "pool", id: "a", body: {} }]);
      folder.closeAll();
      chownSync(`${folder.directory}${name}`, 1, 1);

      expect(() => folder.open()).toThrow(`${folder.directory}${name} belongs to user 1, `);
    },
  );
});

describe("records on a disk that fails", () => {
  it("refuse what cannot be synced, and have it neither then nor after the next start [F34]", async () => {
    using folder = new RecordFolder();
    const store = folder.open();
    await store.commit([{ op: "put", kind: "pool", id: "old", body: {} }]);
    folder.closeAll();
    const code = `
      const seen = [];
      for (let n = 0; n < 12; n++) seen.push([await outcome(put("new" + n)), ids()]);
      console.log(JSON.stringify(seen));`;
    // The first ones are those of the start.
    const { line, child } = await folder.inOtherProcess(code, failing("fsync:error=EIO:when=8..13"));
    killGroup(child);
    await waitUntil("the other one's lock to go", async () => !isInUse(folder));
    const seen = JSON.parse(line) as [string, string][];
    const refused = seen.filter(([outcome]) => outcome !== "done");
    const last = seen.at(-1)?.[1];

    expect(refused.length).toBeGreaterThan(0);
    for (const [outcome] of refused) expect(outcome).toBe(`host: cannot write ${folder.file}: disk I/O error`);
    expect(seen.at(-1)?.[0]).toBe("done");
    expect([...folder.open().list("pool").keys()].sort().join()).toBe(last);
  });
});

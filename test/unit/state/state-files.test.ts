// What may lie in the folder of records, who may have put it there, what is left behind, and older formats. No root needed.
import { execFileSync } from "node:child_process";
import { existsSync, linkSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { symlinkSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { RecordFolder, contentsOf, put, writeFormat1 } from "../../support/record-files.ts";

const RECORDS = new Map<string, unknown>([
  ["network 63cc06", { network: { id: "63cc06" }, state: "ready" }],
  ["address 10.1.2.0/24+0a#10.1.2.1", { use: "gateway" }],
  ["endpoint 83ad9d", { endpoint: { id: "83ad9d" }, state: "joined" }],
]);

async function written(): Promise<RecordFolder> {
  const folder = new RecordFolder();
  await folder.open().commit([put("a")]);
  folder.closeAll();
  return folder;
}

describe("the folder of records", () => {
  it.each(["", "-wal", "-count", "-reserve", "-incomplete", ".mended"])(
    "is refused when tsnet.db%s is a pipe, a link, or has a second name, at once [F36]",
    async (ending) => {
      using folder = await written();
      const file = `${folder.file}${ending}`;
      const aside = `${folder.parent}/aside`;
      if (existsSync(file)) renameSync(file, aside);
      else writeFileSync(aside, "");
      const times: number[] = [];
      for (let tries = 0; tries < 3; tries++) {
        const start = performance.now();
        execFileSync("mkfifo", [file]);
        expect(() => folder.open()).toThrow(`${file} is no regular file`);
        rmSync(file);
        symlinkSync(aside, file);
        expect(() => folder.open()).toThrow(`${file} is no regular file`);
        rmSync(file);
        linkSync(aside, file);
        expect(() => folder.open()).toThrow(`${file} has a second name`);
        rmSync(file);
        times.push(performance.now() - start);
      }

      expect(Math.min(...times)).toBeLessThan(1000); // the machine may be busy with something else now and then
    },
  );

  it.each(["taken away", "exchanged"])(
    "that is %s while tsnet runs takes nothing more, and says so [F36]",
    async (how) => {
      using folder = new RecordFolder();
      const store = folder.open();
      await store.commit([put("a")]);
      renameSync(folder.directory, `${folder.parent}/away`);
      if (how === "exchanged") {
        mkdirSync(folder.directory);
        writeFileSync(folder.file, "");
      }

      await expect(store.commit([put("b")])).rejects.toThrow(how === "exchanged" ? "was exchanged" : "was moved away");
      rmSync(folder.directory, { recursive: true, force: true });
      renameSync(`${folder.parent}/away`, folder.directory);
      await store.commit([put("c")]);
      expect([...store.list("pool").keys()]).toEqual(["a", "c"]);
    },
  );

  it("keeps nothing of starts that were killed, however many [F38]", async () => {
    using folder = await written();
    for (let pid = 1; pid <= 500; pid++) writeFileSync(`${folder.file}.new-${pid}`, "half");
    folder.open();

    expect(readdirSync(folder.directory).filter((name) => name.includes(".new-"))).toEqual([]);
  });

  it("opens after a crash that left the file under its draft's name as well", async () => {
    using folder = await written();
    linkSync(folder.file, `${folder.file}.new-4711`);

    expect([...folder.open().list("pool").keys()]).toEqual(["a"]);
    expect(statSync(folder.file).nlink).toBe(1);
  });

  it.each([1, 2, 20])("is of the same size after 300 changes, with %i at a time", async (together) => {
    using folder = await written();
    const store = folder.open();
    const change = () =>
      store.commit([put(`n${together}`), put("a"), { op: "remove", kind: "pool", id: `n${together}` }]);
    for (let n = 0; n < 300; n += together) await Promise.all(Array.from({ length: together }, change));
    folder.closeAll();

    expect(statSync(folder.file).size).toBeLessThanOrEqual(6 * 4096);
  });
});

describe("records of format 1", () => {
  it("are all there in format 2, and as they were beside it [F32]", () => {
    using folder = new RecordFolder();
    writeFormat1(folder, RECORDS);
    const before = ["", "-wal"].map((ending) => readFileSync(`${folder.file}${ending}`).toString("hex"));
    const store = folder.open();

    expect([contentsOf(store), store.fault, store.damaged()]).toEqual([RECORDS, undefined, []]);
    expect(store.notes).toEqual([expect.stringMatching(/were brought to format 2; .* kept in .*tsnet\.db\.format-1$/)]);
    const kept = ["", "-wal"].map((ending) => readFileSync(`${folder.file}.format-1${ending}`).toString("hex"));
    expect(kept).toEqual(before);
    folder.closeAll();
    expect(folder.open().notes).toEqual([]);
  });

  it("are refused by a tsnet of format 1 afterwards: it finds a newer one", () => {
    using folder = new RecordFolder();
    writeFormat1(folder, RECORDS);
    folder.open();
    folder.closeAll();
    using database = new DatabaseSync(folder.file, { readOnly: true });

    expect(database.prepare("PRAGMA user_version").get()).toEqual({ user_version: 2 });
  });

  it("count as damaged one by one when they are no JSON", () => {
    using folder = new RecordFolder();
    writeFormat1(folder, RECORDS);
    using database = new DatabaseSync(folder.file);
    database.exec(`UPDATE records SET body = '{"network":' WHERE kind = 'network'`);
    database.close();
    const store = folder.open();

    expect(store.damaged()).toEqual([{ kind: "network", id: "63cc06", text: '{"network":' }]);
    expect([store.fault, contentsOf(store).size]).toEqual([undefined, 2]);
  });
});

// Damage to the files of records: cut short, flipped, emptied. After each of it every record is there as it was written, or the
// store says that it is not. No root needed.
import {
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { describe, expect, it } from "vitest";
import {
  RecordFolder,
  type Written,
  contentsOf,
  damageRecord,
  flip,
  put,
  silentLosses,
  zeroTree,
} from "../../support/record-files.ts";

const { DatabaseSync } = process.getBuiltinModule("node:sqlite");

/** Every which byte is changed, one after the other. TSNET_FLIP_STEP=1 changes each, which takes a quarter of an hour. */
const SAMPLE = Number(process.env["TSNET_FLIP_STEP"] ?? 37);
const LIMIT_MS = SAMPLE === 1 ? 3_600_000 : 60_000;

/** A folder as a daemon leaves it that was killed: half of the changes are in the log only. */
async function killed(): Promise<{ folder: RecordFolder; written: Written } & Disposable> {
  using live = new RecordFolder();
  const first = live.open();
  await first.commit([
    put("63cc06", { network: { id: "63cc06", switchName: "tsn-63cc06" }, state: "ready" }, "network"),
  ]);
  for (let n = 0; n < 12; n++) await first.commit([put(`10.1.2.0/24+0a#10.1.2.${n}`, { use: "endpoint" }, "address")]);
  first.close();
  const store = live.open();
  for (let n = 0; n < 3; n++) await store.commit([put(`83ad9d${n}`, { endpoint: { n }, state: "joined" }, "endpoint")]);
  await store.commit([{ op: "remove", kind: "address", id: "10.1.2.0/24+0a#10.1.2.3" }, put("boot", { n: 1 }, "host")]);
  const folder = new RecordFolder();
  folder.copyFrom(live);
  return { folder, written: contentsOf(store), [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

/** A folder whose log is empty. */
async function closed(): Promise<{ folder: RecordFolder; written: Written } & Disposable> {
  const { folder } = await killed();
  const store = folder.open();
  const written = contentsOf(store);
  folder.closeAll();
  return { folder, written, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

/** Does each kind of damage to a copy of its own. @returns what was lost in silence. */
function judge(
  { folder, written }: { folder: RecordFolder; written: Written },
  points: readonly number[],
  damage: (copy: RecordFolder, point: number) => void,
): { silent: string[]; whole: number; named: number; refused: number } {
  using copy = new RecordFolder();
  const result = { silent: new Array<string>(), whole: 0, named: 0, refused: 0 };
  for (const point of points) {
    copy.copyFrom(folder);
    damage(copy, point);
    const store = copy.openAnyhow();
    result.silent.push(...silentLosses(store, written).map((what) => `${point}: ${what}`));
    if (store.fault !== undefined) result.refused += 1;
    else if (store.damaged().length > 0) result.named += 1;
    else result.whole += 1;
  }
  return result;
}

function steps(length: number, step: number): number[] {
  return Array.from({ length: Math.ceil(length / step) }, (_, n) => n * step);
}

/** The cuts at and beside every page or frame, and some between. */
function cuts(size: number, unit: number, head = 0): number[] {
  const edges = steps(size - head, unit).flatMap((edge) => [edge - 1, edge, edge + 1].map((at) => head + at));
  return [...new Set([...edges, size - 1, ...steps(size, 1777)])].filter((at) => at >= 0 && at < size);
}

describe("a file of records", () => {
  it("that is cut short anywhere loses no record in silence [F30]", { timeout: LIMIT_MS }, async () => {
    using origin = await closed();
    const points = cuts(statSync(origin.folder.file).size, 4096);

    const { silent, whole } = judge(origin, points, (copy, at) => truncateSync(copy.file, at));

    expect(silent).toEqual([]);
    expect(whole).toBeLessThan(points.length);
  });

  it("whose log is cut short anywhere loses no record in silence [F30]", { timeout: LIMIT_MS }, async () => {
    using origin = await killed();
    const points = cuts(statSync(`${origin.folder.file}-wal`).size, 4120, 32);

    const { silent, refused } = judge(origin, points, (copy, at) => truncateSync(`${copy.file}-wal`, at));

    expect(silent).toEqual([]);
    expect(refused).toBeGreaterThan(points.length / 2);
  });

  it.each([0x01, 0x80, 0xff])(
    "with a byte changed by %i loses no record in silence [F30]",
    { timeout: LIMIT_MS },
    async (mask) => {
      using origin = await closed();
      const bytes = readFileSync(origin.folder.file);
      const points = steps(bytes.length, 1)
        .filter((at) => bytes[at] !== 0 || at % 64 === 0)
        .filter((_, n) => n % SAMPLE === 0);

      const result = judge(origin, points, (copy, at) => flip(copy.file, at, mask));

      expect(result.silent).toEqual([]);
      expect(result.named).toBe(0); // what one tree has lost is in the other one
      expect(result.whole).toBeGreaterThan(points.length / 2);
    },
  );

  it("whose log has a byte changed loses no record in silence [F30]", { timeout: LIMIT_MS }, async () => {
    using origin = await killed();
    const bytes = readFileSync(`${origin.folder.file}-wal`);
    const points = steps(bytes.length, 1)
      .filter((at) => bytes[at] !== 0)
      .filter((_, n) => n % SAMPLE === 0);

    const { silent } = judge(origin, points, (copy, at) => flip(`${copy.file}-wal`, at));

    expect(silent).toEqual([]);
  });

  it.each<[string, (file: string) => void]>([
    ["empty", (file) => truncateSync(file, 0)],
    ["of zeros", (file) => writeFileSync(file, Buffer.alloc(statSync(file).size))],
    ["of text", (file) => writeFileSync(file, "no records\n".repeat(1000))],
    ["without its first page", (file) => overwrite(file, 0, 4096)],
  ])("that is %s is refused and left as it is, and so is what would be made [F30]", async (_what, damage) => {
    using origin = await closed();
    const { folder } = origin;
    damage(folder.file);
    const before = readFileSync(folder.file);
    const store = folder.openAnyhow();

    expect(store.fault?.message).toMatch(
      /^records in .*tsnet\.db are damaged: .*; restore it from a copy, or move all /,
    );
    await expect(store.commit([put("a")])).rejects.toBe(store.fault);
    await expect(store.commit([{ op: "remove", kind: "pool", id: "a" }])).resolves.toBeUndefined();
    expect(readFileSync(folder.file).equals(before)).toBe(true);
  });

  it("with a page of zeros is mended from the other tree, and kept under another name", async () => {
    using origin = await closed();
    const { folder, written } = origin;
    zeroTree(folder.file, "records");
    const damagedFile = readFileSync(folder.file);
    const store = folder.open();

    expect(contentsOf(store)).toEqual(written);
    expect(store.notes).toEqual([
      expect.stringMatching(/damaged and are mended; nothing was lost; .*tsnet\.db\.damaged-1$/),
    ]);
    expect(readFileSync(`${folder.file}.damaged-1`).equals(damagedFile)).toBe(true);
    folder.closeAll();
    expect(folder.open().notes).toEqual([]);
  });

  it("without one of its trees is mended from the other one", async () => {
    using origin = await closed();
    const database = new DatabaseSync(origin.folder.file);
    database.exec("DROP TABLE records; CREATE TABLE other (a TEXT)");
    database.close();

    expect(contentsOf(origin.folder.open())).toEqual(origin.written);
  });

  it("says which record is damaged in both trees, keeps what is left of it, and goes on with the others", async () => {
    using origin = await closed();
    const { folder, written } = origin;
    damageRecord(folder.file, "network", "63cc06");
    const store = folder.open();
    const others = new Map([...written].filter(([key]) => key !== "network 63cc06"));

    expect(store.damaged()).toEqual([
      { kind: "network", id: "63cc06", text: expect.stringContaining("tsn-63cc06") as string },
    ]);
    expect([contentsOf(store), store.fault]).toEqual([others, undefined]);
    folder.closeAll();
    const next = folder.open();
    expect([next.damaged().length, next.notes]).toEqual([1, []]);
    await next.commit([{ op: "remove", kind: "network", id: "63cc06" }]);
    expect(next.damaged()).toEqual([]);
    folder.closeAll();
    const last = folder.open();
    expect([last.damaged(), contentsOf(last), last.notes]).toEqual([[], others, []]);
  });

  it("that lost a record from both trees says that one is missing, at every start until an operator ends it", async () => {
    using origin = await closed();
    const { folder } = origin;
    const database = new DatabaseSync(folder.file);
    for (const tree of ["records", "copies"]) database.exec(`DELETE FROM ${tree} WHERE id = '83ad9d1'`);
    database.close();
    const faults = [folder, folder].map(() => {
      const { fault } = folder.open();
      folder.closeAll();
      return fault?.message;
    });

    expect(faults[0]).toMatch(
      /are not complete: 1 of them cannot be found; what is there goes on .*tsnet\.db-incomplete, and/,
    );
    expect(faults[1]).toBe(faults[0]);
    rmSync(`${folder.file}-incomplete`);
    expect(folder.open().fault).toBeUndefined();
  });

  it("that was put back to an earlier time is noticed", async () => {
    using folder = new RecordFolder();
    const store = folder.open();
    await store.commit([put("a")]);
    folder.closeAll();
    copyFileSync(folder.file, `${folder.parent}/backup`);
    await folder.open().commit([put("b")]);
    folder.closeAll();
    copyFileSync(`${folder.parent}/backup`, folder.file);

    expect(folder.open().fault?.message).toContain("the last 1 changes that were answered are not in it");
  });

  it("takes the place of the damaged one also after a crash in between", async () => {
    using origin = await closed();
    using damaged = await killed();
    const { folder } = damaged;
    copyFileSync(origin.folder.file, `${folder.file}.mended`); // complete by its name; the log beside it is not its own

    expect(contentsOf(folder.open())).toEqual(origin.written);
    expect(existsSync(`${folder.file}.mended`)).toBe(false);
  });

  it("leaves a bounded number of damaged ones beside it [F38]", async () => {
    using origin = await closed();
    const { folder } = origin;
    for (let n = 0; n < 7; n++) {
      zeroTree(folder.file, "records");
      folder.open();
      folder.closeAll();
    }

    const kept = readdirSync(folder.directory).filter((name) => /damaged-\d+$/.test(name));
    expect(kept.sort()).toEqual([1, 2, 3, 4].map((n) => `tsnet.db.damaged-${n}`));
  });
});

function overwrite(file: string, offset: number, length: number, value = 0xa5): void {
  const bytes = readFileSync(file);
  bytes.fill(value, offset, offset + length);
  writeFileSync(file, bytes);
}

// A start on records of an older format that is killed at every call by which it changes a file, by strace.
import { existsSync } from "node:fs";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { RecordFolder, contentsOf, writeFormat1 } from "../../support/record-files.ts";

const RECORDS = new Map<string, unknown>(Array.from({ length: 9 }, (_, n) => [`network n${n}`, { n }] as const));
const CALLS = "rename,unlink,link,ftruncate,pwrite64,fsync,fchmod,chmod,copy_file_range";
const OPEN = `import { SqliteStore } from ${JSON.stringify(new URL("../../../src/state/sqlite-store.ts", import.meta.url).href)};
  SqliteStore.open(process.argv[1]).close();`;

/** @returns whether it was killed. */
async function killedAt(folder: RecordFolder, call: number): Promise<boolean> {
  const inject = [
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    `trace=${CALLS}`,
    "-e",
    `inject=${CALLS}:signal=KILL:when=${call}`,
  ];
  const program = [process.execPath, "--input-type=module", "-e", OPEN, folder.directory];
  const { signal } = await execa("strace", [...inject, ...program], { reject: false });
  return signal === "SIGKILL";
}

describe("bringing records to this format", () => {
  it("is done again after a crash at any moment, and keeps the original [F32]", async () => {
    let call = 0;
    for (let isOver = false; !isOver; call += 2) {
      using folder = new RecordFolder();
      writeFormat1(folder, RECORDS);
      isOver = !(await killedAt(folder, call + 1));
      const store = folder.open();

      expect([call, contentsOf(store), store.fault, store.damaged()]).toEqual([call, RECORDS, undefined, []]);
      expect([call, existsSync(`${folder.file}.format-1`)]).toEqual([call, true]);
    }
    expect(call).toBeGreaterThan(20);
  }, 180_000);
});

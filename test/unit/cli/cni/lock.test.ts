import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lockRecords } from "../../../../src/cli/cni/lock.ts";

/** Locks as `lock.ts` does, and holds on until its standard input ends. In this process SQLite would keep what it has open. */
const HOLDER = `
const database = new (require("node:sqlite").DatabaseSync)(process.argv[1]);
database.exec("BEGIN EXCLUSIVE");
process.stdout.write("held");
process.stdin.resume().on("end", () => process.exit());
`;

let folder = "";
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "tsnet-lock-"))));
afterAll(() => rmSync(folder, { recursive: true }));

async function holdElsewhere(): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["-e", HOLDER, join(folder, "lock")], { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}

function openFiles(): number {
  return readdirSync("/proc/self/fd").length;
}

describe("the lock of the records", () => {
  it("is waited for with one file at a time, and given when it is free", async () => {
    const child = await holdElsewhere();
    const before = openFiles();

    await expect(lockRecords(folder, 500)).rejects.toMatchObject({ code: "unavailable" });

    expect(openFiles()).toBe(before);
    child.stdin?.end();
    await once(child, "close");
    using _lock = await lockRecords(folder, 500);
  });
});

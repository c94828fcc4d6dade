// A power cut at every moment: what the store really wrote and synced, in its order, is played again onto copies of its files up
// to each call, with what was not synced lost, kept, or torn. Each copy is opened as after the next boot.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { RecordFolder } from "../../support/record-files.ts";

/** One call that reached the kernel, for a file in the folder. */
type Step =
  | { readonly op: "write"; readonly file: string; readonly at: number; readonly bytes: Buffer }
  | { readonly op: "cut"; readonly file: string; readonly size: number }
  | { readonly op: "sync"; readonly file: string }
  | { readonly op: "answer"; readonly count: number };

const COMMITS = 8;
const PROGRAM = `
  import { SqliteStore } from ${JSON.stringify(new URL("../../../src/state/sqlite-store.ts", import.meta.url).href)};
  import { writeSync } from "node:fs";
  const store = SqliteStore.open(process.argv[1]);
  for (let n = 1; n <= ${COMMITS}; n++) {
    const body = { n, text: "x".repeat(n * 97) };
    await store.commit([{ op: "put", kind: "pool", id: "a" + (n % 5), body }, { op: "put", kind: "host", id: "n", body: { n } }]);
    writeSync(1, "answer " + n);
  }
  process.kill(process.pid, "SIGKILL");`;

/** Runs the program on an existing folder. @returns its calls, in order. */
async function trace(folder: RecordFolder): Promise<readonly Step[]> {
  const log = join(folder.parent, "trace");
  const calls = "trace=write,pwrite64,ftruncate,fsync,fdatasync";
  const flags = ["-f", "-y", "-xx", "-qq", "-s", "1000000", "-e", calls, "-o", log];
  const program = [process.execPath, "--input-type=module", "-e", PROGRAM, folder.directory];
  await execa("strace", [...flags, ...program], { reject: false });
  return wholeLines(readFileSync(log, "latin1")).flatMap((line) => parseStep(line, folder.directory));
}

/** strace(1) tells a call in two lines, its beginning and its end, when another thread says something in between. */
function wholeLines(text: string): readonly string[] {
  const begun = new Map<string, string>();
  return text.split("\n").flatMap((line) => {
    const [, pid = "", call = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const [, beginning] = /^(.*) <unfinished \.\.\.>$/.exec(call) ?? [];
    const [, end] = /^<\.\.\. \w+ resumed>(.*)$/.exec(call) ?? [];
    if (beginning !== undefined) begun.set(pid, beginning);
    if (beginning !== undefined) return [];
    return end === undefined ? [line] : [`${pid} ${begun.get(pid)}${end}`];
  });
}

function parseStep(line: string, directory: string): Step[] {
  const [, call = "", path = "", rest = ""] = /^\d+ +(\w+)\(\d+<([^>]*)>(.*)\) += \d+$/.exec(line) ?? [];
  const text = unhex(path).toString();
  const [, data = "", numbers = ""] = /^, "((?:\\x..)*)"(.*)$/.exec(rest) ?? [];
  const bytes = unhex(data);
  const [, answered] = /^answer (\d+)$/.exec(bytes.toString("latin1")) ?? [];
  if (call === "write" && answered !== undefined) return [{ op: "answer", count: Number(answered) }];
  if (!text.startsWith(`${directory}/`)) return [];
  const file = basename(text);
  if (call === "pwrite64") return [{ op: "write", file, at: Number(numbers.split(", ")[2]), bytes }];
  if (call === "ftruncate") return [{ op: "cut", file, size: Number(rest.slice(2)) }];
  return call.endsWith("sync") ? [{ op: "sync", file }] : [];
}

/** strace -xx: `\\x2f\\x74`; a path may be plain. */
function unhex(text: string): Buffer {
  return text.startsWith("\\x") ? Buffer.from(text.replaceAll("\\x", ""), "hex") : Buffer.from(text, "latin1");
}

type Files = ReadonlyMap<string, Buffer>;

function apply(files: Files, step: Step): Files {
  if (step.op !== "write" && step.op !== "cut") return files;
  const former = files.get(step.file) ?? Buffer.alloc(0);
  if (step.op === "cut") return new Map([...files, [step.file, former.subarray(0, step.size)]]);
  const next = Buffer.alloc(Math.max(former.length, step.at + step.bytes.length));
  former.copy(next);
  step.bytes.copy(next, step.at);
  return new Map([...files, [step.file, next]]);
}

/** What may be on the disk when the power goes: all that was synced, and of the rest all, nothing, the last in part, or the last only. */
function imagesAt(durable: Files, pending: readonly Step[]): readonly Files[] {
  const last = pending.at(-1);
  const torn: Step[] =
    last?.op === "write"
      ? [...pending.slice(0, -1), { ...last, bytes: last.bytes.subarray(0, last.bytes.length >> 1) }]
      : [];
  const choices = [[], pending, torn, pending.slice(-1), pending.filter((_, n) => n % 2 === 0)];
  return choices.map((steps) => steps.reduce(apply, durable));
}

describe("records after a power cut at any moment", () => {
  it("are all that was answered, and at most what was being written, never a part of it [F35]", async () => {
    using folder = new RecordFolder();
    await folder.open().commit([{ op: "put", kind: "host", id: "n", body: { n: 0 } }]);
    folder.closeAll();
    const names = ["tsnet.db", "tsnet.db-count"];
    let durable: Files = new Map(names.map((name) => [name, readFileSync(join(folder.directory, name))]));
    const steps = await trace(folder);
    let [answered, images] = [0, 0];
    let pending: readonly Step[] = [];
    const faults: string[] = [];
    for (const [n, step] of steps.entries()) {
      if (step.op === "answer") answered = step.count;
      else if (step.op !== "sync") pending = [...pending, step];
      else {
        durable = pending.filter((one) => "file" in one && one.file === step.file).reduce(apply, durable);
        pending = pending.filter((one) => "file" in one && one.file !== step.file);
      }
      for (const image of imagesAt(durable, pending)) {
        images += 1;
        faults.push(...judge(image, answered).map((fault) => `after call ${n}: ${fault}`));
      }
    }

    expect(answered).toBe(COMMITS);
    expect(images).toBeGreaterThan(150);
    expect(faults).toEqual([]);
  });
});

function judge(image: Files, answered: number): string[] {
  using copy = new RecordFolder();
  mkdirSync(copy.directory);
  for (const [name, bytes] of image) writeFileSync(join(copy.directory, name), bytes, { mode: 0o600 });
  const store = copy.openAnyhow();
  const { n = -1 } = (store.list("host").get("n") ?? {}) as { n?: number };
  const wrong = Array.from({ length: 5 }, (_, k) => `a${k}`).filter((id) => {
    const { n: found = 0 } = (store.list("pool").get(id) ?? {}) as { n?: number };
    const expected = Array.from({ length: n }, (_, k) => k + 1).findLast((k) => `a${k % 5}` === id) ?? 0;
    return found !== expected;
  });
  return [
    ...(store.fault === undefined ? [] : [store.fault.message]),
    ...store.notes,
    ...(n === answered || n === answered + 1 ? [] : [`${answered} were answered, but ${n} are there`]),
    ...wrong.map((id) => `${id} is not of commit ${n}`),
  ];
}

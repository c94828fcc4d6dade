import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { afterAll, describe, expect, it, vi } from "vitest";

const LOG = join(import.meta.dirname, "../../src/log.ts");
const LINES = 20_000;
/** Until a program that does what it shall has done it, on a busy machine too. */
const LIMIT_MS = 20_000;

/** Logs that many lines, tells on standard error when they are logged, and ends when it is told something. */
const PROGRAM = `
import { createLog } from ${JSON.stringify(LOG)};
const log = createLog("info");
for (let n = 0; n < ${LINES}; n++) log.info({ n }, "x".repeat(100));
process.stderr.write("logged");
process.stdin.once("data", () => process.exit());
`;

const ARGV = ["--no-warnings", "--input-type=module", "--eval", PROGRAM];
const FOLDER = mkdtempSync(join(tmpdir(), "tsnet-log-"));
afterAll(() => rmSync(FOLDER, { recursive: true }));

interface Line {
  readonly n?: number;
  readonly lines?: number;
}

/** What comes, until the log says what is missing and the program was let go. */
async function linesOf(reader: Readable, program: ChildProcess): Promise<readonly Line[]> {
  let text = "";
  reader.setEncoding("utf8").on("data", (part: string) => (text += part));
  await vi.waitFor(() => expect(text).toMatch(/dropped.*\n$/), { timeout: LIMIT_MS });
  program.stdin?.write("end");
  await once(program, "exit");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

function expectGap(lines: readonly Line[]): void {
  const missing = lines.at(-1)?.lines ?? 0;
  expect(missing).toBeGreaterThan(1000);
  expect(lines.length - 1 + missing).toBe(LINES);
  expect(lines.slice(0, -1).map(({ n }) => n)).toEqual(Array.from({ length: LINES - missing }, (_, n) => n));
}

describe("the log", { timeout: 3 * LIMIT_MS }, () => {
  it("holds nobody up in a pipe that nobody reads, keeps what fits, and tells how many lines are missing [F135]", async () => {
    const path = join(FOLDER, "pipe");
    execFileSync("mkfifo", [path]);
    const end = openSync(path, "r+");
    const program = spawn(process.execPath, ARGV, { stdio: ["pipe", end, "pipe"] });

    await once(program.stderr as Readable, "data"); // it has logged all of it

    const reader = spawn("cat", [path]);
    closeSync(end);
    expectGap(await linesOf(reader.stdout, program));
  });

  it("lets the program end though nobody reads [F135]", async () => {
    const path = join(FOLDER, "never-read");
    execFileSync("mkfifo", [path]);
    const end = openSync(path, "r+");
    const program = spawn(process.execPath, ARGV, { stdio: ["pipe", end, "pipe"] });
    await once(program.stderr as Readable, "data");

    program.stdin?.write("end");

    const ended = once(program, "exit", { signal: AbortSignal.timeout(LIMIT_MS) });
    await expect(ended.finally(() => program.kill("SIGKILL"))).resolves.toEqual([0, null]);
    closeSync(end);
  });

  it("holds nobody up in a socket, as systemd gives, either [F135]", async () => {
    const program = spawn(process.execPath, ARGV); // Node.js makes pairs of sockets

    await once(program.stderr, "data");

    expectGap(await linesOf(program.stdout, program));
  });

  it("is whole in a file", async () => {
    const path = join(FOLDER, "file");
    const program = spawn("sh", ["-c", `exec "$@" > ${path}`, "sh", process.execPath, ...ARGV]);
    await once(program.stderr, "data");
    program.stdin.write("end");
    await once(program, "exit");

    expect(readFileSync(path, "utf8").trimEnd().split("\n")).toHaveLength(LINES);
  });
});

import { readFileSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { run } from "../../../src/host/run.ts";
import { PATIENCE } from "../../support/wait-until.ts";

/** Whether a process with this argument runs; children of a killed group are not ours to wait for. */
const isRunning = (argument: string) =>
  readdirSync("/proc").some((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(argument);
    } catch {
      return false; // ended meanwhile
    }
  });

describe("run", () => {
  it("gives standard output as it is", async () => {
    expect(await run("printf", ["a\\nb\\n"])).toBe("a\nb\n");
  });

  it("hands arguments over without a shell", async () => {
    expect(await run("printf", ["%s", "$HOME; `id` *"])).toBe("$HOME; `id` *");
  });

  it("fixes language and search path, whatever the daemon was started with", async () => {
    expect((await run("env", [])).split("\n").sort()).toEqual(["", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
  });

  it("adds to the environment what it is told, and nothing else", async () => {
    const lines = (await run("env", [], { env: { CNI_COMMAND: "ADD" } })).split("\n").sort();

    expect(lines).toEqual(["", "CNI_COMMAND=ADD", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
  });

  it("gives the input, or none", async () => {
    expect(await run("cat", [], { input: "one\ntwo" })).toBe("one\ntwo");
    expect(await run("cat", [])).toBe("");
  });

  it("says argv, exit code and the first line of standard error, and keeps 2 KiB of it [F86]", async () => {
    const script = "echo first >&2; head -c 5000 /dev/zero | tr '\\0' x >&2; exit 3";

    const failure = await run("sh", ["-c", script]).catch((error: unknown) => error);

    expect(failure).toMatchObject({
      code: "host",
      message: `sh -c ${script}: exit code 3: first`,
      cause: { argv: ["sh", "-c", script], exitCode: 3, stderr: `first\n${"x".repeat(2042)}` },
    });
  });

  it("says why a command failed that explains it on standard output, else the first line of standard error", async () => {
    const explain = (stdout: string) => (stdout === "" ? undefined : `because of ${stdout}`);

    await expect(run("sh", ["-c", "echo -n this; echo that >&2; exit 3"], { explain })).rejects.toThrow(
      /: exit code 3: because of this$/,
    );
    await expect(run("sh", ["-c", "echo that >&2; exit 3"], { explain })).rejects.toThrow(/: exit code 3: that$/);
  });

  it("says the signal that ended the command [F86]", async () => {
    await expect(run("sh", ["-c", "kill -TERM $$"])).rejects.toThrow("sh -c kill -TERM $$: ended by SIGTERM");
  });

  it("says which command is missing [F85]", async () => {
    await expect(run("tsnet-absent", ["--version"])).rejects.toThrow("tsnet-absent --version: not found");
  });

  it("kills the whole process group when the time is over, and says what was written until then [F87]", async () => {
    const seconds = `98765.${process.pid}`;
    const script = `echo working >&2; sleep ${seconds} & sleep ${seconds}`;

    const timeoutMs = 3000 * PATIENCE; // time enough to begin, on a machine that is busy

    const running = run("sh", ["-c", script], { timeoutMs });

    await expect(running).rejects.toThrow(`sh -c ${script}: killed after ${timeoutMs} ms: working`);
    await expect.poll(() => isRunning(seconds)).toBe(false);
  });

  it("does not wait for a descendant that left the process group and holds the output open [F87]", async () => {
    const seconds = `30.${process.pid}`;
    const begin = performance.now();

    const running = run("sh", ["-c", `setsid sleep ${seconds}`], { timeoutMs: 200 });

    await expect(running).rejects.toThrow("killed after 200 ms");
    expect(performance.now() - begin).toBeLessThan(15_000);
  });

  it("gives up on a command that writes more than 16 MiB [F86]", async () => {
    await expect(run("yes", [])).rejects.toThrow("yes: wrote more than 16777216 bytes");
  });
});

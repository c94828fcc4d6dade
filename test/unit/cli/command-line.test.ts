// The operator's command as a process of its own, with readers that have gone and files that take nothing.
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { networkStatus } from "../../support/cli-desk.ts";

const MAIN = join(import.meta.dirname, "../../../src/main.ts");
const STATUS = { version: "1", networks: [networkStatus(1)], isComplete: true };

let folder = "";
const server = createServer((_request, response) => void response.end(JSON.stringify(STATUS)));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tsnet-command-"));
  server.listen(join(folder, "tsnet.sock"));
  await once(server, "listening");
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

function start(words: readonly string[], stdio: StdioOptions) {
  const nowhere = { TSNET_SOCKET: join(folder, "tsnet.sock"), DOCKER_HOST: `unix://${folder}/docker.sock` };
  return spawn(process.execPath, [MAIN, ...words], { stdio, env: { ...process.env, ...nowhere } });
}

async function endOf(child: ChildProcess) {
  const [[code], stderr] = await Promise.all([once(child, "close"), child.stderr === null ? "" : text(child.stderr)]);
  return { code: code as number | null, stderr };
}

describe("a command whose reader has gone", () => {
  it.each([
    ["--help", 0, /^$/],
    ["ls --json", 0, /^tsnet: Docker does not answer[^\n]*\n$/],
    ["inspect nobody", 1, /\ntsnet: tsnet has no network or container "nobody"[^\n]*\n$/],
  ])("ends as without one, and says nothing of it: %s", async (line, exitCode, said) => {
    const child = start(line.split(" "), ["ignore", "pipe", "pipe"]);
    child.stdout?.destroy();

    const { code, stderr } = await endOf(child);

    expect(stderr).toMatch(said);
    expect(code).toBe(exitCode);
  });

  it("ends as without one where standard error has gone too", async () => {
    const child = start(["lss"], ["ignore", "pipe", "pipe"]);
    child.stdout?.destroy();
    child.stderr?.destroy();

    expect(await once(child, "close")).toEqual([2, null]);
  });
});

describe("a command that cannot print", () => {
  it("says why in one line, and ends with 1", async () => {
    await using full = await open("/dev/full", "w");
    const child = start(["--help"], ["ignore", full.fd, "pipe"]);

    const { code, stderr } = await endOf(child);

    expect(stderr).toMatch(/^tsnet: standard output: .*no space left on device.*\n$/);
    expect(code).toBe(1);
  });
});

describe("the command line of serve", () => {
  it.each([["--nonsense"], ["word"], ["--plugin-socket"]])(
    "ends with 2 where it is wrong, and says why: %s",
    async (word) => {
      const { code, stderr } = await endOf(start(["serve", word], ["ignore", "ignore", "pipe"]));

      expect(stderr).toMatch(new RegExp(`^tsnet: [^\\n]*'${word}[^\\n]*\\n$`));
      expect(code).toBe(2);
    },
  );
});

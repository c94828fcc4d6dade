// The command line as it is typed, against a daemon that is a small HTTP server on a socket.
import { createServer } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { runCommand } from "../../../src/cli/program.ts";
import { VERSION } from "../../../src/version.ts";
import { networkStatus } from "../../support/cli-desk.ts";

const REPLIES: Readonly<Record<string, object>> = {
  "/status": { version: VERSION, networks: [networkStatus(1)], isComplete: true },
  "/pools": { version: VERSION, pools: [], isComplete: true },
};
const COMMANDS = ["ls", "inspect", "ports", "ipam", "show", "macs", "events"];

let folder = "";
let socket = "";
const server = createServer((request, response) => {
  response.end(JSON.stringify(REPLIES[request.url ?? ""] ?? { Err: "?" }));
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tsnet-program-"));
  socket = join(folder, "tsnet.sock");
  vi.stubEnv("DOCKER_HOST", `unix://${join(folder, "docker.sock")}`);
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(socket, resolve);
  await promise;
});
afterAll(async () => {
  vi.unstubAllEnvs();
  server.close();
  await rm(folder, { recursive: true });
});

async function typed(...words: readonly string[]) {
  const printed = { stdout: "", stderr: "" };
  const out = vi.spyOn(process.stdout, "write").mockImplementation((text) => Boolean((printed.stdout += String(text))));
  const err = vi.spyOn(process.stderr, "write").mockImplementation((text) => Boolean((printed.stderr += String(text))));
  try {
    return { exitCode: await runCommand(words), ...printed };
  } finally {
    out.mockRestore();
    err.mockRestore();
  }
}

describe("tsnet", () => {
  it("ends with 0 when a command is done", async () => {
    const { exitCode, stdout } = await typed("--socket", socket, "ls", "--json");

    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject([{ id: networkStatus(1).id }]);
  });

  it("takes the socket behind the command too, and from TSNET_SOCKET", async () => {
    vi.stubEnv("TSNET_SOCKET", socket);

    expect((await typed("ls")).exitCode).toBe(0);
    expect((await typed("ls", "--socket", join(folder, "none.sock"))).exitCode).toBe(1);

    vi.stubEnv("TSNET_SOCKET", undefined);
  });

  it("works on with ids when Docker does not answer, and says so on standard error", async () => {
    const { exitCode, stdout, stderr } = await typed("--socket", socket, "ls");

    expect(exitCode).toBe(0);
    expect(stdout).toContain(networkStatus(1).id.slice(0, 12));
    expect(stderr).toMatch(/^tsnet: Docker does not answer, so there are ids in place of names: /);
  });

  it("ends with 1 and one line that says why when a command could not be done", async () => {
    const { exitCode, stdout, stderr } = await typed("--socket", socket, "inspect", "nobody");

    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(stderr).toContain('tsnet: tsnet has no network or container "nobody"; its networks are ');
  });

  it.each([
    ["an unknown command", ["lss"], "tsnet: unknown command 'lss'\n(Did you mean ls?)"],
    ["an unknown option", ["ls", "--jsn"], "tsnet: unknown option '--jsn'\n(Did you mean --json?)"],
    ["a missing operand", ["inspect"], "tsnet: missing required argument 'network|container'"],
    ["too many operands", ["ls", "web"], "tsnet: too many arguments for 'ls'"],
    ["a missing value", ["ls", "--socket"], "tsnet: option '--socket <path>' argument missing"],
    ["a wrong value", ["inspect", "x", "--type", "pod"], "argument 'pod' is invalid. Allowed choices are network"],
    ["no port", ["explain", "a", "b", "http"], 'tsnet: "http" is no port; permitted: 1-65535'],
    ["no address", ["explain", "a", "10.1.0.300"], 'tsnet: "10.1.0.300" is no IP address'],
    ["no receiver", ["explain", "a", "outside"], "tsnet: outside is no receiver"],
    ["no number of a process", ["attach", "--pid", "a", "blue"], 'tsnet: --pid "a": no number of a process'],
    ["no path", ["detach", "--netns", "lab", "blue"], 'tsnet: --netns "lab": no absolute path'],
    ["no name of an interface", ["cni", "add", "a", "b", "--ifname", "a b"], 'tsnet: --ifname "a b": permitted are'],
    ["the same of check", ["cni", "check", "a", "b", "--ifname", "a b"], 'tsnet: --ifname "a b": permitted are'],
    ["the same of del", ["cni", "del", "a", "b", "--ifname", "a b"], 'tsnet: --ifname "a b": permitted are'],
    ["no capability", ["cni", "add", "a", "b", "--cap", "x"], 'tsnet: --cap "x": permitted is CAPABILITY=JSON'],
    [
      "serve behind an option",
      ["--socket", "/x.sock", "serve"],
      "tsnet: serve stands first; TSNET_SOCKET names its socket",
    ],
  ])("ends with 2 for %s, and says what would be right", async (_what, words, message) => {
    const { exitCode, stdout, stderr } = await typed(...words);

    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(message);
    expect(stderr).toContain("--help lists what there is)");
  });

  it("lists its commands with --help and ends with 0", async () => {
    const { exitCode, stdout, stderr } = await typed("--help");

    expect([exitCode, stderr]).toEqual([0, ""]);
    for (const command of ["serve", ...COMMANDS]) expect(stdout).toMatch(new RegExp(`^  ${command} `, "m"));
  });

  it.each(COMMANDS)("says with %s --help what it does, and that it has --json", async (command) => {
    const { exitCode, stdout } = await typed(command, "--help");

    expect(exitCode).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: tsnet ${command} `));
    expect(stdout).toContain("--json");
  });

  it("has the settings of the daemon and its options in the help of serve", async () => {
    const { stdout } = await typed("serve", "--help");

    expect(stdout).toContain("--plugin-socket <path>");
    expect(stdout).toContain("TSNET_METRICS");
  });

  it("prints its version", async () => {
    expect(await typed("--version")).toEqual({ exitCode: 0, stdout: `${VERSION}\n`, stderr: "" });
  });
});

// From the sources to a running plugin, as README.md says it: `npm ci`, `npm run build`, `npm run plugin:install`, and the
// Dockerfile on a Debian base of our own. Everything happens in a copy of this folder, so that the one here stays as it is.
// What is built does not depend on the engine: run with the oldest only.
import { existsSync } from "node:fs";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { type Options, execa } from "execa";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { provideDebianBase } from "../support/debian-base.ts";
import { ENGINE_VERSIONS, selectedEngine } from "../support/engines.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { LabHost } from "../support/lab-host.ts";
import { expectedSkip } from "../support/suite-count.ts";

const REPO = join(import.meta.dirname, "../..");
const MINUTES = 60_000;

describe("the sources", { timeout: 10 * MINUTES }, () => {
  const isOldest = selectedEngine() === ENGINE_VERSIONS[0];
  let copy: string;
  let lab: LabHost;

  beforeAll(async () => {
    if (!isOldest) return;
    copy = await mkdtemp(join(tmpdir(), "tsnet-sources-"));
    await cp(REPO, copy, { recursive: true, filter: (path) => !isMade(relative(REPO, path)) });
    lab = await LabHost.up();
  }, 2 * MINUTES);
  beforeEach((context) => {
    if (!isOldest) expectedSkip(context, "what is built does not depend on the engine");
  });
  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
    if (copy !== undefined) await rm(copy, { recursive: true, force: true });
  });

  it("install and build from an empty folder", async () => {
    await execa("npm", ["ci", "--no-audit", "--no-fund"], inCopy());
    await execa("npm", ["run", "--silent", "build"], inCopy());

    const { stdout } = await execa("npm", ["run", "--silent", "tsnet", "--", "--version"], inCopy());

    // JSON of our own file.
    const { version } = JSON.parse(await readFile(join(copy, "package.json"), "utf8")) as { version: string };
    expect(stdout).toBe(version);
  });

  it("say in one line under an older Node.js which one they need", async (context) => {
    const older = await findOlderNode();
    if (older === undefined) return expectedSkip(context, "this machine has no Node.js older than 24");

    const result = await execa(older, [join(copy, "dist/tsnet.js"), "--version"], { reject: false });

    expect(result).toMatchObject({ exitCode: 1, stdout: "" });
    expect(result.stderr).toMatch(/^tsnet needs Node\.js 24 or newer, this is v\d.*\(.*\); .*$/);
  });

  it("make a plugin and enable it in the user's engine by `npm run plugin:install`", async () => {
    const output = await npmInLab("plugin:install");

    expect(output).toContain("tsnet-plugin is enabled in engine 20.10.");
    await expectPing();
    await expect(npmInLab("plugin:install")).rejects.toThrow(/tsnet-plugin is installed already and enabled/);
    await lab.docker("plugin", "rm", "-f", "tsnet-plugin");
  });

  it("are refused by `npm run plugin:install` while `tsnet serve` runs, and nothing is installed", async () => {
    const serve = await lab.startServe();

    await expect(npmInLab("plugin:install")).rejects.toThrow(/something answers on .*tsnet\.sock already/);

    expect(await lab.docker("plugin", "ls", "--quiet")).toBe("");
    await serve.stop();
  });

  it("make the same plugin by the Dockerfile, on a Debian base and without a network", async () => {
    const base = await provideDebianBase();
    await lab.docker("import", base, "debian-base:local");
    const build = ["docker", "build", "--network", "none", "--build-arg", "BASE=debian-base:local"];

    await lab.exec(["env", "-C", copy, ...build, "-t", "tsnet-rootfs", "."], { timeoutMs: 5 * MINUTES });
    const output = await npmInLab("plugin:build", "--from-image", "tsnet-rootfs");

    expect(output).toMatch(/rootfs of \d+ MiB/);
    console.log(`Dockerfile: ${output.split("\n").at(-1)}`);
    await lab.installPlugin([], "tsnet-plugin", join(copy, "build/plugin"));
    await expectPing();
  });

  async function expectPing(): Promise<void> {
    await lab.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "blue");
    await lab.docker("run", "-d", "--name", "one", "--network", "blue", TEST_IMAGE);
    const output = await lab.docker("run", "--rm", "--network", "blue", TEST_IMAGE, "ping", "-c1", "-W10", "one");
    expect(output).toContain("1 packets received");
    await lab.docker("rm", "-f", "one");
    await lab.docker("network", "rm", "blue");
  }

  /** Runs a script of the copy's package.json inside the lab, where `docker` speaks to the lab's engine. */
  async function npmInLab(script: string, ...args: string[]): Promise<string> {
    const argv = ["env", "-C", copy, "npm", "run", "--silent", script, "--", ...args];
    const env = { PATH: `${dirname(await findNpm())}:${lab.namespace.path}` };
    return await lab.exec(argv, { timeoutMs: 3 * MINUTES, env });
  }

  /** As a user's shell: without the node_modules/.bin of this very test run. */
  function inCopy(): Options {
    return { cwd: copy, env: { PATH: userPath().join(":") }, stdin: "ignore", timeout: 5 * MINUTES };
  }
});

/** What npm and the build make, and git's own. @param path - relative to the repository. */
function isMade(path: string): boolean {
  return /^(node_modules|dist|dist\..*|build|\.git)$/.test(path);
}

function userPath(): string[] {
  return (process.env["PATH"] ?? "").split(":").filter((folder) => !folder.includes("node_modules"));
}

async function findNpm(): Promise<string> {
  const folder = userPath().find((path) => existsSync(join(path, "npm")));
  if (folder === undefined) throw new Error("this machine has no npm");
  return join(folder, "npm");
}

async function findOlderNode(): Promise<string | undefined> {
  for (const node of userPath().map((folder) => join(folder, "node"))) {
    if (!existsSync(node)) continue;
    const { stdout } = await execa(node, ["--version"]);
    if (Number(/^v(\d+)/.exec(stdout)?.[1]) < 24) return node;
  }
  return undefined;
}

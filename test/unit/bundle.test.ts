// What `npm run build` makes: one script that needs nothing but Node.js and stands in any folder.
import { execFileSync, spawnSync } from "node:child_process";
import { fstatSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const project = join(import.meta.dirname, "../..");
/** Of one build or two, on a busy machine too. */
const LIMIT_MS = 60_000;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tsnet-bundle-"));
  execFileSync(process.execPath, [join(project, "plugin/bundle.ts"), join(folder, "dist")]);
}, LIMIT_MS);
afterAll(() => rmSync(folder, { recursive: true }));

describe("dist", { timeout: LIMIT_MS }, () => {
  it("holds one script, its source map and koffi's machine code", () => {
    expect(readdirSync(join(folder, "dist")).sort()).toEqual([
      "koffi.node",
      "package.json",
      "tsnet.js",
      "tsnet.js.map",
    ]);
  });

  it("gets new files when it is built again, so that a daemon that runs from it keeps the old ones", () => {
    const before = inodes();

    execFileSync(process.execPath, [join(project, "plugin/bundle.ts"), join(folder, "dist")]);

    const after = inodes();
    expect(Object.keys(after)).toEqual(Object.keys(before));
    expect(Object.values(after).filter((inode) => Object.values(before).includes(inode))).toEqual([]);
    expect(readdirSync(folder)).toEqual(["dist"]);
  });

  it("answers --version outside the project, without node_modules", () => {
    // JSON of our own file.
    const { version } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as { version: string };

    const answer = start(["--version"]);

    expect(answer).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
  });

  it("answers --help with its commands", () => {
    expect(start(["--help"])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^  serve .*\n  ls /m),
      stderr: "",
    });
  });

  it("says in one line what it needs when Node.js is too old", () => {
    const old = join(folder, "old.cjs");
    writeFileSync(
      old,
      'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.19.0" } });',
    );

    const answer = start(["--version"], ["--require", old]);

    expect(answer).toMatchObject({ status: 1, stdout: "" });
    expect(answer.stderr).toMatch(
      /^tsnet needs Node\.js 24 or newer, this is .*"npm run tsnet -- COMMAND" uses the right one\n$/,
    );
  });
});

/** Of each file, held open so that a number is not given out again. */
function inodes(): Record<string, number> {
  const names = readdirSync(join(folder, "dist")).sort();
  return Object.fromEntries(names.map((name) => [name, fstatSync(openSync(join(folder, "dist", name), "r")).ino]));
}

function start(
  args: readonly string[],
  nodeOptions: readonly string[] = [],
): { status: number | null; stdout: string; stderr: string } {
  const script = join(folder, "dist/tsnet.js");
  const { status, stdout, stderr } = spawnSync(process.execPath, [...nodeOptions, script, ...args], {
    cwd: folder,
    encoding: "utf8",
    env: {},
  });
  return { status, stdout, stderr };
}

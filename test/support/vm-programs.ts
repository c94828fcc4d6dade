// The programs that tests start as processes of their own, made ready for the virtual machine: each with all that it imports
// in one JavaScript file. There `vm-node.ts` puts them in the place of the files they were made of.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

const REPO = join(import.meta.dirname, "../..");
/** One that is missing works as well, and starts slowly. */
const PROGRAMS = [
  "test/vitest.config.ts",
  "test/support/address-mover-main.ts",
  "test/support/echo-client.ts",
  "test/support/echo-server.ts",
  "test/support/frame-sender.ts",
  "test/support/host-agent-main.ts",
  "test/support/publish-asker.ts",
  "test/support/publish-talker.ts",
  "test/support/round-trips-main.ts",
  "test/support/sctp-echo-client.ts",
  "test/support/sctp-echo-server.ts",
  "test/support/steady-stream-main.ts",
];

/** What packages that are CommonJS expect. */
const REQUIRE =
  'import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);';

/** @param folder - for all of it; made. @returns what `NODE_OPTIONS` shall be in the virtual machine. */
export async function bundlePrograms(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const shared = {
    absWorkingDir: REPO,
    bundle: true,
    platform: "node",
    target: "node24",
    logLevel: "warning",
  } as const;
  const entryPoints = PROGRAMS.map((path) => ({ in: path, out: join(REPO, path).slice(1) }));
  await build({
    ...shared,
    entryPoints,
    outdir: folder,
    format: "esm",
    outExtension: { ".js": ".mjs" },
    external: ["koffi", "vitest", "vite"], // they are found from where the program's own file is
    banner: { js: REQUIRE },
  });
  await build({
    ...shared,
    entryPoints: ["test/support/vm-node.ts"],
    outfile: join(folder, "vm-node.cjs"),
    format: "cjs",
  });
  return `--require=${join(folder, "vm-node.cjs")}`;
}

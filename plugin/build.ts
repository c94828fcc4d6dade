// Makes build/plugin/, what `docker plugin create` takes: config.json and rootfs/. The root file system is the closure
// of what tsnet runs and nothing else: node, dist/, the host tools that it starts, their libraries. No registry, no
// network, nothing is installed. With `--from-image IMAGE` the rootfs is that image's (see Dockerfile, which makes it
// with this same script). Runs as root: the result is tried in a chroot, and takes the place of the former one only then.
//
// Node's own modules and nothing else: the script also runs inside the Dockerfile, where there is no node_modules.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";

const project = join(import.meta.dirname, "..");
const plugin = join(project, "build/plugin");
/** Where it is made; two builds at once do not meet. */
const out = `${plugin}.${process.pid}`;
const rootfs = join(out, "rootfs");

/** What tsnet starts in the plugin, with the Debian package to install where it is missing. */
const TOOLS = { ip: "iproute2", bridge: "iproute2", nft: "nftables", setpriv: "util-linux", env: "coreutils" };
/** What this script needs besides. */
const BUILD_TOOLS = { ldd: "libc-bin", strip: "binutils" };

/** Folders that the engine or a program expects, besides the mount points of config.json. */
const FOLDERS = ["dev", "etc", "proc", "run/docker/plugins", "sys", "tmp"];

interface PluginConfig {
  readonly entrypoint: readonly string[];
  readonly propagatedMount: string;
  readonly mounts: readonly { readonly destination: string }[];
}

try {
  main(parseArgs({ options: { "from-image": { type: "string" } } }).values["from-image"]);
} catch (error) {
  console.error(`plugin:build: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  rmSync(out, { recursive: true, force: true });
}

function main(image: string | undefined): void {
  const startedAt = performance.now();
  process.umask(0o022);
  if (process.getuid?.() !== 0) throw new Error("not root: the rootfs is tried in a chroot");
  if (image === undefined) checkNeeds();
  mkdirSync(rootfs, { recursive: true });
  if (image === undefined) makeClosure();
  else unpackImage(image);
  copyFileSync(join(project, "config.json"), join(out, "config.json"));
  smokeTest();
  const size = run("du", ["-sm", "--apparent-size", rootfs]).split("\t")[0];
  rmSync(plugin, { recursive: true, force: true });
  renameSync(out, plugin);
  console.log(`build/plugin: rootfs of ${size} MiB, made in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
}

function checkNeeds(): void {
  const missing = Object.entries({ ...TOOLS, ...BUILD_TOOLS }).filter(([tool]) => findTool(tool) === undefined);
  const problems = missing.map(([tool, debianPackage]) => `${tool} is missing (apt-get install ${debianPackage})`);
  if (!existsSync(join(project, "dist/tsnet.js"))) problems.push("dist/tsnet.js is missing (npm run build)");
  if (problems.length > 0) throw new Error(problems.join("; "));
}

function makeClosure(): void {
  // As on a merged Debian, so that /sbin/ip, /usr/sbin/ip and /usr/bin/ip are the same file.
  mkdirSync(join(rootfs, "usr/bin"), { recursive: true });
  for (const folder of ["lib", "lib64"]) mkdirSync(join(rootfs, "usr", folder));
  for (const folder of ["bin", "lib", "lib64"]) symlinkSync(`usr/${folder}`, join(rootfs, folder));
  symlinkSync("usr/bin", join(rootfs, "sbin"));
  symlinkSync("bin", join(rootfs, "usr/sbin"));
  for (const folder of [...FOLDERS, ...mountPoints()]) mkdirSync(join(rootfs, folder), { recursive: true });
  chmodSync(join(rootfs, "tmp"), 0o1777);
  writeFileSync(join(rootfs, "etc/passwd"), "root:x:0:0:root:/:/usr/sbin/nologin\n");
  writeFileSync(join(rootfs, "etc/group"), "root:x:0:\n");

  const node = join(rootfs, "usr/bin/node");
  run("strip", ["--strip-unneeded", "-o", node, realpathSync(process.execPath)]);
  chmodSync(node, 0o755);
  for (const tool of Object.keys(TOOLS)) copyFileSync(requireTool(tool), join(rootfs, "usr/bin", tool));
  cpSync(join(project, "dist"), join(rootfs, "usr/lib/tsnet"), { recursive: true });

  const programs = [process.execPath, ...Object.keys(TOOLS).map(requireTool), join(project, "dist/koffi.node")];
  for (const library of new Set(programs.flatMap(librariesOf))) {
    mkdirSync(join(rootfs, dirname(library)), { recursive: true });
    copyFileSync(library, join(rootfs, library));
    chmodSync(join(rootfs, library), 0o755);
  }
  // Node's code cache of the script: 140 ms to the first line of ours instead of 180. Node writes it when it exits, for the
  // flags that it was started with.
  const { entrypoint } = readConfig();
  inRootfs(
    "env",
    ...entrypoint.slice(entrypoint.indexOf("/usr/bin/env") + 1, entrypoint.indexOf("serve")),
    "--version",
  );
}

function readConfig(): PluginConfig {
  // The shape is the engine's; test/unit/plugin.test.ts looks at the contents.
  return JSON.parse(readFileSync(join(project, "config.json"), "utf8")) as PluginConfig;
}

function mountPoints(): string[] {
  const config = readConfig();
  return [config.propagatedMount, ...config.mounts.map(({ destination }) => destination)];
}

function unpackImage(image: string): void {
  const archive = join(out, "image.tar");
  const container = run("docker", ["create", image]).trim();
  try {
    run("docker", ["export", "-o", archive, container]);
  } finally {
    run("docker", ["rm", container]);
  }
  run("tar", ["-x", "-C", rootfs, "-f", archive]);
  rmSync(archive);
}

/** Starts every program once inside: ldd does not see what is loaded by name, such as libnftables by koffi. */
function smokeTest(): void {
  inRootfs("ip", "-V");
  inRootfs("bridge", "-V");
  inRootfs("nft", "--version");
  inRootfs("setpriv", "--version");
  inRootfs("node", "-e", 'require("/usr/lib/tsnet/koffi.node").load("libnftables.so.1")');
  console.log(
    `tsnet ${inRootfs("node", "/usr/lib/tsnet/tsnet.js", "--version").trim()} on ${inRootfs("node", "--version").trim()}`,
  );
}

/** The shared libraries of a program, as paths that the loader will look for. */
function librariesOf(program: string): string[] {
  const listing = run("ldd", [program]);
  if (listing.includes("not found")) throw new Error(`libraries of ${program} are missing:\n${listing}`);
  return [...listing.matchAll(/(\/\S+) \(0x/g)].map((match) => String(match[1]));
}

function findTool(name: string): string | undefined {
  return ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

function requireTool(name: string): string {
  const path = findTool(name);
  if (path === undefined) throw new Error(`${name} is missing`);
  return path;
}

function inRootfs(program: string, ...args: string[]): string {
  return run("chroot", [rootfs, `/usr/bin/${program}`, ...args], {});
}

function run(program: string, args: string[], env: NodeJS.ProcessEnv = process.env): string {
  const path = `/usr/sbin:/sbin:${process.env["PATH"]}`;
  return execFileSync(program, args, { encoding: "utf8", stdio: "pipe", env: { ...env, PATH: path } });
}

// Docker Engines of several ages for the labs. The one of the machine's own Debian is used where it fits; the others are
// unpacked (not installed) from Debian's releases below a cache folder, once per machine:
//   <cache>/26.1/usr/sbin/dockerd, usr/bin/docker, usr/bin/containerd, usr/libexec/docker/cli-plugins/docker-compose
// All run with the machine's own runc: newer ones want a newer libc than Debian 12's.
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { formatSources } from "./apt-sources.ts";
import { onProcessEnd } from "./lab-cleanup.ts";

/** The Debian release that has each engine. */
const SUITES = { "20.10": "bookworm", "26.1": "trixie", "28.5": "sid" } as const;

export type EngineVersion = keyof typeof SUITES;

/** All engines the labs know, oldest first. */
export const ENGINE_VERSIONS = Object.keys(SUITES) as readonly EngineVersion[]; // the keys are the type

/** One engine, ready to run. */
export interface Engine {
  /** As asked for, `20.10`. */
  readonly version: EngineVersion;
  /** As it calls itself, `20.10.24+dfsg1`. */
  readonly fullVersion: string;
  readonly dockerd: string;
  /** Its own client. */
  readonly docker: string;
  /** PATH with which dockerd finds its containerd, proxy and the machine's runc and iptables. */
  readonly path: string;
  /** How to call compose: `[docker-compose]`, or `[docker, compose]`; needs `configFolder` as DOCKER_CONFIG then. */
  readonly compose: readonly string[];
  /** Folder with the client's plugins (`docker-compose`); absent where compose is a program of its own. */
  readonly cliPlugins?: string;
}

/** The engine that `TSNET_ENGINE` names, else 20.10. @throws Error that names the permitted values. */
export function selectedEngine(env: NodeJS.ProcessEnv = process.env): EngineVersion {
  const wanted = env["TSNET_ENGINE"] ?? "20.10";
  const found = ENGINE_VERSIONS.find((version) => version === wanted);
  if (found === undefined) throw new Error(`TSNET_ENGINE is "${wanted}": permitted are ${ENGINE_VERSIONS.join(", ")}`);
  return found;
}

/**
 * Finds the engine on this machine or fetches it, which takes some 20 s once. Safe to call from several runs at once.
 *
 * @throws Error when apt-get fails, or when what it brought calls itself by another version.
 */
export async function provideEngine(version: EngineVersion): Promise<Engine> {
  const system = await findInstalled(version);
  if (system !== undefined) return system;
  const root = join(process.env["TSNET_ENGINES"] ?? "/var/cache/tsnet-engines", version);
  if (!existsSync(root)) await fetchInto(root, version);
  return describe(version, root);
}

async function findInstalled(version: EngineVersion): Promise<Engine | undefined> {
  if (!existsSync("/usr/sbin/dockerd") || !existsSync("/usr/bin/docker")) return undefined;
  const isRight = await isVersion("/usr/sbin/dockerd", version);
  return isRight ? describe(version, "") : undefined;
}

async function describe(version: EngineVersion, root: string): Promise<Engine> {
  const dockerd = `${root}/usr/sbin/dockerd`;
  const docker = `${root}/usr/bin/docker`;
  const fullVersion = await readVersion(dockerd);
  if (!fullVersion.startsWith(`${version}.`))
    throw new Error(`${dockerd} is ${fullVersion}, not ${version}: remove ${root}`);
  const isOwnProgram = version === "20.10";
  return {
    version,
    fullVersion,
    dockerd,
    docker,
    path: `${root}/usr/sbin:${root}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    compose: isOwnProgram ? ["/usr/bin/docker-compose"] : [docker, "compose"],
    ...(isOwnProgram ? {} : { cliPlugins: `${root}/usr/libexec/docker/cli-plugins` }),
  };
}

async function isVersion(dockerd: string, version: EngineVersion): Promise<boolean> {
  return (await readVersion(dockerd)).startsWith(`${version}.`);
}

async function readVersion(dockerd: string): Promise<string> {
  const { stdout } = await execa(dockerd, ["--version"], { timeout: 20_000 });
  return /version ([^ ,]+)/.exec(stdout)?.[1] ?? stdout;
}

/** Unpacks beside `root` and renames: another run either sees all of it or nothing. */
async function fetchInto(root: string, version: EngineVersion): Promise<void> {
  const suite = SUITES[version];
  const work = `${root}.${process.pid}`;
  console.error(`fetching Docker Engine ${version} (packages of Debian ${suite}, unpacked below ${root})`);
  const forget = onProcessEnd(() => rmSync(work, { recursive: true, force: true }));
  try {
    const apt = await prepareApt(work, suite);
    await apt("update");
    const clientPackages = version === "20.10" ? [] : ["docker-cli", "docker-compose"];
    for (const name of ["docker.io", "containerd", ...clientPackages]) await apt("download", name);
    const debs = (await readdir(join(work, "debs"))).filter((name) => name.endsWith(".deb"));
    for (const deb of debs)
      await execa("dpkg", ["-x", join(work, "debs", deb), join(work, "root")], { timeout: 120_000 });
    await describe(version, join(work, "root"));
    await rename(join(work, "root"), root).catch((failure: unknown) => {
      if (!existsSync(root)) throw failure; // else another run was first: its copy is as good
    });
  } finally {
    forget();
    await rm(work, { recursive: true, force: true });
  }
}

/** An apt of its own: its package lists and downloads lie in `work`, the machine's stay as they are. */
async function prepareApt(work: string, suite: string): Promise<(...args: string[]) => Promise<void>> {
  for (const folder of ["parts", "lists/partial", "debs", "root"]) await mkdir(join(work, folder), { recursive: true });
  await writeFile(join(work, "parts/one.sources"), await formatSources(suite));
  const options = {
    "Dir::Etc::sourcelist": "/nonexistent",
    "Dir::Etc::sourceparts": join(work, "parts"),
    "Dir::State::Lists": join(work, "lists"),
    "Dir::Cache::pkgcache": "",
    "Dir::Cache::srcpkgcache": "",
    "APT::Sandbox::User": "root",
    "Acquire::Retries": "3",
  };
  const flags = Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  return async (...args) => {
    await execa("apt-get", ["-qq", ...flags, ...args], { cwd: join(work, "debs"), timeout: 300_000, stdin: "ignore" });
  };
}

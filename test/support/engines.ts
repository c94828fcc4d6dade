// Docker Engines of several ages for the labs. The one of the machine's own Debian is used where it fits; the others are
// unpacked (not installed) from Debian's releases below a cache folder, once per machine:
//   <cache>/26.1/usr/sbin/dockerd, usr/bin/docker, usr/bin/containerd, usr/libexec/docker/cli-plugins/docker-compose
// All run with the machine's own runc: newer ones want a newer libc than Debian 12's.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { provideUnpacked } from "./unpacked-packages.ts";

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
  const clientPackages = version === "20.10" ? [] : ["docker-cli", "docker-compose"];
  const wanted = { suite: SUITES[version], alone: ["docker.io", "containerd", ...clientPackages] };
  await provideUnpacked(root, `Docker Engine ${version}`, wanted, (unpacked) => describe(version, unpacked));
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

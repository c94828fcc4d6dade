// Many lives of endpoints on one daemon, one after the other, and what they leave: memory, open files, the size of the records.
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { DaemonCalls, type Result, endpointBody, ids, portMap } from "./daemon-calls.ts";
import { type EngineNetwork, EngineDouble } from "./engine-double.ts";
import type { ServeHost } from "./serve-host.ts";
import { waitUntil } from "./wait-until.ts";

/** Connections of the last calls, links that the kernel still deletes, and what looks at the host come and go: the fewest files are what stays. */
const LOOKS_MS = 3000;
/** Where it is known how many stay. */
const REST_LIMIT_MS = 15_000;
const LOOK_MS = 15;

/** The daemon at one moment. */
export interface Sample {
  /** Cycles so far. */
  readonly cycles: number;
  readonly rssKib: number;
  /** In use after a collection of garbage; of a daemon that `memory-report.ts` was loaded into. */
  readonly usedKib?: number;
  readonly files: number;
  /** Bytes of the records, their log included. */
  readonly recordBytes: number;
}

/**
 * Runs whole lives of endpoints on one network: an address, an endpoint that joins, a published port, and all of it back.
 *
 * @param every - how many cycles lie between samples.
 * @throws Error with the first answer that is no success.
 */
export async function cycle(
  host: ServeHost,
  network: EngineNetwork,
  count: number,
  every: number,
): Promise<readonly Sample[]> {
  const calls = new DaemonCalls(new EngineDouble(host.namespace));
  const samples = [await sample(host, 0)];
  for (let n = 1; n <= count; n++) {
    await live(calls, network, n);
    const [, ...settled] = samples; // what is opened late is open by the second one
    const atRest = settled.map(({ files }) => files);
    if (n % every === 0) samples.push(await sample(host, n, atRest.length === 0 ? 0 : Math.min(...atRest)));
  }
  return samples;
}

async function live(calls: DaemonCalls, network: EngineNetwork, n: number): Promise<void> {
  const PoolID = network.poolId;
  const given = success(await calls.ask("IpamDriver.RequestAddress", { PoolID, Address: "", Options: {} }));
  const address = String(given["Address"]);
  const own = { ...ids(n), NetworkID: network.id };
  const Options = { "com.docker.network.portmap": portMap(8080) };
  const bodies: readonly (readonly [string, object])[] = [
    ["NetworkDriver.CreateEndpoint", { ...endpointBody(n, { address }), ...own }],
    ["NetworkDriver.Join", { ...own, SandboxKey: `/var/run/docker/netns/${n}` }],
    ["NetworkDriver.ProgramExternalConnectivity", { ...own, Options }],
    ["NetworkDriver.RevokeExternalConnectivity", own],
    ["NetworkDriver.Leave", own],
    ["NetworkDriver.DeleteEndpoint", own],
    ["IpamDriver.ReleaseAddress", { PoolID, Address: address.replace(/\/.*/, "") }],
  ];
  for (const [verb, body] of bodies) success(await calls.ask(verb, body));
}

function success(result: Result): Readonly<Record<string, unknown>> {
  if (result.kind === "ok") return result.fields;
  throw new Error(result.kind === "error" ? result.text : "the connection broke");
}

/** Where a daemon with `memory-report.ts` reports. */
export function memoryFileOf({ namespace }: Pick<ServeHost, "namespace">): string {
  return join(namespace.folder, "scratch", "memory");
}

async function reportOf(host: ServeHost): Promise<number | undefined> {
  const file = memoryFileOf(host);
  if (!existsSync(file)) return undefined; // it is made empty for such a daemon
  rmSync(file);
  await host.exec("kill", "-USR2", String(host.serve.pid));
  const text = await waitUntil("the daemon to report its memory", () => existsSync(file) && readFileSync(file, "utf8"));
  return (JSON.parse(text) as { usedBytes: number }).usedBytes / 1024; // memory-report.ts
}

/** @param filesAtRest - that there are no fewer than these is known; default: unknown. */
async function sample(host: ServeHost, cycles: number, filesAtRest = 0): Promise<Sample> {
  const { namespace, serve } = host;
  const used = await reportOf(host);
  const folder = namespace.outside(`/proc/${serve.pid}`);
  const [, rss = "0"] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(join(folder, "status"), "utf8")) ?? [];
  let files = Infinity;
  const isAtRest = () => {
    files = Math.min(files, readdirSync(join(folder, "fd")).length);
    return files <= filesAtRest;
  };
  await waitUntil("no more than that", isAtRest, {
    limitMs: filesAtRest > 0 ? REST_LIMIT_MS : LOOKS_MS,
    intervalMs: LOOK_MS,
  }).catch(() => {});
  const sizes = readdirSync(serve.stateDir).map((name) => statSync(join(serve.stateDir, name)).size);
  return {
    cycles,
    rssKib: Number(rss),
    ...(used !== undefined && { usedKib: used }),
    files,
    recordBytes: sizes.reduce((sum, size) => sum + size, 0),
  };
}

/** Least squares. @returns KiB in use per cycle. */
export function slopeOf(samples: readonly Sample[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(samples.map(({ cycles }) => cycles)), mean(samples.map(({ usedKib = NaN }) => usedKib))];
  const covariance = mean(samples.map(({ cycles, usedKib = NaN }) => (cycles - x) * (usedKib - y)));
  return covariance / mean(samples.map(({ cycles }) => (cycles - x) ** 2));
}

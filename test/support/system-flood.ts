// Many real containers at once on a lab host: made beforehand, started together, and asked from the host whether they answer.
import { TEST_IMAGE } from "./image.ts";
import type { SystemHost, TestNetwork } from "./system-host.ts";

/** What is seen of the containers that were started at once. */
export interface Flood {
  readonly startMs: number;
  /** Bare, one of each container. */
  readonly addresses: readonly string[];
  readonly macs: readonly string[];
  /** Of those addresses, the ones that answer a ping from the host. */
  readonly answering: readonly string[];
}

/** Containers `NAME-1` to `NAME-count`, each on one of the networks in turn. @throws Error with the first start that fails. */
export async function flood(
  host: SystemHost,
  name: string,
  networks: readonly TestNetwork[],
  count: number,
): Promise<Flood> {
  const names = Array.from({ length: count }, (_, at) => `${name}-${at + 1}`);
  for (const [at, each] of names.entries()) {
    const network = networks[at % networks.length]?.name ?? "";
    await host.docker("create", "--name", each, "--network", network, TEST_IMAGE);
  }
  const startedAt = performance.now();
  await Promise.all(names.map(async (each) => host.docker("start", each)));
  const startMs = performance.now() - startedAt;
  const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}}{{end}}";
  const lines = (await host.docker("inspect", "--format", format, ...names)).split("\n").filter(Boolean);
  const addresses = lines.map((line) => line.split(" ")[0] ?? "");
  const macs = lines.map((line) => line.split(" ")[1] ?? "");
  return { startMs, addresses, macs, answering: await answeringOf(host, addresses) };
}

/** Removes them, all at once. */
export async function ebb(host: SystemHost, name: string, count: number): Promise<void> {
  const names = Array.from({ length: count }, (_, at) => `${name}-${at + 1}`);
  await Promise.all(names.map(async (each) => host.docker("rm", "-f", each)));
}

/** Those who answer one of ten pings. Who needs more than one is said: nobody does on a host that is not overloaded. */
async function answeringOf(host: SystemHost, addresses: readonly string[]): Promise<readonly string[]> {
  const ask = 'for n in {1..10}; do busybox ping -c1 -W1 "$a" >/dev/null && echo "$a $n" && exit; done';
  const output = await host.exec(["bash", "--norc", "-c", `for a; do (${ask}) & done; wait`, "ping", ...addresses]);
  const answers = output.split("\n").filter(Boolean);
  const late = answers.filter((line) => !line.endsWith(" 1"));
  if (late.length > 0) console.log(`answered late, with the number of the ping: ${late.join(", ")}`);
  return answers.map((line) => line.replace(/ .*/, "")).toSorted();
}

/** What a lane of the churn does next, by a number below 1. */
const DEEDS = ["run", "run", "remove", "connect", "disconnect", "restart"] as const;

/**
 * Lanes of containers that are started, removed, connected and disconnected at random, against one another.
 *
 * @param seed - the same seed makes the same choices, not the same order between lanes.
 * @returns how many deeds were done, and what failed of those that may not.
 */
export async function churn(
  host: SystemHost,
  networks: readonly TestNetwork[],
  { seed, lanes, deeds }: { readonly seed: number; readonly lanes: number; readonly deeds: number },
): Promise<{ readonly done: number; readonly failures: readonly string[] }> {
  const failures: string[] = [];
  let done = 0;
  const run = async (lane: number) => {
    const random = randomFrom(seed + lane);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T; // never empty
    const name = `churn-${lane}`;
    for (let deed = 0; deed < deeds; deed++) {
      const what = pick(DEEDS);
      const network = pick(networks).name;
      const isThere = (await host.docker("ps", "-aq", "--filter", `name=^${name}$`)) !== "";
      const argv = argvOf(isThere ? what : "run", isThere, name, network);
      done += 1;
      await host.docker(...argv).catch((failure: unknown) => {
        // Connected already, or not connected: the engine's own refusals.
        if (!/already exists in network|is not connected/.test(String(failure)))
          failures.push(`${argv.join(" ")}: ${String(failure)}`);
      });
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, lane) => run(lane)));
  return { done, failures };
}

function argvOf(deed: (typeof DEEDS)[number], isThere: boolean, name: string, network: string): readonly string[] {
  if (deed === "run" && !isThere) return ["run", "-d", "--name", name, "--network", network, TEST_IMAGE];
  if (deed === "connect") return ["network", "connect", network, name];
  if (deed === "disconnect") return ["network", "disconnect", network, name];
  if (deed === "restart") return ["restart", "-t", "0", name];
  return ["rm", "-f", name];
}

/** mulberry32: good enough to choose by. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

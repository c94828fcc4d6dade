// The life of one more endpoint on hosts with few and many: endpoints on one network, and networks with an endpoint each. The
// hosts of a row stand side by side and have some lives in turn, with a pause between: what a daemon does behind its answers
// burdens its own calls, and not those of the others. Then the start of a daemon that finds a thousand endpoints.
import { setTimeout as pause } from "node:timers/promises";
import type { EngineNetwork } from "../support/engine-double.ts";
import { KeptConnection } from "../support/kept-connection.ts";
import { ServeHost } from "../support/serve-host.ts";
import { crowd, live, socketOf, sumOf } from "./endpoint-life.ts";
import { type Measured, pair, summary } from "./measure.ts";
import { measureRestart } from "./restart.ts";

const ROUNDS = 12;
const WARM_UP = 30;
/** Lives of one host in a round. */
const TURN = 10;
/** A daemon waits 300 ms for further changes of the host, then looks at it. */
const PAUSE_MS = 1500;
/** A Linux bridge has at most 1,023 ports. */
const ENDPOINTS = [10, 100, 1000] as const;
const NETWORKS = [1, 50, 200] as const;
const GOAL = 1.2;

/** Median by size, and the others beside the smallest. */
export async function measureScale(): Promise<Measured> {
  const rows = [
    await measureRow("endpoints", ENDPOINTS, withEndpoints),
    await measureRow("networks", NETWORKS, withNetworks),
    await measureRestart(),
  ];
  return { pairs: rows.flatMap(({ pairs = [] }) => pairs), figures: rows.flatMap(({ figures = [] }) => figures) };
}

async function measureRow(
  what: string,
  sizes: readonly number[],
  make: (host: ServeHost, size: number) => Promise<EngineNetwork>,
): Promise<Measured> {
  await using stands = new AsyncDisposableStack();
  const row: { size: number; times: number[]; live: () => Promise<number> }[] = [];
  for (const size of sizes) {
    const host = stands.use(await ServeHost.up(`scale-${size}`));
    const network = await make(host, size);
    const connection = stands.use(await KeptConnection.open(socketOf(host)));
    row.push({ size, times: [], live: async () => sumOf(await live(connection, network)) });
  }
  for (const stand of row) for (let n = 0; n < WARM_UP; n++) await stand.live();
  await pause(PAUSE_MS);
  for (let round = 0; round < ROUNDS; round++) {
    for (const stand of round % 2 === 0 ? row : row.toReversed()) {
      for (let n = 0; n < TURN; n++) stand.times.push(await stand.live());
      await pause(PAUSE_MS);
    }
  }
  const [least, ...more] = row.map(({ size, times }) => ({ size: size.toLocaleString("en"), times }));
  if (least === undefined) return {};
  return {
    pairs: more.map(({ size, times }) => ({
      ...pair(`life, ${what}: ${size}`, { [`at ${size}`]: times, [`at ${least.size}`]: least.times }),
      goal: GOAL,
    })),
    figures: [least, ...more].map(({ size, times }) => ({
      title: `life, ${what}: ${size}`,
      value: summary(times).medianMs,
      unit: "ms",
    })),
  };
}

async function withEndpoints(host: ServeHost, size: number): Promise<EngineNetwork> {
  const network = await host.engine.createNetwork({ subnet: "10.88.0.0/16", gateway: "10.88.0.1" });
  await crowd(host, network, size);
  return network;
}

/** @returns the last one, on which the endpoint lives. */
async function withNetworks(host: ServeHost, size: number): Promise<EngineNetwork> {
  let last: EngineNetwork | undefined;
  for (let n = 1; n <= size; n++) {
    last = await host.engine.createNetwork({ subnet: `10.88.${n}.0/24`, gateway: `10.88.${n}.1` });
    await crowd(host, last, 1);
  }
  if (last === undefined) throw new Error("no network was wanted");
  return last;
}

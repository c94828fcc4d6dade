// All addresses of a /16 one by one, each on disk before it is answered, over 32 connections at the socket: how many a second,
// and whether the last ones take as long as the first. The daemon is warm from another pool before.
import { readFileSync } from "node:fs";
import type { EngineNetwork } from "../support/engine-double.ts";
import { overConnections } from "../support/kept-connection.ts";
import { ServeHost } from "../support/serve-host.ts";
import { countCommits, socketOf } from "./endpoint-life.ts";
import { type Measured, pair, summary } from "./measure.ts";

const ROUNDS = 3;
const CONNECTIONS = 32;
const WARM_UP = 10_000;
/** Without the network's own address, the gateway and the broadcast. */
const ADDRESSES = 65_533;
const BLOCK = 1000;
/** Of the times in /proc/PID/stat: USER_HZ. */
const TICK_MS = 10;

/** One way through a pool. */
interface Fill {
  readonly wholeMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** Shares of one processor. */
  readonly client: number;
  readonly daemon: number;
  /** Addresses that were written at once. */
  readonly group: number;
}

/** With the shares of a processor that daemon and caller had, which say who was the slower one. */
export async function measureIpam(): Promise<Measured> {
  const fills: Fill[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await using host = await ServeHost.up("ipam");
    const warm = await host.engine.createNetwork({ subnet: "10.87.0.0/16", gateway: "10.87.0.1" });
    await request(host, warm, WARM_UP);
    const network = await host.engine.createNetwork({ subnet: "10.88.0.0/16", gateway: "10.88.0.1" });
    fills.push(await fill(host, network));
  }
  const median = (of: (fill: Fill) => number) => summary(fills.map(of)).medianMs;
  const blocks = { last: fills.map(({ lastMs }) => lastMs), first: fills.map(({ firstMs }) => firstMs) };
  return {
    pairs: [{ ...pair(`last ${BLOCK} addresses of a /16`, blocks), goal: 1.2 }],
    figures: [
      {
        title: `addresses of a /16, ${CONNECTIONS} connections`,
        value: median(({ wholeMs }) => (ADDRESSES * 1000) / wholeMs),
        unit: "a second",
        goal: { least: 5000 },
      },
      { title: "addresses in a durable write", value: median(({ group }) => group), unit: "on average" },
      { title: "daemon meanwhile", value: 100 * median(({ daemon }) => daemon), unit: "% of a processor" },
      { title: "caller meanwhile", value: 100 * median(({ client }) => client), unit: "% of a processor" },
    ],
  };
}

async function fill(host: ServeHost, network: EngineNetwork): Promise<Fill> {
  const [ownBefore, daemonBefore, commitsBefore] = [process.cpuUsage(), daemonMs(host), countCommits(host)];
  const start = performance.now();
  const at = await request(host, network, ADDRESSES);
  const wholeMs = performance.now() - start;
  const { user, system } = process.cpuUsage(ownBefore);
  const end = (count: number) => at[count - 1] ?? NaN;
  return {
    wholeMs,
    firstMs: end(BLOCK) - start,
    lastMs: end(ADDRESSES) - end(ADDRESSES - BLOCK),
    client: (user + system) / 1000 / wholeMs,
    daemon: (daemonMs(host) - daemonBefore) / wholeMs,
    group: ADDRESSES / (countCommits(host) - commitsBefore),
  };
}

/** @returns when each was answered. */
async function request(host: ServeHost, { poolId }: EngineNetwork, count: number): Promise<readonly number[]> {
  const at: number[] = [];
  const body = { PoolID: poolId, Address: "", Options: {} };
  await overConnections(socketOf(host), CONNECTIONS, Array.from({ length: count }), async (connection) => {
    await connection.ask("IpamDriver.RequestAddress", body);
    at.push(performance.now());
  });
  return at;
}

/** Time on processors that the daemon has had, its threads included. */
function daemonMs({ namespace, serve }: ServeHost): number {
  const stat = readFileSync(namespace.outside(`/proc/${serve.pid}/stat`), "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // from the third on, see proc_pid_stat(5)
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

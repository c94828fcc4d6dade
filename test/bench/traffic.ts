// What a network does to packets, beside Docker's own bridge on the same engine: how long many bytes over one TCP connection take,
// and how long one byte there and one back.
//
//   container -- container                               on one network
//   container -- host, source NAT -- neighbour           192.0.2.1, which has no route to containers
//   neighbour -- host, published port -- container       192.0.2.10
//
// Of Open vSwitch in userspace, which has no like beside it, only is said what it does: every packet goes through ovs-vswitchd.
import { TEST_IMAGE } from "../support/image.ts";
import { SERVE } from "../support/publish-server.ts";
import { type Place, TestContainer } from "../support/system-container.ts";
import { SystemHost } from "../support/system-host.ts";
import { waitUntil } from "../support/wait-until.ts";
import { type Figure, type Measured, inTurn, pair, summary } from "./measure.ts";
import { exchangeBytes, sendBulk } from "./talk.ts";

const ROUNDS = 40;
const MEGABYTES = 300;
const EXCHANGES = 2000;
/** Userspace is far slower. */
const OVS = { rounds: 5, megabytes: 30, exchanges: 1000 } as const;

const SIDES = ["tsnet", "bridge"] as const;
type Side = (typeof SIDES)[number];
/** What `docker network create` is told for each. */
const NETWORKS = {
  tsnet: ["-d", "tsnet", "--ipam-driver", "tsnet"],
  bridge: ["-d", "bridge"],
  ovs: ["-d", "tsnet", "--ipam-driver", "tsnet", "-o", "backend=ovs"],
} as const;
type Network = keyof typeof NETWORKS;

const ECHO_PORT = 80;
const BULK_PORT = 5201;
/** Of the host. */
const PUBLISHED = { tsnet: { echo: 8001, bulk: 8002 }, bridge: { echo: 8003, bulk: 8004 }, ovs: undefined } as const;
const HOST = "192.0.2.10";

/** Of the throughput or rate 0.98 at least: what is compared are times. */
const GOAL = 1.02;

/** Who speaks to whom. */
interface Way {
  readonly from: Place;
  readonly address: string;
  readonly echo: number;
  readonly bulk: number;
}

/** Each way, each side in turn. */
export async function measureTraffic(): Promise<Measured> {
  await using host = await SystemHost.up("tsnet serve", { name: "bench", backend: "ovs" });
  await serve(host);
  const sides = { tsnet: await waysOf(host, "tsnet"), bridge: await waysOf(host, "bridge") };
  const all = Object.keys(sides.tsnet).map((title) => ({ title, bulk: empty(), echo: empty() }));
  for (let round = 0; round < ROUNDS; round++) {
    for (const { title, bulk, echo } of all) {
      for (const side of inTurn(round, SIDES)) {
        const way = sides[side][title as keyof Ways];
        bulk[side].push(await sendOn(way, MEGABYTES));
        echo[side].push(await exchangeOn(way, EXCHANGES));
      }
    }
  }
  const pairs = all.flatMap(({ title, bulk, echo }) => [
    { ...pair(`${title}, ${MEGABYTES} MB`, bulk), goal: GOAL },
    { ...pair(`${title}, ${EXCHANGES} round trips`, echo), goal: GOAL },
  ]);
  const figures = all.flatMap(({ title, bulk, echo }) =>
    SIDES.flatMap((side) => [
      throughput(`${title}, ${side}`, bulk[side], MEGABYTES),
      rate(`${title}, ${side}`, echo[side], EXCHANGES),
    ]),
  );
  return { pairs, figures: [...figures, ...(await measureOvs(host))] };
}

function empty(): Record<Side, number[]> {
  return { tsnet: [], bridge: [] };
}

async function measureOvs(host: SystemHost): Promise<readonly Figure[]> {
  const title = "container to container" as const;
  const { [title]: way } = await waysOf(host, "ovs");
  const [bulk, echo]: [number[], number[]] = [[], []];
  for (let round = 0; round < OVS.rounds; round++) {
    bulk.push(await sendOn(way, OVS.megabytes));
    echo.push(await exchangeOn(way, OVS.exchanges));
  }
  const named = `${title}, userspace OVS`;
  return [throughput(named, bulk, OVS.megabytes), rate(named, echo, OVS.exchanges)];
}

function throughput(title: string, times: readonly number[], megabytes: number): Figure {
  return { title, value: (megabytes * 8) / summary(times).medianMs, unit: "Gbit/s" };
}

function rate(title: string, times: readonly number[], exchanges: number): Figure {
  return { title, value: (exchanges * 1000) / summary(times).medianMs, unit: "round trips/s" };
}

async function sendOn({ from, address, bulk }: Way, megabytes: number): Promise<number> {
  return await sendBulk(from, { address, port: bulk }, megabytes);
}

async function exchangeOn({ from, address, echo }: Way, count: number): Promise<number> {
  return await exchangeBytes(from, { address, port: echo }, count);
}

/** Both servers of the neighbour. */
async function serve({ neighbour }: SystemHost): Promise<void> {
  await neighbour.namespace.spawn("echo-line", [...SERVE, "neighbour", String(ECHO_PORT)]);
  await neighbour.namespace.spawn("iperf", ["iperf3", "-s", "-p", String(BULK_PORT)]);
}

type Ways = Record<"container to container" | "container to remote host" | "remote host to published port", Way>;

/** Makes the network and two containers on it, and waits until all ways are open. */
async function waysOf(host: SystemHost, network: Network): Promise<Ways> {
  const published = PUBLISHED[network];
  await host.docker("network", "create", ...NETWORKS[network], `bench-${network}`);
  const publish = published === undefined ? [] : [`${published.echo}:${ECHO_PORT}`, `${published.bulk}:${BULK_PORT}`];
  const one = await run(host, network, "one");
  const two = await run(host, network, "two", ...publish.flatMap((ports) => ["-p", ports]));
  const enterTwo = enter(await two.pid());
  await host.lab.namespace.spawn(`iperf-${network}`, [...enterTwo, "iperf3", "-s", "-p", String(BULK_PORT)]);
  await two.serves([ECHO_PORT, BULK_PORT]);
  const enterOne = enter(await one.pid()); // once: the engine is not asked between two measurements
  const from: Place = { exec: (argv) => host.exec([...enterOne, ...argv]) };
  const ports = { echo: ECHO_PORT, bulk: BULK_PORT };
  const ways = {
    "container to container": { from, address: await two.address(), ...ports },
    "container to remote host": { from, address: host.neighbour.address, ...ports },
    "remote host to published port": { from: host.neighbour, address: HOST, ...(published ?? ports) },
  };
  for (const [title, way] of Object.entries(ways)) {
    if (way.from === host.neighbour && published === undefined) continue;
    await waitUntil(`${title} on ${network}`, async () => (await exchangeOn(way, 1)) > 0, { limitMs: 30_000 });
  }
  return ways;
}

async function run(host: SystemHost, network: Network, part: string, ...options: string[]): Promise<TestContainer> {
  const name = `${part}-${network}`;
  const server = ["serve", name, String(ECHO_PORT)];
  await host.docker("run", "-d", "--name", name, "--network", `bench-${network}`, ...options, TEST_IMAGE, ...server);
  return new TestContainer(host, name);
}

function enter(pid: number): readonly string[] {
  return ["nsenter", "-t", String(pid), "-n", "--"];
}

// A VXLAN network of tsnet beside an overlay network of Docker's own swarm, between containers on the same two hosts: how long
// many bytes over one TCP connection take (iperf3), and how long one byte there and one back, in a connection that stays open.
// Docker's own switch is in a namespace without rules, tsnet's is on the host, whose packet filter looks at bridged packets as
// well where br_netfilter is there and `bridge-nf-call-iptables` is 1, the kernel's default: measured with and without.
import type { Backend } from "../../src/cnm/network.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { TestContainer } from "../support/system-container.ts";
import { TunnelHosts, hostAddress } from "../support/tunnel-hosts.ts";
import { waitUntil } from "../support/wait-until.ts";
import { type Measured, inTurn, pair, summary } from "./measure.ts";
import { exchangeBytes, sendBulk } from "./talk.ts";

const EXCHANGES = 1000;
const SIDES = ["tsnet", "swarm"] as const;
type Side = (typeof SIDES)[number];

const ECHO_PORT = 80;
const BULK_PORT = 5201;

/** How often and how much, and whether packets between ports of a bridge pass the host's iptables. */
const PLANS = {
  bridge: { rounds: 25, megabytes: 300, filters: { "": "1", ", unfiltered": "0" } },
  // In userspace, where the hosts' addresses are as well, so that both sides' packets pass it.
  ovs: { rounds: 9, megabytes: 30, filters: { ", userspace OVS": "1" } },
} as const;

/** Each side's container on host 1 speaks to its own on host 2. */
export async function tunnelBesideSwarm(backend: Backend): Promise<Measured> {
  const { rounds, megabytes, filters } = PLANS[backend];
  await using stand = await TunnelHosts.up(["tsnet serve", "tsnet serve"], backend, false);
  await joinSwarm(stand);
  for (const n of [1, 2]) await stand.join(n, "tsnet");
  const talkers = { tsnet: await Talker.up(stand, "tsnet"), swarm: await Talker.up(stand, "swarm") };
  const all = Object.entries(filters).map(([what, value]) => ({ what, value, bulk: empty(), exchange: empty() }));
  for (let round = 0; round < rounds; round++) {
    for (const { value, bulk, exchange } of all) {
      await setFilter(stand, value);
      for (const side of inTurn(round, SIDES)) {
        bulk[side].push(await talkers[side].send(megabytes));
        exchange[side].push(await talkers[side].exchange());
      }
    }
  }
  const speed = (times: readonly number[]) => (megabytes * 8) / summary(times).medianMs;
  return {
    pairs: all.flatMap(({ what, bulk, exchange }) => [
      pair(`VXLAN, ${megabytes} MB${what}`, bulk),
      pair(`VXLAN, ${EXCHANGES} round trips${what}`, exchange),
    ]),
    figures: all.flatMap(({ what, bulk }) =>
      SIDES.map((side) => ({ title: `VXLAN${what}, ${side}`, value: speed(bulk[side]), unit: "Gbit/s" })),
    ),
  };
}

function empty(): Record<Side, number[]> {
  return { tsnet: [], swarm: [] };
}

async function setFilter({ hosts }: TunnelHosts, value: string): Promise<void> {
  const set = ["iptables", "ip6tables"].map((tool) => `net.bridge.bridge-nf-call-${tool}=${value}`);
  for (const host of hosts) await host.exec(["sysctl", "-qw", ...set]);
}

/** Host 1 manages, host 2 works; the network `swarm` is for containers of both. */
async function joinSwarm(stand: TunnelHosts): Promise<void> {
  const [one, two] = [stand.host(1), stand.host(2)];
  // Open vSwitch in userspace takes all packets of its tunnels' UDP port for its own, whatever their VNI.
  await one.docker("swarm", "init", "--advertise-addr", hostAddress(1), "--data-path-port", "4790");
  const token = await one.docker("swarm", "join-token", "-q", "worker");
  await two.docker("swarm", "join", "--advertise-addr", hostAddress(2), "--token", token, `${hostAddress(1)}:2377`);
  await one.docker("network", "create", "-d", "overlay", "--attachable", "--subnet", "10.19.0.0/24", "swarm");
}

/** A container on each host, of one side. */
class Talker {
  readonly #from: TestContainer;
  readonly #address: string;

  private constructor(from: TestContainer, address: string) {
    [this.#from, this.#address] = [from, address];
  }

  static async up(stand: TunnelHosts, side: Side): Promise<Talker> {
    const [from, to] = [await run(stand, 1, side), await run(stand, 2, side)];
    const { lab } = stand.host(2);
    const enter = ["nsenter", "-t", String(await to.pid()), "-n", "--"];
    await lab.namespace.spawn(`iperf-${side}`, [...enter, "iperf3", "-s", "-p", String(BULK_PORT)]);
    await to.serves([BULK_PORT]);
    const talker = new Talker(from, await addressOn(to));
    await waitUntil(`an answer over ${side}`, async () => (await talker.exchange(1)) > 0, { limitMs: 30_000 });
    return talker;
  }

  /** @returns milliseconds. */
  async send(megabytes: number): Promise<number> {
    return await sendBulk(this.#from, { address: this.#address, port: BULK_PORT }, megabytes);
  }

  /** @returns milliseconds for all of them. */
  async exchange(count = EXCHANGES): Promise<number> {
    return await exchangeBytes(this.#from, { address: this.#address, port: ECHO_PORT }, count);
  }
}

async function run(stand: TunnelHosts, n: number, side: Side): Promise<TestContainer> {
  const host = stand.host(n);
  const serve = ["serve", side, String(ECHO_PORT)];
  await host.docker("run", "-d", "--name", side, "--network", side, TEST_IMAGE, ...serve);
  const container = new TestContainer(host, side);
  await container.serves([ECHO_PORT]);
  return container;
}

/** The engine gives containers of an overlay network a second interface. */
async function addressOn(container: TestContainer): Promise<string> {
  const all = (await container.interfaces()).flatMap(({ addresses }) => addresses);
  const found = all.find((address) => /^10\.(9|19)\./.test(address));
  if (found === undefined) throw new Error(`${container.name} has only ${all.join(", ")}`);
  return found.replace(/\/.*/, "");
}

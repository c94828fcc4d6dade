// A NIC with the host's address goes into a bridge: for how long a TCP connection from behind the router, with a message every
// millisecond, is without an answer. By tsnet, by the commands that handbooks name, and by tsnet's parts in another order.
import { AddressMover } from "../support/address-mover.ts";
import { shell } from "../support/packet-lab.ts";
import { SteadyStream } from "../support/steady-stream.ts";
import { HOST, UplinkLab } from "../support/uplink-lab.ts";
import { type Measured, type Pair, inTurn, pair } from "./measure.ts";

const ROUNDS = 20;

/** Without reverse path filter, and as Red Hat ships it. */
const FILTERS = { loose: "0", strict: "1" } as const;

/** What is compared with tsnet. */
const HANDBOOK = [
  "ip link set nic0 master br0",
  "ip address flush dev nic0",
  "ip address add 192.0.2.10/24 dev br0",
  "ip route add default via 192.0.2.1 dev br0",
];

/** Longest gap in milliseconds, where other benchmarks have a time; reverse path filter off, and strict. */
export async function moveUplink(): Promise<Measured> {
  const pairs: Pair[] = [];
  const resent: Record<string, number> = {};
  for (const [filter, value] of Object.entries(FILTERS)) {
    const setup = [`sysctl -qw net.ipv4.conf.all.rp_filter=${value} net.ipv4.conf.default.rp_filter=${value}`];
    const handbook = { tsnet: [], "ip commands": [] } as Record<string, number[]>;
    const order = { tsnet: [], "enslave last": [] } as Record<string, number[]>;
    const back = { tsnet: [], idle: [] } as Record<string, number[]>;
    const count = (what: string, { resent: again }: Disturbance) => {
      const key = `${what}, ${filter}`;
      resent[key] = (resent[key] ?? 0) + again / ROUNDS;
    };
    await using stands = new AsyncDisposableStack();
    const [ours, theirs] = [stands.use(await Stand.up(setup)), stands.use(await Stand.up(setup))];
    for (let round = 0; round < ROUNDS; round++) {
      const byUs = async () => {
        const { there, back: again } = await ours.moveAndReturn("move");
        for (const side of [handbook, order]) side["tsnet"]?.push(there.gapMs);
        back["tsnet"]?.push(again.gapMs);
        count("tsnet there", there);
        count("tsnet back", again);
      };
      const byCommands = async () => {
        const there = await theirs.byCommands();
        handbook["ip commands"]?.push(there.gapMs);
        count("ip commands", there);
      };
      for (const side of inTurn(round, [byUs, byCommands])) await side();
      const { there: last } = await ours.moveAndReturn("enslave last");
      order["enslave last"]?.push(last.gapMs);
      count("enslave last", last);
      back["idle"]?.push((await ours.idle()).gapMs);
    }
    pairs.push(
      pair(`uplink gap, ${filter}`, handbook),
      pair(`by order, ${filter}`, order),
      pair(`way back, ${filter}`, back),
    );
  }
  const figures = Object.entries(resent).map(([what, value]) => ({
    title: what,
    value,
    unit: "TCP segments sent again",
  }));
  return { pairs, figures };
}

/** What a connection noticed. */
interface Disturbance {
  readonly gapMs: number;
  readonly resent: number;
}

class Stand implements AsyncDisposable {
  readonly #lab: UplinkLab;
  readonly #mover: AddressMover;
  readonly #stream: SteadyStream;

  private constructor(lab: UplinkLab, mover: AddressMover, stream: SteadyStream) {
    [this.#lab, this.#mover, this.#stream] = [lab, mover, stream];
  }

  static async up(setup: readonly string[]): Promise<Stand> {
    const lab = await UplinkLab.up(setup);
    await SteadyStream.serve(lab.host);
    const stream = await SteadyStream.start(lab.remote, HOST[4]);
    return new Stand(lab, await AddressMover.start(lab.host), stream);
  }

  async moveAndReturn(verb: "move" | "enslave last"): Promise<Record<"there" | "back", Disturbance>> {
    const plan = await this.#mover.move(); // the record of an undisturbed round is the way back of both
    await this.#mover.moveBack(plan);
    const there = await this.#disturbance(() => this.#mover.ask({ verb }));
    return { there, back: await this.#disturbance(() => this.#mover.moveBack(plan)) };
  }

  async byCommands(): Promise<Disturbance> {
    const gap = await this.#disturbance(() => shell(this.#lab.host, HANDBOOK));
    await shell(this.#lab.host, ["ip link set nic0 nomaster", ...HANDBOOK.slice(1).map(backwards)]);
    await this.#stream.during(() => this.#lab.requirePing("192.0.2.1"));
    return gap;
  }

  async idle(): Promise<Disturbance> {
    return this.#disturbance(() => new Promise((resolve) => setTimeout(resolve, 50)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lab[Symbol.asyncDispose]();
  }

  async #disturbance(task: () => Promise<unknown>): Promise<Disturbance> {
    const before = await this.#lab.countResent();
    const { longestGapMs } = await this.#stream.during(task);
    return { gapMs: longestGapMs, resent: (await this.#lab.countResent()) - before };
  }
}

function backwards(command: string): string {
  return command.replaceAll(/nic0|br0/g, (link) => (link === "br0" ? "nic0" : "br0"));
}

// What a switch believes of its ports, where attackers would have it believe something: a Linux bridge as bridge(8) lists it,
// Open vSwitch as ovs-appctl(8) tells it.
import { execa } from "execa";
import { IpConsole } from "./ip-console.ts";

/** One switch. For `using`. */
export interface SwitchBeliefs extends Disposable {
  /** Whether it takes a MAC address to be at that port. */
  hasAt(mac: string, port: string): Promise<boolean>;
  /** Whether it takes that port for the way to a multicast router. */
  hasRouterAt(port: string): Promise<boolean>;
  /** Makes it forget that. */
  forgetRouter(port: string): Promise<void>;
}

/** A Linux bridge. */
export class BridgeBeliefs implements SwitchBeliefs {
  readonly #name: string;
  readonly #stack = new DisposableStack();
  readonly #bridge: IpConsole;
  readonly #ip: IpConsole;

  /** @param host - where the bridge is. */
  constructor(host: { readonly path: string }, name: string) {
    this.#name = name;
    this.#bridge = this.#stack.use(IpConsole.open(host, "bridge -details"));
    this.#ip = this.#stack.use(IpConsole.open(host, "ip"));
  }

  async hasAt(mac: string, port: string): Promise<boolean> {
    return (await this.table()).some((entry) => entry.mac === mac && entry.ifname === port);
  }

  async hasRouterAt(port: string): Promise<boolean> {
    const [mdb] = await this.#bridge.ask<Mdb>(`mdb show dev ${this.#name}`);
    return (mdb?.router[this.#name] ?? []).some((router) => router.port === port);
  }

  async forgetRouter(port: string): Promise<void> {
    const set = (value: number) => `link set ${port} type bridge_slave mcast_router ${value}`;
    if (await this.hasRouterAt(port)) await this.#ip.tell(set(0), set(1));
  }

  /** Its MAC addresses. */
  async table(): Promise<readonly { readonly mac: string; readonly ifname: string }[]> {
    return await this.#bridge.ask(`fdb show br ${this.#name}`);
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

/** Where a bridge of Open vSwitch is found. */
export interface OvsBridge {
  readonly name: string;
  /** The control socket of its ovs-vswitchd. */
  readonly control: string;
  /** The host's port in the network under attack. */
  readonly hostPort: string;
}

/** A bridge of Open vSwitch. */
export class OvsBeliefs implements SwitchBeliefs {
  readonly #bridge: OvsBridge;

  constructor(bridge: OvsBridge) {
    this.#bridge = bridge;
  }

  /** By what it would do with a frame of the host's. */
  async hasAt(mac: string, port: string): Promise<boolean> {
    const { name, hostPort } = this.#bridge;
    const frame = `in_port=${hostPort},dl_type=0x0800,dl_dst=${mac}`;
    const way = await this.#appctl("ofproto/trace", "--names", name, frame);
    const [, ports = ""] = /^Datapath actions: (.*)$/m.exec(way) ?? [];
    return ports === port;
  }

  async hasRouterAt(port: string): Promise<boolean> {
    const lines = (await this.#appctl("mdb/show", this.#bridge.name)).split("\n");
    const numbers = lines.flatMap((line) => /^\s*(\d+)\s.*\bquerier\b/.exec(line)?.[1] ?? []);
    return numbers.includes(await this.#numberOf(port));
  }

  async forgetRouter(): Promise<void> {
    await this.#appctl("mdb/flush", this.#bridge.name);
  }

  [Symbol.dispose](): void {}

  /** Of a port, in the words of OpenFlow. */
  async #numberOf(port: string): Promise<string> {
    const found = new RegExp(`^\\s*${port} (\\d+)/`, "m").exec(await this.#appctl("dpif/show"));
    if (found?.[1] === undefined) throw new Error(`Open vSwitch has no port ${port}`);
    return found[1];
  }

  async #appctl(...args: string[]): Promise<string> {
    const { stdout } = await execa("ovs-appctl", ["--target", this.#bridge.control, ...args], { timeout: 10_000 });
    return stdout;
  }
}

interface Mdb {
  readonly router: Readonly<Record<string, readonly { readonly port: string }[]>>;
}

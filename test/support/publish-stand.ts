// The same stand twice on one host, once on networks of tsnet and once on networks of Docker's own bridge driver, so that
// what is published can be asked for from everywhere at both:
//
//   blue    IPv4 and IPv6: web with ports published on all addresses, on the host's and on loopback; peer
//   red     IPv4 and IPv6: a container that only asks
//   shy     icc=false: web and peer
//   four    IPv4 only
//   routed  mode routed; of Docker's driver from engine 27 on
//
// The neighbour and a host beyond it have routes to all these networks, as a router that somebody configured.
import type { Neighbour } from "./neighbour.ts";
import { settleLinks } from "./settled-links.ts";
import type { TestContainer } from "./system-container.ts";
import type { SystemHost } from "./system-host.ts";
import { runServer } from "./system-probe.ts";

/** The host's addresses by family. */
export const HOST = { 4: "192.0.2.10", 6: "2001:db8:1::10" } as const;
export const LOOPBACK = { 4: "127.0.0.1", 6: "::1" } as const;
export const FAMILIES = [4, 6] as const;

export type Family = (typeof FAMILIES)[number];

export type Driver = "tsnet" | "bridge";

/** Numbers of the networks: third part of their IPv4 subnets. */
const NETWORKS = { blue: 1, red: 2, shy: 3, four: 4, routed: 5 } as const;

export type NetworkName = keyof typeof NETWORKS;

export const NETWORK_NAMES = Object.keys(NETWORKS) as readonly NetworkName[]; // the keys are the type

/** What the containers listen on; the third has nothing published. */
const LISTENED = [80, 81, 82, 83] as const;

/** Ports that may be asked for, by what they are published on. `offset`: of the host port. */
export const PORTS = {
  "all addresses": { network: "blue", port: 80, offset: 80 },
  "its address": { network: "blue", port: 81, offset: 81 },
  loopback: { network: "blue", port: 82, offset: 82 },
  nothing: { network: "blue", port: 83, offset: 83 },
  "all, IPv4-only": { network: "four", port: 80, offset: 84 },
  "all, icc=false": { network: "shy", port: 80, offset: 85 },
  "nothing, icc=false": { network: "shy", port: 83, offset: 86 },
  "all, routed": { network: "routed", port: 80, offset: 87 },
  "nothing, routed": { network: "routed", port: 83, offset: 88 },
} as const satisfies Record<string, { network: NetworkName; port: number; offset: number }>;

export type PublishedOn = keyof typeof PORTS;

/** Networks with a container that only asks. */
const HAVE_PEERS: ReadonlySet<NetworkName> = new Set(["blue", "red", "shy"]);

const BASE = { tsnet: 8000, bridge: 9000 } as const;
const PREFIX = { tsnet: "10.20", bridge: "10.30" } as const;
const PREFIX_IPV6 = { tsnet: "fd20", bridge: "fd30" } as const;

/** Whether a driver cannot make a network of that kind. */
export function isMissing(driver: Driver, network: NetworkName, engine: string): boolean {
  return driver === "bridge" && network === "routed" && Number.parseFloat(engine) < 27;
}

/** Where a port of the stand is published. */
export function hostPort(driver: Driver, on: PublishedOn): number {
  return BASE[driver] + PORTS[on].offset;
}

/** The host's address on a network of the stand. */
export function gatewayOf(driver: Driver, network: NetworkName, family: Family): string {
  const number = NETWORKS[network];
  return family === 4 ? `${PREFIX[driver]}.${number}.1` : `${PREFIX_IPV6[driver]}:${number}::1`;
}

/** Flags of `docker run` for a port of both protocols. @param addresses - none: all of the host. */
export function publish(hostPortNumber: number, port: number, ...addresses: string[]): string[] {
  const prefixes = addresses.length === 0 ? [""] : addresses.map((address) => `${bracketed(address)}:`);
  const mappings = prefixes.flatMap((prefix) => ["", "/udp"].map((end) => `${prefix}${hostPortNumber}:${port}${end}`));
  return mappings.flatMap((mapping) => ["-p", mapping]);
}

/** The stands of a host. The containers go with the host; dispose of the stand before it. */
export class PublishStand implements AsyncDisposable {
  readonly host: SystemHost;
  readonly beyond: Neighbour;
  /** `tsnet-web`, `bridge-peer`, ...: the container of that name. */
  readonly #containers = new Map<string, TestContainer>();
  readonly #addresses = new Map<string, Promise<string>>();

  private constructor(host: SystemHost, beyond: Neighbour) {
    this.host = host;
    this.beyond = beyond;
  }

  /** @param drivers - with `bridge` a container on the engine's own `docker0` as well, which is called `docker0`. */
  static async up(
    host: SystemHost,
    drivers: readonly Driver[],
    networks: readonly NetworkName[],
  ): Promise<PublishStand> {
    const stand = new PublishStand(host, await host.neighbour.addBeyond());
    await host.neighbour.takeLoopbackOf(HOST);
    for (const driver of drivers) await stand.#addDriver(driver, networks);
    await settleLinks(host.lab.namespace); // a host cannot find anybody from an address that is not settled
    if (drivers.includes("bridge"))
      stand.#containers.set("docker0", await runServer(host, "docker0", { name: "bridge" }, [80]));
    return stand;
  }

  /** @throws Error when there is none. */
  container(name: string): TestContainer {
    const found = this.#containers.get(name);
    if (found === undefined) throw new Error(`no container ${name} on this stand`);
    return found;
  }

  /** Of the container with the published ports of a network. */
  async webAddress(driver: Driver, network: NetworkName, family: Family): Promise<string> {
    const name = `${driver}-${network}-web`;
    const found = this.#addresses.get(`${name} ${family}`) ?? this.container(name).address(family);
    this.#addresses.set(`${name} ${family}`, found);
    return await found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.beyond[Symbol.asyncDispose]();
  }

  async #addDriver(driver: Driver, wanted: readonly NetworkName[]): Promise<void> {
    const { version } = this.host.lab.engine;
    const networks = wanted.filter((name) => !isMissing(driver, name, version));
    for (const name of networks) await this.#addNetwork(driver, name);
    const published = networks.filter((name) => name !== "red");
    await Promise.all([
      ...published.map((name) => this.#run(`${driver}-${name}-web`, driver, name, LISTENED, this.#flags(driver, name))),
      ...networks
        .filter((name) => HAVE_PEERS.has(name))
        .map((name) => this.#run(`${driver}-${name}-peer`, driver, name, [80], [])),
    ]);
  }

  async #addNetwork(driver: Driver, name: NetworkName): Promise<void> {
    const number = NETWORKS[name];
    const subnets = [`${PREFIX[driver]}.${number}.0/24`];
    if (name !== "four") subnets.push(`${PREFIX_IPV6[driver]}:${number}::/64`);
    const options = [
      ...subnets.flatMap((subnet) => ["--subnet", subnet]),
      ...(name === "four" ? [] : ["--ipv6"]),
      ...(name === "shy" ? ["-o", "com.docker.network.bridge.enable_icc=false"] : []),
      ...(name === "routed" ? ROUTED[driver] : []),
      ...(driver === "tsnet" ? ["--ipam-driver", "tsnet", ...this.host.backendOptions] : []),
    ];
    await this.host.docker("network", "create", "-d", driver, ...options, `${driver}-${name}`);
    for (const subnet of subnets) await this.host.neighbour.routeTo(subnet, HOST[subnet.includes(":") ? 6 : 4]);
  }

  async #run(name: string, driver: Driver, network: NetworkName, ports: readonly number[], flags: string[]) {
    const container = await runServer(this.host, name, { name: `${driver}-${network}` }, ports, ...flags);
    this.#containers.set(name, container);
  }

  /** What the container of a network publishes. */
  #flags(driver: Driver, network: NetworkName): string[] {
    const addresses: Readonly<Partial<Record<PublishedOn, readonly string[]>>> = {
      "its address": Object.values(HOST),
      loopback: Object.values(LOOPBACK),
    };
    return (Object.keys(PORTS) as PublishedOn[])
      .filter((on) => PORTS[on].network === network && !on.startsWith("nothing"))
      .flatMap((on) => publish(hostPort(driver, on), PORTS[on].port, ...(addresses[on] ?? [])));
  }
}

const ROUTED = {
  tsnet: ["-o", "mode=routed"],
  bridge: [4, 6].flatMap((family) => ["-o", `com.docker.network.bridge.gateway_mode_ipv${family}=routed`]),
} as const;

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

// Two networks with containers, to see what gets through and what does not while the host's own packet filter changes:
//
//   blue  one (.11, with a published port) and two (.12)       red  other (.11)
//
// The neighbour has routes to both networks, as a router that somebody configured: what is closed to it is closed by rules.
import { join } from "node:path";
import { ECHO_PORT } from "./neighbour.ts";
import { type Driver, FAMILIES, type Family, HOST, publish } from "./publish-stand.ts";
import { settleLinks } from "./settled-links.ts";
import type { Place, TestContainer } from "./system-container.ts";
import type { SystemHost } from "./system-host.ts";
import { type Question, Round, runServer } from "./system-probe.ts";
import { waitUntil } from "./wait-until.ts";

const PUBLISHED = 80;
const UNPUBLISHED = 81;
const HOST_PORT = { tsnet: 8080, bridge: 9080 } as const satisfies Record<Driver, number>;

/** What their subnets and addresses begin with. */
const PREFIXES = {
  tsnet: { blue: { 4: "10.93.0.", 6: "fd93::" }, red: { 4: "10.94.0.", 6: "fd94::" } },
  bridge: { blue: { 4: "10.95.0.", 6: "fd95::" }, red: { 4: "10.96.0.", 6: "fd96::" } },
} as const satisfies Record<Driver, object>;

const CONTAINERS = { one: ["blue", 11], two: ["blue", 12], other: ["red", 11] } as const;

type Name = keyof typeof CONTAINERS;

/** From where to which address and port, by which protocols. */
type Way = (stand: BesideStand, family: Family) => readonly [Place, string, number, readonly Question["protocol"][]];

const ANY = ["ping", "tcp"] as const;

const WAYS = {
  "container to container": (s, family) => [s.container("two"), s.address("one", family), UNPUBLISHED, ANY],
  "container to the outside": (s, family) => [s.container("one"), s.outside(family), ECHO_PORT, ANY],
  "container to the host": (s, family) => [s.container("one"), HOST[family], ECHO_PORT, ANY],
  "the outside to a published port": (s, family) => [s.host.neighbour, HOST[family], HOST_PORT[s.driver], ["tcp"]],
  "the host to a published port": (s, family) => [s.host, HOST[family], HOST_PORT[s.driver], ["tcp"]],
  "the outside to a container": (s, family) => [s.host.neighbour, s.address("one", family), UNPUBLISHED, ANY],
  "network to network": (s, family) => [s.container("other"), s.address("one", family), PUBLISHED, ANY],
} as const satisfies Record<string, Way>;

/** What gets through each way: of `ping4`, `tcp4`, `ping6`, `tcp6`. */
export type Ways = Readonly<Record<keyof typeof WAYS, readonly string[]>>;

/** What networks of tsnet are good for, and no more. */
export const AS_EVER: Ways = {
  "container to container": ["ping4", "tcp4", "ping6", "tcp6"],
  "container to the outside": ["ping4", "tcp4", "ping6", "tcp6"],
  "container to the host": ["ping4", "tcp4", "ping6", "tcp6"],
  "the outside to a published port": ["tcp4", "tcp6"],
  "the host to a published port": ["tcp4", "tcp6"],
  "the outside to a container": [],
  "network to network": [],
};

/** The containers of one driver. They go with the host. */
export class BesideStand {
  readonly host: SystemHost;
  readonly driver: Driver;
  readonly #containers: ReadonlyMap<Name, TestContainer>;

  private constructor(host: SystemHost, driver: Driver, containers: ReadonlyMap<Name, TestContainer>) {
    this.host = host;
    this.driver = driver;
    this.#containers = containers;
  }

  static async up(host: SystemHost, driver: Driver = "tsnet"): Promise<BesideStand> {
    for (const network of ["blue", "red"] as const) await addNetwork(host, driver, network);
    const names = Object.keys(CONTAINERS) as Name[]; // the keys are the type
    const run = async (name: Name) => [name, await runContainer(host, driver, name)] as const;
    const containers = new Map(await Promise.all(names.map(run)));
    await settleLinks(host.lab.namespace);
    return new BesideStand(host, driver, containers);
  }

  container(name: Name): TestContainer {
    const found = this.#containers.get(name);
    if (found === undefined) throw new Error(`no container ${name} on this stand`);
    return found;
  }

  address(name: Name, family: Family): string {
    return addressOf(this.driver, name, family);
  }

  /** The neighbour's address. */
  outside(family: Family): string {
    return family === 4 ? this.host.neighbour.address : this.host.neighbour.addressIpv6;
  }

  /** Tries every way, all at the same time. */
  async look(): Promise<Ways> {
    const round = new Round();
    const looks = Object.entries(WAYS).map(async ([name, way]) => [name, await this.#lookAt(round, way)] as const);
    await round.run();
    return Object.fromEntries(await Promise.all(looks)) as Ways; // by the same names
  }

  async #lookAt(round: Round, way: Way): Promise<readonly string[]> {
    const tries = FAMILIES.flatMap((family) => {
      const [from, address, port, protocols] = way(this, family);
      return protocols.map((protocol) => ({ title: `${protocol}${family}`, from, protocol, address, port }));
    });
    const answers = await Promise.all(tries.map(async ({ from, ...question }) => await round.add(from, [question])));
    return tries.flatMap(({ title }, at) => (answers[at]?.[0]?.server === undefined ? [] : [title]));
  }
}

async function addNetwork(host: SystemHost, driver: Driver, network: "blue" | "red"): Promise<void> {
  const prefixes = PREFIXES[driver][network];
  const subnets = { 4: `${prefixes[4]}0/24`, 6: `${prefixes[6]}/64` };
  const options = ["--ipv6", "--subnet", subnets[4], "--subnet", subnets[6]];
  const ipam = driver === "tsnet" ? ["--ipam-driver", "tsnet"] : [];
  await host.docker("network", "create", "-d", driver, ...ipam, ...options, `${driver}-${network}`);
  for (const family of FAMILIES) await host.neighbour.routeTo(subnets[family], HOST[family]);
}

async function runContainer(host: SystemHost, driver: Driver, name: Name): Promise<TestContainer> {
  const network = { name: `${driver}-${CONTAINERS[name][0]}` };
  const addresses = ["--ip", addressOf(driver, name, 4), "--ip6", addressOf(driver, name, 6)];
  const ports = name === "one" ? publish(HOST_PORT[driver], PUBLISHED) : [];
  return await runServer(host, `${driver}-${name}`, network, [PUBLISHED, UNPUBLISHED], ...addresses, ...ports);
}

function addressOf(driver: Driver, name: Name, family: Family): string {
  const [network, number] = CONTAINERS[name];
  return `${PREFIXES[driver][network][family]}${number}`;
}

/** An echo on the host itself, on the port of the neighbour's. */
export async function serveEcho({ lab }: SystemHost): Promise<void> {
  const program = join(import.meta.dirname, "echo-server.ts");
  const server = await lab.namespace.spawn("echo", [process.execPath, program, String(ECHO_PORT)]);
  await waitUntil("the host's echo to listen", () => server.log().includes("tcp"));
}

// One network of each mode on one host, with two containers each. The neighbour and a host beyond it have routes to all of
// them, and containers that get no default route have one all the same, as a privileged one could make it.
import { join } from "node:path";
import { ECHO_PORT, type Neighbour } from "./neighbour.ts";
import { type Family, HOST, publish } from "./publish-stand.ts";
import { settleLinks } from "./settled-links.ts";
import type { Place, TestContainer } from "./system-container.ts";
import type { SystemHost } from "./system-host.ts";
import { runServer } from "./system-probe.ts";
import { waitUntil } from "./wait-until.ts";

/** The ports that every container listens on; where anything can be published, the first is. */
export const LISTENED = { published: 80, unpublished: 83 } as const;

/** How a network is made. */
interface Kind {
  readonly flags: readonly string[];
  /** Nothing can be published there. */
  readonly isClosed?: true;
  /** Containers are given a default route by the host's address there, or by nothing but their interface. */
  readonly extraRoute?: "gateway" | "interface";
}

const INTERNAL: Kind = { flags: ["--internal"], isClosed: true, extraRoute: "gateway" };

const KINDS = {
  nat: { flags: [] },
  bare: { flags: ["-o", "masquerade=false"] },
  routed: { flags: ["-o", "mode=routed"] },
  "no-icc": { flags: ["-o", "icc=false"] },
  internal: INTERNAL,
  isolated: { flags: ["-o", "mode=isolated"], isClosed: true, extraRoute: "interface" },
  l2: { flags: ["-o", "mode=l2"], isClosed: true, extraRoute: "interface" },
  docker: { flags: [] },
  "docker-internal": INTERNAL,
} as const satisfies Record<string, Kind>;

/** A network; those of Docker's own driver are called `docker...`. */
export type ModeName = keyof typeof KINDS;

export const MODE_NAMES = Object.keys(KINDS) as readonly ModeName[]; // the keys are the type

/** The networks. The containers go with the host; dispose of this before it. */
export class ModesStand implements AsyncDisposable {
  readonly host: SystemHost;
  readonly beyond: Neighbour;
  readonly #containers = new Map<string, TestContainer>();

  private constructor(host: SystemHost, beyond: Neighbour) {
    this.host = host;
    this.beyond = beyond;
  }

  /** Also starts an echo (`ECHO_PORT`) on the host itself. */
  static async up(host: SystemHost, modes: readonly ModeName[]): Promise<ModesStand> {
    const stand = new ModesStand(host, await host.neighbour.addBeyond());
    for (const mode of modes) await stand.#addNetwork(mode);
    await Promise.all(modes.flatMap((mode) => [1, 2].map((number) => stand.#run(mode, number))));
    await settleLinks(host.lab.namespace);
    const echo = [process.execPath, join(import.meta.dirname, "echo-server.ts"), String(ECHO_PORT)];
    const server = await host.lab.namespace.spawn("echo", echo);
    await waitUntil("the host's echo to listen", () => /tcp/.test(server.log()) && /udp/.test(server.log()));
    return stand;
  }

  /** The first container of a network is asked, the second asks. */
  asker(mode: ModeName): Place {
    const found = this.#containers.get(`${mode}-2`);
    if (found === undefined) throw new Error(`no network ${mode} on this stand`);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.beyond[Symbol.asyncDispose]();
  }

  async #addNetwork(mode: ModeName): Promise<void> {
    const ofOurs = ["-d", "tsnet", "--ipam-driver", "tsnet", ...this.host.backendOptions];
    const drivers = mode.startsWith("docker") ? ["-d", "bridge"] : ofOurs;
    const subnets = subnetsOf(mode);
    const addresses = ["--ipv6", ...subnets.flatMap((subnet) => ["--subnet", subnet])];
    await this.host.docker("network", "create", ...drivers, ...addresses, ...KINDS[mode].flags, mode);
    for (const subnet of subnets) await this.host.neighbour.routeTo(subnet, HOST[subnet.includes(":") ? 6 : 4]);
  }

  async #run(mode: ModeName, number: number): Promise<void> {
    const kind: Kind = KINDS[mode];
    const isPublished = number === 1 && kind.isClosed === undefined;
    const flags = isPublished ? publish(8400 + MODE_NAMES.indexOf(mode), LISTENED.published) : [];
    const name = `${mode}-${number}`;
    // else newer engines give out the gateway's address where the network has no gateway
    const addresses = ["--ip", hostOn(mode, 4, 10 + number), "--ip6", hostOn(mode, 6, 10 + number)];
    const container = await runServer(this.host, name, { name: mode }, Object.values(LISTENED), ...addresses, ...flags);
    this.#containers.set(name, container);
    for (const family of [4, 6] as const) {
      if (kind.extraRoute === undefined) continue;
      const hop = kind.extraRoute === "gateway" ? ["via", gatewayOf(mode, family)] : ["dev", "eth0"];
      await container.exec(["ip", `-${family}`, "route", "replace", "default", ...hop]);
    }
  }
}

/** The host's address on a network where it has one. */
export function gatewayOf(mode: ModeName, family: Family): string {
  return hostOn(mode, family, 1);
}

/** Of the container that is asked; its server calls itself `MODE-1`. */
export function addressOf(mode: ModeName, family: Family): string {
  return hostOn(mode, family, 11);
}

function hostOn(mode: ModeName, family: Family, host: number): string {
  const number = MODE_NAMES.indexOf(mode);
  return family === 4 ? `10.60.${number}.${host}` : `fd60:${number}::${host}`;
}

function subnetsOf(mode: ModeName): readonly string[] {
  const number = MODE_NAMES.indexOf(mode);
  return [`10.60.${number}.0/24`, `fd60:${number}::/64`];
}

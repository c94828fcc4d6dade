// A container of the system tests as seen from outside: what ip(8) shows in its network namespace, never what tsnet or the
// engine say about it. It serves a page on port 80 and goes with the block that holds it.
import { waitUntil } from "./wait-until.ts";

/** Where a command can be run to see what gets through from there: a container, the host, a neighbour. */
export interface Place {
  exec(argv: readonly string[]): Promise<string>;
}

/** One interface, as `ip -json address` shows it. */
export interface Interface {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** `10.1.2.3/24`, link-local ones left out. */
  readonly addresses: readonly string[];
}

/** What a container needs of its host. */
export interface ContainerHost extends Place {
  readonly docker: (...args: string[]) => Promise<string>;
}

/** A running container. */
export class TestContainer implements Place, AsyncDisposable {
  readonly name: string;
  readonly #host: ContainerHost;

  constructor(host: ContainerHost, name: string) {
    this.#host = host;
    this.name = name;
  }

  /** Runs one of the host's programs in the container's network namespace. @returns its standard output. */
  async exec(argv: readonly string[]): Promise<string> {
    return await this.#host.exec(["nsenter", "-t", String(await this.pid()), "-n", "--", ...argv]);
  }

  /** `docker exec`: with the container's own files, so that names resolve as they do for its programs. */
  async execInside(...argv: string[]): Promise<string> {
    return await this.#host.docker("exec", this.name, ...argv);
  }

  /** Of its first process, as seen in the lab. */
  async pid(): Promise<number> {
    const pid = Number(await this.#host.docker("inspect", "--format", "{{.State.Pid}}", this.name));
    if (!(pid > 0)) throw new Error(`container ${this.name} does not run`);
    return pid;
  }

  /** All but loopback, by name. */
  async interfaces(): Promise<readonly Interface[]> {
    const links = JSON.parse(await this.exec(["ip", "-json", "address"])) as IpLink[];
    const found = links.filter((link) => link.ifname !== "lo").map(toInterface);
    return found.toSorted((a, b) => a.name.localeCompare(b.name));
  }

  /** @throws Error when there is none of that name. */
  async interface(name: string): Promise<Interface> {
    const all = await this.interfaces();
    const found = all.find((each) => each.name === name);
    if (found === undefined) throw new Error(`${this.name} has no ${name}: ${all.map((each) => each.name).join(", ")}`);
    return found;
  }

  /** The address on its first interface that has one of that family, without the length. */
  async address(family: 4 | 6 = 4): Promise<string> {
    const all = (await this.interfaces()).flatMap(({ addresses }) => addresses);
    const found = all.find((address) => address.includes(":") === (family === 6));
    if (found === undefined) throw new Error(`${this.name} has no IPv${family} address: ${all.join(", ")}`);
    return found.replace(/\/.*/, "");
  }

  /** `default via 10.1.2.1 dev eth0`, `10.9.0.0/16 via 10.1.2.9 dev eth0`; routes without a next hop are left out. */
  async routesVia(): Promise<readonly string[]> {
    const routes = await Promise.all(["-4", "-6"].map((family) => this.exec(["ip", family, "-json", "route"])));
    const entries = routes.flatMap((text) => JSON.parse(text || "[]") as IpRoute[]);
    return entries.flatMap(({ dst, gateway, dev }) =>
      gateway === undefined ? [] : [`${dst} via ${gateway} dev ${dev}`],
    );
  }

  /** Waits until its server (publish-server.ts) listens on these ports. */
  async serves(ports: readonly number[]): Promise<void> {
    await waitUntil(`the server of ${this.name} to listen`, async () => {
      const sockets = await this.exec(["ss", "-Hltn"]);
      return ports.every((port) => sockets.includes(`*:${port} `));
    });
  }

  /** Waits until it runs again, with another process than `formerPid`. */
  async restarted(formerPid: number): Promise<void> {
    await waitUntil(`container ${this.name} to run again`, async () => (await this.pid()) !== formerPid, {
      limitMs: 60_000,
      intervalMs: 100,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#host.docker("rm", "-f", this.name);
  }
}

interface IpLink {
  readonly ifname: string;
  readonly address: string;
  readonly mtu: number;
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number; readonly scope: string }[];
}

interface IpRoute {
  readonly dst: string;
  readonly gateway?: string;
  readonly dev: string;
}

function toInterface({ ifname, address, mtu, addr_info }: IpLink): Interface {
  const addresses = addr_info
    .filter(({ scope }) => scope !== "link")
    .map((entry) => `${entry.local}/${entry.prefixlen}`);
  return { name: ifname, mac: address, mtu, addresses };
}

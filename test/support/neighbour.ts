// Machines around a lab host, each a network namespace of its own, cabled by veth pairs:
//
//   lab host  lan0 192.0.2.10 ------- 192.0.2.1 lan0  router  lan1 198.51.100.1 ------- 198.51.100.10 lan0  beyond
//             2001:db8:1::10          2001:db8:1::1           2001:db8:2::1             2001:db8:2::10
//
// The router is the lab host's default route and knows no container network: what a container sends comes back only with
// the lab host's address as its source, or after a test gave the router a route. Addresses: RFC 5737, RFC 3849.
import { join } from "node:path";
import { LabNamespace } from "./lab-namespace.ts";
import { waitUntil } from "./wait-until.ts";

/** Port of the echo that every neighbour runs, TCP and UDP. */
export const ECHO_PORT = 7007;

/** One end of a cable. */
export interface CableEnd {
  readonly at: LabNamespace;
  readonly ifName: string;
  /** `192.0.2.10/24`, `2001:db8:1::10/64`. */
  readonly addresses: readonly string[];
}

/** Joins two namespaces by a veth pair, sets the addresses and brings both ends up. */
export async function cable(a: CableEnd, b: CableEnd): Promise<void> {
  const peer = ["peer", "name", b.ifName, "netns", String(b.at.keeperPid)];
  await a.at.execOutsidePids(["ip", "link", "add", a.ifName, "type", "veth", ...peer]);
  for (const end of [a, b]) await configure(end);
}

/** Sets addresses and link state of one end, as a machine's network configuration does at boot. */
export async function configure({ at, ifName, addresses }: CableEnd): Promise<void> {
  for (const address of addresses) {
    const noDad = address.includes(":") ? ["nodad"] : [];
    await at.exec(["ip", "address", "replace", address, "dev", ifName, ...noDad]);
  }
  await at.exec(["ip", "link", "set", ifName, "up"]);
}

/** Makes `gateways` (one per family) the default routes. */
export async function setDefaultRoutes(at: LabNamespace, gateways: readonly string[]): Promise<void> {
  for (const gateway of gateways) await at.exec(["ip", "route", "replace", "default", "via", gateway]);
}

/** A remote host with an echo on `ECHO_PORT`. Disposing of it takes the cable along. */
export class Neighbour implements AsyncDisposable {
  readonly namespace: LabNamespace;
  readonly address: string;
  readonly addressIpv6: string;

  private constructor(namespace: LabNamespace, address: string, addressIpv6: string) {
    this.namespace = namespace;
    this.address = address;
    this.addressIpv6 = addressIpv6;
  }

  /** Makes a host at the other end of a cable from `near`, with its echo running. */
  static async up(name: string, near: CableEnd, far: Omit<CableEnd, "at">): Promise<Neighbour> {
    const namespace = await LabNamespace.up(name, { isKept: near.at.isKept });
    try {
      await cable(near, { ...far, at: namespace });
      const echo = [process.execPath, join(import.meta.dirname, "echo-server.ts"), String(ECHO_PORT)];
      const server = await namespace.spawn("echo", echo);
      await waitUntil("the echo to listen", () => /tcp/.test(server.log()) && /udp/.test(server.log()));
      const [address = "", addressIpv6 = ""] = far.addresses.map((cidr) => cidr.split("/")[0]);
      return new Neighbour(namespace, address, addressIpv6);
    } catch (failure) {
      await namespace[Symbol.asyncDispose]();
      throw failure;
    }
  }

  /** Runs a command on this host. @returns its standard output. */
  exec: LabNamespace["exec"] = (...args) => this.namespace.exec(...args);

  /** Makes this host a router and puts another host behind it, two hops from the lab host. */
  async addBeyond(name = "beyond"): Promise<Neighbour> {
    await this.exec(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    const near = { at: this.namespace, ifName: "lan1", addresses: ["198.51.100.1/24", "2001:db8:2::1/64"] };
    const beyond = await Neighbour.up(name, near, {
      ifName: "lan0",
      addresses: ["198.51.100.10/24", "2001:db8:2::10/64"],
    });
    await setDefaultRoutes(beyond.namespace, ["198.51.100.1", "2001:db8:2::1"]);
    return beyond;
  }

  /** Teaches this host a route, as an operator would. */
  async routeTo(subnet: string, gateway: string): Promise<void> {
    await this.exec(["ip", "route", "replace", subnet, "via", gateway]);
  }

  /**
   * Makes 127.0.0.0/8 and ::1 of another host the ones that this host speaks to: its packets for them leave by `lan0` with
   * that host's MAC address (moby#45610, CVE-2020-8558). It has no loopback addresses of its own from then on.
   */
  async takeLoopbackOf(gateways: { readonly 4: string; readonly 6: string }): Promise<void> {
    await this.exec(["sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1", "net.ipv4.conf.lan0.route_localnet=1"]);
    await this.exec(["ip", "address", "flush", "dev", "lo"]);
    await this.routeTo("127.0.0.0/8", gateways[4]);
    await this.routeTo("::1/128", gateways[6]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.namespace[Symbol.asyncDispose]();
  }
}

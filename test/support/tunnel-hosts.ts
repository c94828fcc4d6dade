// Hosts with an engine and tsnet each, on one IP network, for tunnels between real containers, and somebody outside:
//
//   containers -- switch of tsnet -- host 1  net0 192.0.2.1, 2001:db8::1 ---+
//   containers -- switch of tsnet -- host 2  net0 192.0.2.2, 2001:db8::2 ---+-- lan0 of the wire -- 192.0.2.254, 2001:db8::fe
//   containers -- switch of tsnet -- host 3  net0 192.0.2.3, 2001:db8::3 ---+                       outside, with an echo
//
// The outside is the hosts' default route and knows no container. With Open vSwitch in userspace the hosts' addresses are on a
// switch of its own, which the README demands: a network with `parent=net0` and `parent-address=move`.
import type { Backend, TunnelKind } from "../../src/cnm/network.ts";
import { setTxChecksum } from "../../src/host/ethtool.ts";
import type { Census } from "./census.ts";
import { FrameSocket } from "./frame-capture.ts";
import { LabNamespace } from "./lab-namespace.ts";
import { inNetwork } from "./namespace.ts";
import { Neighbour, cable, setDefaultRoutes } from "./neighbour.ts";
import type { TestContainer } from "./system-container.ts";
import { SystemHost, type TestNetwork, type Variant } from "./system-host.ts";
import { runServer } from "./system-probe.ts";
import { waitUntil } from "./wait-until.ts";

type Family = 4 | 6;

/** Of the network 9, and as all have it: the same on every host. */
export const GATEWAY = { 4: "10.9.0.1", 6: "fd00:9::1" } as const;

/** Of the IP network between the hosts. Bytes. */
export const UNDERLAY_MTU = 1500;

const OUTSIDE = { 4: "192.0.2.254", 6: "2001:db8::fe" } as const;

/** What tsnet makes; the engine's own parts change with its restarts. */
const OURS = ["links", "addresses", "routes", "nft", "records"];

/** What a tunnel is made of, on every host the same. */
export interface TunnelOptions {
  /** Default: `vxlan`. */
  readonly kind?: TunnelKind;
  /** Default: 77. */
  readonly vni?: number;
  /** Of the addresses of the hosts; default: 4. */
  readonly family?: Family;
  /** The hosts that are named; default: all. */
  readonly peers?: readonly number[];
  /** Of the network: 9, the default, is 10.9.0.0/24 and fd00:9::/64. */
  readonly net?: number;
  /** Without IPv6, by which the kernel would say something of its own accord. */
  readonly isQuiet?: boolean;
}

/** The address of the n-th host, from 1. */
export function hostAddress(n: number, family: Family = 4): string {
  return family === 4 ? `192.0.2.${n}` : `2001:db8::${n}`;
}

/** The addresses that the n-th host gives to its containers of a network. */
export function rangeOf(n: number, net = 9): Readonly<Record<Family, string>> {
  return { 4: `10.${net}.0.${64 * n}/26`, 6: `fd00:${net}::${n}:0/112` };
}

/** What `docker network create` is told about addresses on the n-th host. */
export function addressOptions(n: number, { net = 9, isQuiet = false }: TunnelOptions = {}): readonly string[] {
  const range = rangeOf(n, net);
  const of4 = ["--subnet", `10.${net}.0.0/24`, "--gateway", `10.${net}.0.1`, "--ip-range", range[4]];
  const of6 = ["--subnet", `fd00:${net}::/64`, "--gateway", `fd00:${net}::1`, "--ip-range", range[6]];
  return isQuiet ? of4 : [...of4, "--ipv6", ...of6];
}

/** All of it. Disposing of it takes it down. */
export class TunnelHosts implements AsyncDisposable {
  readonly hosts: readonly SystemHost[];
  readonly wire: LabNamespace;
  readonly outside: Neighbour;
  readonly #before: readonly Census[];
  readonly #stack: AsyncDisposableStack;

  private constructor(
    stack: AsyncDisposableStack,
    { hosts, wire, outside }: Pick<TunnelHosts, "hosts" | "wire" | "outside">,
    before: readonly Census[],
  ) {
    [this.hosts, this.wire, this.outside, this.#before, this.#stack] = [hosts, wire, outside, before, stack];
  }

  /**
   * Makes engines, tsnet and the network between the hosts.
   *
   * @param variants - one for each host.
   * @param isLiveRestore - containers outlive their engine; not for a swarm.
   */
  static async up(variants: readonly Variant[], backend: Backend, isLiveRestore = true): Promise<TunnelHosts> {
    await using stack = new AsyncDisposableStack();
    const options = { backend, isAlone: true, isLiveRestore } as const;
    const coming = variants.map((variant, at) => SystemHost.up(variant, { ...options, name: `host${at + 1}` }));
    const made = await Promise.allSettled(coming);
    const hosts = made.flatMap((each) => (each.status === "fulfilled" ? [stack.use(each.value)] : []));
    const failed = made.find((each) => each.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    const wire = stack.use(await LabNamespace.up("wire"));
    await wire.exec(["ip", "link", "add", "lan0", "type", "bridge", "mcast_snooping", "0"]);
    await wire.exec(["ip", "link", "set", "lan0", "promisc", "on", "up"]);
    const near = { at: wire, ifName: "outside", addresses: [] };
    const far = { ifName: "lan0", addresses: [`${OUTSIDE[4]}/24`, `${OUTSIDE[6]}/64`] };
    const outside = stack.use(await Neighbour.up("outside", near, far));
    await wire.exec(["ip", "link", "set", "outside", "master", "lan0"]);
    // Open vSwitch in userspace takes packets as a card does: with their checksums.
    if (backend === "ovs") await inNetwork(networkOf(outside.namespace), () => setTxChecksum("lan0", false));
    for (const [at, host] of hosts.entries()) await connect(wire, host, at + 1);
    const before = await Promise.all(hosts.map((host) => host.census()));
    const all = new TunnelHosts(stack.move(), { hosts, wire, outside }, before);
    if (backend === "ovs") await all.#moveAddresses();
    return all;
  }

  /** The n-th host, from 1. */
  host(n: number): SystemHost {
    const host = this.hosts[n - 1];
    if (host === undefined) throw new Error(`there is no host ${n}`);
    return host;
  }

  /** The list that a user gives on every host. */
  peers(family: Family = 4, hosts: readonly number[] = this.hosts.map((_, at) => at + 1)): string {
    return hosts.map((n) => hostAddress(n, family)).join(",");
  }

  /** What `docker network create` is told about the tunnel: the same on every host. */
  tunnelOptions({ kind = "vxlan", vni = 77, family = 4, peers }: TunnelOptions = {}): readonly string[] {
    const options = { tunnel: kind, vni: String(vni), peers: this.peers(family, peers) };
    return Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  }

  /** Makes the network with a tunnel on one host. */
  async join(n: number, name: string, options: TunnelOptions = {}): Promise<TestNetwork> {
    return await this.host(n).network(name, ...addressOptions(n, options), ...this.tunnelOptions(options));
  }

  /** Runs a container whose page on port 80, published as 8080 of its host, says its name. */
  async run(n: number, name: string, network: TestNetwork, ...options: string[]): Promise<TestContainer> {
    return await runServer(this.host(n), name, network, [80], ...options);
  }

  /** Hears what is on a container's link, and speaks there as its programs could. For `using`. */
  async ear(n: number, container: TestContainer): Promise<FrameSocket> {
    const path = this.host(n).lab.namespace.outside(`/proc/${await container.pid()}/ns/net`);
    return FrameSocket.open({ path }, "eth0");
  }

  /** Hears what passes between the hosts. For `using`. */
  listen(): FrameSocket {
    return FrameSocket.open({ path: networkOf(this.wire) }, "lan0");
  }

  /** Pulls a host's cable, or puts it in again. */
  async setPlugged(n: number, isPlugged: boolean): Promise<void> {
    await this.wire.exec(["ip", "link", "set", `host${n}`, isPlugged ? "up" : "down"]);
  }

  /** Removes all containers and networks. @returns what is on the hosts that was not there before all networks. */
  async leftovers(): Promise<readonly string[]> {
    await Promise.all(this.hosts.map((host) => host.removeEverything()));
    const look = async () => {
      const changes = this.hosts.map(async (host, at) => await host.changesSince(this.#before[at] ?? {}, OURS));
      return (await Promise.all(changes)).flatMap((lines, at) => lines.map((line) => `host ${at + 1}: ${line}`));
    };
    // Open vSwitch takes its links away behind its answer.
    await waitUntil("nothing to be left", async () => (await look()).length === 0, { limitMs: 15_000 }).catch(() => {});
    return await look();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #moveAddresses(): Promise<void> {
    const options = ["-o", "parent=net0", "-o", "parent-address=move", "--ipam-driver", "null"];
    for (const host of this.hosts) {
      await host.network("underlay", ...options);
      for (const address of Object.values(OUTSIDE)) {
        await waitUntil(`${address} to answer`, () => host.exec(["busybox", "ping", "-c1", "-W1", address]));
      }
    }
  }
}

async function connect(wire: LabNamespace, { lab }: SystemHost, n: number): Promise<void> {
  const addresses = [`${hostAddress(n)}/24`, `${hostAddress(n, 6)}/64`];
  const port = `host${n}`;
  await cable({ at: lab.namespace, ifName: "net0", addresses }, { at: wire, ifName: port, addresses: [] });
  await wire.exec(["ip", "link", "set", port, "master", "lan0"]);
  await setDefaultRoutes(lab.namespace, Object.values(OUTSIDE));
}

function networkOf({ keeperPid }: LabNamespace): string {
  return `/proc/${keeperPid}/ns/net`;
}

// Several hosts with tsnet's datapath and firewall each, on one IP network, for tests of tunnels:
//
//   container 10.1.1.11 -- switch of tsnet -- host 1  eth0 192.0.2.1, 2001:db8::1 ---+
//   container 10.1.1.12 -- switch of tsnet -- host 2  eth0 192.0.2.2, 2001:db8::2 ---+-- lan0  the wire
//   container 10.1.1.13 -- switch of tsnet -- host 3  eth0 192.0.2.3, 2001:db8::3 ---+
//
// All hosts have the network's gateway 10.1.1.1. What passes between them is heard on `lan0` of the wire, which has everything.
import type { Endpoint } from "../../src/cnm/endpoint.ts";
import type { Network, RequestedTunnel, Tunnel } from "../../src/cnm/network.ts";
import { overheadOf } from "../../src/cnm/tunnel.ts";
import { dualStack, endpoint, ifName } from "./cnm-builder.ts";
import { FrameSocket } from "./frame-capture.ts";
import { type HostAgent, startHostAgent } from "./host-agent.ts";
import { NetNamespace } from "./namespace.ts";
import { canPing, shell } from "./packet-lab.ts";
import { waitUntil } from "./wait-until.ts";

/** Of the IP network between the hosts. Bytes. */
export const UNDERLAY_MTU = 1500;

/** The address of the n-th host, from 1. */
export function hostAddress(n: number, family: 4 | 6 = 4): string {
  return family === 4 ? `192.0.2.${n}` : `2001:db8::${n}`;
}

/** What a test wants of a tunnel. */
export type TunnelKindOf = Omit<RequestedTunnel, "local" | "peers"> & { readonly family?: 4 | 6 };

/** One host. */
export interface TunnelHost {
  /** From 1. */
  readonly n: number;
  readonly ns: NetNamespace;
  agent: HostAgent;
}

/** One container. */
export interface TunnelContainer {
  readonly ns: NetNamespace;
  readonly endpoint: Endpoint;
  readonly address: Readonly<Record<4 | 6, string>>;
}

/** All of it. Disposing of it takes it down. */
export class TunnelStand implements AsyncDisposable {
  readonly hosts: readonly TunnelHost[];
  readonly wire: NetNamespace;
  readonly #stack: AsyncDisposableStack;
  #made: { readonly n: number; readonly network: Network }[] = [];
  #containers: { readonly n: number; readonly network: Network; readonly container: TunnelContainer }[] = [];

  private constructor(stack: AsyncDisposableStack, wire: NetNamespace, hosts: readonly TunnelHost[]) {
    [this.#stack, this.wire, this.hosts] = [stack, wire, hosts];
  }

  /** @param count - of hosts. */
  static async up(count: number): Promise<TunnelStand> {
    await using stack = new AsyncDisposableStack();
    const wire = stack.use(await NetNamespace.create("wire"));
    await shell(wire, ["ip link add lan0 type bridge mcast_snooping 0; ip link set lan0 promisc on up"]);
    const hosts: TunnelHost[] = [];
    for (let n = 1; n <= count; n++) {
      const ns = stack.use(await NetNamespace.create(`host${n}`));
      await shell(wire, [
        `ip link add host${n} mtu ${UNDERLAY_MTU} type veth peer name eth0 mtu ${UNDERLAY_MTU} netns ${ns.name}`,
        `ip link set host${n} master lan0 up`,
      ]);
      await shell(ns, [
        `ip address add ${hostAddress(n)}/24 dev eth0; ip address add ${hostAddress(n, 6)}/64 dev eth0 nodad`,
        "ip link set eth0 up",
      ]);
      hosts.push({ n, ns, agent: await startHostAgent(ns) });
    }
    return new TunnelStand(stack.move(), wire, hosts);
  }

  /** The n-th host, from 1. */
  host(n: number): TunnelHost {
    const host = this.hosts[n - 1];
    if (host === undefined) throw new Error(`there is no host ${n}`);
    return host;
  }

  /** The network as the n-th host has it, with all other hosts as peers. */
  network(n: number, { family = 4, ...kind }: TunnelKindOf, more: Partial<Network> = {}): Network {
    const peers = this.hosts.filter((host) => host.n !== n).map((host) => hostAddress(host.n, family));
    const tunnel: Tunnel = { ...kind, local: hostAddress(n, family), peers };
    const mtu = UNDERLAY_MTU - overheadOf(kind, family, more.vlans ?? {});
    const switchMac = `02:00:00:00:fe:0${n}`;
    return dualStack(1, { switchName: ifName("ts0"), switchMac, mtu, tunnel, ...more });
  }

  /** Makes the network on every host, with its rules, as the engine's call does. */
  async make(kind: TunnelKindOf, more: Partial<Network> = {}): Promise<void> {
    for (const { n } of this.hosts) await this.makeOn(n, this.network(n, kind, more));
  }

  /** Makes a network on one host. */
  async makeOn(n: number, network: Network): Promise<void> {
    const { agent } = this.host(n);
    await agent.datapath.check(network, []);
    await agent.datapath.ensureNetwork(network, []);
    this.#made.push({ n, network });
    await agent.firewall.apply({ networks: [network], endpoints: [] });
  }

  /** Removes containers and networks from all hosts. */
  async clear(): Promise<void> {
    for (const { n, network, container } of this.#containers) await this.detach(n, network, container);
    for (const { n, network } of this.#made) {
      const { agent } = this.host(n);
      await agent.datapath.removeNetwork(network, []);
      await agent.firewall.apply({ networks: [], endpoints: [] });
    }
    this.#made = [];
  }

  /**
   * A container on the n-th host.
   *
   * @param id - from 1, its address is 10.1.1.(10 + id); two hosts may have the same, as when it moves.
   * @param options.isSilent - it has no IPv6, and says nothing before it is asked.
   */
  async attach(
    n: number,
    network: Network,
    id = n,
    more: Partial<Endpoint> = {},
    { isSilent = false } = {},
  ): Promise<TunnelContainer> {
    const { ns: host, agent } = this.host(n);
    const address = { 4: `10.1.1.${10 + id}`, 6: `fd00:1:1::${10 + id}` } as const;
    const attached = endpoint(9 + id, 1, { mtu: network.mtu, addressIpv6: `${address[6]}/64`, ...more });
    await agent.firewall.ensureEndpoint({ network, endpoint: attached, ports: [] });
    const free = await agent.datapath.attach(network, attached, []);
    await agent.datapath.announce(network, attached);
    const ns = this.#stack.use(await NetNamespace.create("sandbox"));
    await shell(host, [`ip link set ${free} netns ${ns.name}`]);
    await shell(ns, [
      `ip link set ${free} name eth0 address ${attached.mac}; ip address add ${address[4]}/24 dev eth0`,
      isSilent ? "sysctl -qw net.ipv6.conf.all.disable_ipv6=1" : `ip address add ${address[6]}/64 dev eth0 nodad`,
      "ip link set eth0 up",
      ...(network.isHostOnSwitch ? ["ip route add default via 10.1.1.1"] : []),
    ]);
    const container = { ns, endpoint: attached, address };
    this.#containers.push({ n, network, container });
    return container;
  }

  /** Removes a container as the engine does: its link first. */
  async detach(n: number, network: Network, container: TunnelContainer): Promise<void> {
    const { agent } = this.host(n);
    const { ns, endpoint: gone } = container;
    this.#containers = this.#containers.filter((other) => other.container !== container);
    await shell(ns, ["ip link delete eth0 || true"]);
    await agent.datapath.detach(gone);
    await agent.firewall.removeEndpoint({ network, endpoint: gone, ports: [] });
  }

  /** Ends tsnet on a host without a chance to tidy up. */
  async kill(n: number): Promise<void> {
    await this.host(n).agent.kill();
  }

  /** Starts it there again. */
  async start(n: number): Promise<void> {
    const host = this.host(n);
    host.agent = await startHostAgent(host.ns);
  }

  /** Takes away what makes the tunnel on a host, as somebody at its console could. */
  async breakTunnel(n: number): Promise<void> {
    const { ns } = this.host(n);
    const links = await ns.json<readonly { ifname: string }[]>(["ip", "-json", "link"]);
    const ofTunnel = links.filter(({ ifname }) => ifname.startsWith("tsx"));
    await shell(
      ns,
      ofTunnel.map(({ ifname }) => `ip link delete ${ifname}`),
    );
  }

  /** Hears what passes between the hosts. For `using`. */
  listen(): FrameSocket {
    return FrameSocket.open(this.wire, "lan0");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Pings until an answer comes: what is sent in the first moment of a link may get lost. */
export async function reaches(from: TunnelContainer, to: string): Promise<true> {
  await waitUntil(`an answer from ${to}`, () => canPing(from.ns, to), { limitMs: 10_000, intervalMs: 100 });
  return true;
}

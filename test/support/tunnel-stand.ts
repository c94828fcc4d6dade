// Several hosts with tsnet's datapath and firewall each, on one IP network, for tests of tunnels:
//
//   container 10.1.1.11 -- switch of tsnet -- host 1  eth0 192.0.2.1, 2001:db8::1 ---+
//   container 10.1.1.12 -- switch of tsnet -- host 2  eth0 192.0.2.2, 2001:db8::2 ---+-- lan0  the wire
//   container 10.1.1.13 -- switch of tsnet -- host 3  eth0 192.0.2.3, 2001:db8::3 ---+
//
// All hosts have the network's gateway 10.1.1.1. What passes between them is heard on `lan0` of the wire, which has everything.
// What is done to a host, and what its addresses are on, differs by its switch: `tunnel-host.ts`.
import type { Endpoint } from "../../src/cnm/endpoint.ts";
import { ChangeNetwork } from "../../src/cnm/change-network.ts";
import type { FirewallState, GuardedEndpoint } from "../../src/cnm/firewall.ts";
import type { Network, RequestedTunnel, Tunnel } from "../../src/cnm/network.ts";
import type { CnmParts } from "../../src/cnm/parts.ts";
import { overheadOf } from "../../src/cnm/tunnel.ts";
import { setTxChecksum } from "../../src/host/ethtool.ts";
import { dualStack, endpoint, ifName } from "./cnm-builder.ts";
import { FrameSocket } from "./frame-capture.ts";
import { NetNamespace } from "./namespace.ts";
import { canPing, shell } from "./packet-lab.ts";
import { type HostSwitch, NIC, type TunnelHost, tunnelHost } from "./tunnel-host.ts";
import { waitUntil } from "./wait-until.ts";

/** Of the IP network between the hosts. Bytes. */
export const UNDERLAY_MTU = 1500;

/** The network's, on every host. */
export const GATEWAY = { 4: "10.1.1.1", 6: "fd00:1:1::1" } as const;

/** The address of the n-th host, from 1. */
export function hostAddress(n: number, family: 4 | 6 = 4): string {
  return family === 4 ? `192.0.2.${n}` : `2001:db8::${n}`;
}

/** A network that has nothing but rules: their tables stay, which take seconds to make on an emulated machine. */
const KEEPER = dualStack(8, { mode: "isolated" });

/** What a test wants of a tunnel. */
export type TunnelKindOf = Omit<RequestedTunnel, "local" | "peers"> & { readonly family?: 4 | 6 };

/** One container. */
export interface TunnelContainer {
  readonly ns: NetNamespace;
  readonly endpoint: Endpoint;
  readonly address: Readonly<Record<4 | 6, string>>;
}

interface Placed {
  readonly n: number;
  readonly network: Network;
  readonly container: TunnelContainer;
}

/** All of it. Disposing of it takes it down. */
export class TunnelStand implements AsyncDisposable {
  readonly hosts: readonly TunnelHost[];
  readonly wire: NetNamespace;
  readonly #stack: AsyncDisposableStack;
  #made: readonly { readonly n: number; readonly network: Network }[] = [];
  #containers: readonly Placed[] = [];

  private constructor(stack: AsyncDisposableStack, wire: NetNamespace, hosts: readonly TunnelHost[]) {
    [this.#stack, this.wire, this.hosts] = [stack, wire, hosts];
  }

  /** With the hosts reaching one another. @param count - of hosts. */
  static async up(count: number, hostSwitch: HostSwitch): Promise<TunnelStand> {
    await using stack = new AsyncDisposableStack();
    const wire = stack.use(await NetNamespace.create("wire"));
    await shell(wire, ["ip link add lan0 type bridge mcast_snooping 0; ip link set lan0 promisc on up"]);
    const hosts: TunnelHost[] = [];
    for (let n = 1; n <= count; n++) {
      const host = stack.use(await tunnelHost(`host${n}`, hostSwitch));
      hosts.push(host);
      const [link, mtu] = [`host${n}`, UNDERLAY_MTU];
      await shell(wire, [
        `ip link add ${link} mtu ${mtu} type veth peer name ${NIC} mtu ${mtu} netns ${host.ns.name}`,
        `ip link set ${link} master lan0 up`,
      ]);
      // A link that Open vSwitch reads itself must have its checksums, as from a cable.
      if (hostSwitch.backend === "ovs") await wire.enter(() => setTxChecksum(link, false));
      await host.connect([`${hostAddress(n)}/24`, `${hostAddress(n, 6)}/64`]);
    }
    const stand = new TunnelStand(stack.move(), wire, hosts);
    await stand.#requireUnderlay();
    return stand;
  }

  /** The n-th host, from 1. */
  host(n: number): TunnelHost {
    const host = this.hosts[n - 1];
    if (host === undefined) throw new Error(`there is no host ${n}`);
    return host;
  }

  /** The network as the n-th host has it, with all other hosts as peers. */
  network(n: number, { family = 4, ...kind }: TunnelKindOf, more: Partial<Network> = {}): Network {
    const { backend, datapathType } = this.host(n);
    const peers = this.hosts.flatMap((_, at) => (at + 1 === n ? [] : [hostAddress(at + 1, family)]));
    const tunnel: Tunnel = { ...kind, local: hostAddress(n, family), peers };
    const mtu = UNDERLAY_MTU - overheadOf(kind, family, more.vlans ?? {});
    const switchMac = `02:00:00:00:fe:0${n}`;
    return dualStack(1, { backend, datapathType, switchName: ifName("ts0"), switchMac, mtu, tunnel, ...more });
  }

  /** Makes the network on every host, with its rules, as the engine's call does. */
  async make(kind: TunnelKindOf, more: Partial<Network> = {}): Promise<void> {
    await Promise.all(this.hosts.map((_, at) => this.makeOn(at + 1, this.network(at + 1, kind, more))));
  }

  /** Makes a network on one host. @returns whether anything had to be changed there. */
  async makeOn(n: number, network: Network): Promise<boolean> {
    const { datapath } = this.host(n).agent;
    const others = this.#besides(n, network);
    await datapath.check(network, others);
    const madeBefore = this.#made.filter((made) => made.n !== n || made.network.id !== network.id);
    this.#made = [...madeBefore, { n, network }];
    await this.#applyRules(n);
    return await datapath.ensureNetwork(network, others);
  }

  /** Gives a network other peers on one host, as `tsnet set` does. */
  async change(n: number, from: Network, to: Network): Promise<void> {
    const { datapath, firewall } = this.host(n).agent;
    this.#made = this.#made.map((made) => (made.n === n && made.network.id === from.id ? { n, network: to } : made));
    this.#containers = this.#containers.map((placed) =>
      placed.n === n && placed.network.id === from.id ? { ...placed, network: to } : placed,
    );
    const registry = { sharersOf: () => this.#besides(n, to), firewallState: () => this.#rulesOf(n) };
    const parts = { registry, datapaths: { bridge: datapath, ovs: datapath }, firewall };
    const records = this.#containersOn(n, to).map(({ endpoint: one }) => ({ endpoint: one, state: "joined" as const }));
    await new ChangeNetwork(parts as unknown as CnmParts).move(to, from, records); // it needs no more of them
  }

  /** Removes a network without containers from one host. */
  async unmakeOn(n: number, network: Network): Promise<void> {
    const others = this.#besides(n, network);
    this.#made = this.#made.filter((made) => made.n !== n || made.network.id !== network.id);
    await this.host(n).agent.datapath.removeNetwork(network, others);
    await this.#applyRules(n);
  }

  /** What tsnet does after its start and now and then (cnm/reconcile.ts): the rules, the networks, their containers' ports. */
  async look(n: number): Promise<void> {
    const { agent, lasting } = this.host(n);
    await this.#applyRules(n);
    for (const network of [...lasting, ...this.#networksOf(n)]) {
      await agent.datapath.ensureNetwork(network, this.#besides(n, network));
      for (const container of this.#containersOn(n, network))
        await agent.datapath.reattach(network, container.endpoint);
    }
  }

  /** Removes containers, networks and what was planted from all hosts. */
  async clear(): Promise<void> {
    const [containers, made] = [this.#containers, this.#made];
    const clearHost = async (host: TunnelHost, n: number) => {
      for (const { network, container } of containers.filter((each) => each.n === n))
        await this.detach(n, network, container);
      for (const { network } of made.filter((each) => each.n === n)) await this.unmakeOn(n, network);
      await host.weed();
    };
    await Promise.all(this.hosts.map((host, at) => clearHost(host, at + 1)));
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
    const fixed = { networkId: network.id, mtu: network.mtu, vlans: network.vlans };
    const attached = endpoint(9 + id, 1, { ...fixed, addressIpv6: `${address[6]}/64`, ...more });
    await agent.firewall.ensureEndpoint({ network, endpoint: attached, ports: [] });
    const free = await agent.datapath.attach(network, attached, this.#besides(n, network));
    await agent.datapath.announce(network, attached);
    const ns = this.#stack.use(await NetNamespace.create("sandbox"));
    await shell(host, [`ip link set ${free} netns ${ns.name}`]);
    await shell(ns, [
      `ip link set ${free} name eth0 address ${attached.mac}; ip address add ${address[4]}/24 dev eth0`,
      isSilent ? "sysctl -qw net.ipv6.conf.all.disable_ipv6=1" : `ip address add ${address[6]}/64 dev eth0 nodad`,
      "ip link set eth0 up",
      ...(network.isHostOnSwitch ? [`ip route add default via ${GATEWAY[4]}`] : []),
      ...(network.isHostOnSwitch && !isSilent ? [`ip route add default via ${GATEWAY[6]}`] : []),
    ]);
    const container = { ns, endpoint: attached, address };
    this.#containers = [...this.#containers, { n, network, container }];
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
    await this.host(n).startAgent();
    await this.look(n);
  }

  /** Hears what passes between the hosts. For `using`. */
  listen(): FrameSocket {
    return FrameSocket.open(this.wire, "lan0");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  #networksOf(n: number): readonly Network[] {
    return this.#made.flatMap((made) => (made.n === n ? [made.network] : []));
  }

  /** The others on the same switch. */
  #besides(n: number, { id, switchName }: Network): readonly Network[] {
    return this.#networksOf(n).filter((other) => other.id !== id && other.switchName === switchName);
  }

  #containersOn(n: number, { id }: Network): readonly TunnelContainer[] {
    return this.#containers.flatMap((placed) => (placed.n === n && placed.network.id === id ? [placed.container] : []));
  }

  async #applyRules(n: number): Promise<void> {
    await this.host(n).agent.firewall.apply(this.#rulesOf(n));
  }

  #rulesOf(n: number): FirewallState {
    const endpoints = this.#containers.flatMap(({ n: at, network, container }): GuardedEndpoint[] =>
      at === n ? [{ network, endpoint: container.endpoint, ports: [] }] : [],
    );
    return { networks: [KEEPER, ...this.host(n).lasting, ...this.#networksOf(n)], endpoints };
  }

  async #requireUnderlay(): Promise<void> {
    for (const [at] of this.hosts.entries()) {
      if (at === 0) continue;
      for (const to of [hostAddress(at + 1), hostAddress(at + 1, 6)]) {
        await waitUntil(`the wire to carry packets to ${to}`, () => canPing(this.host(1).ns, to));
      }
    }
  }
}

/** Pings until an answer comes: what is sent in the first moment of a link may get lost. */
export async function reaches(from: TunnelContainer, to: string, { limitMs = 10_000 } = {}): Promise<true> {
  await waitUntil(`an answer from ${to}`, () => canPing(from.ns, to), { limitMs, intervalMs: 100 });
  return true;
}

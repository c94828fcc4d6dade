// Hosts with an Open vSwitch in userspace each, whose NICs are on one wire, and a network of tsnet with a tunnel between them:
//
//   containers --- tsnet's switch --- tunnel      host 1  nic0 in the switch "lan", which has 192.0.2.1 --- w0  wire
//                                                 host 2                                        192.0.2.2 ---
import type { Network, Tunnel, TunnelKind } from "../../src/cnm/network.ts";
import type { Endpoint } from "../../src/cnm/endpoint.ts";
import { overheadOf } from "../../src/cnm/tunnel.ts";
import { setTxChecksum } from "../../src/host/ethtool.ts";
import type { PortVlans } from "../../src/vlan.ts";
import { dualStack, endpoint, ifName, network } from "./cnm-builder.ts";
import { FrameSocket } from "./frame-capture.ts";
import { NetNamespace } from "./namespace.ts";
import { type OvsDatapathHost, ovsDatapathHost } from "./ovs-datapath-host.ts";
import { canPing, shell } from "./packet-lab.ts";
import { waitUntil } from "./wait-until.ts";

/** A container's place. */
export interface Station {
  readonly ns: NetNamespace;
  readonly endpoint: Endpoint;
}

/** What differs from a VXLAN between two hosts over IPv4. */
export interface TunnelPlan {
  readonly kind?: TunnelKind;
  readonly hosts?: number;
  readonly family?: 4 | 6;
  readonly vlans?: PortVlans;
  /** Who made the switch under the tunnel: `tsnet` by `parent-address=move`, or a user, as for IPv6. */
  readonly underlay?: "tsnet" | "user";
}

/** All of it. Hosts and their NICs are numbered from 1 on. */
export class OvsTunnelStand implements AsyncDisposable {
  readonly wire: NetNamespace;
  readonly hosts: readonly OvsDatapathHost[];
  readonly plan: Required<TunnelPlan>;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    stack: AsyncDisposableStack,
    { wire, hosts, plan }: Pick<OvsTunnelStand, "wire" | "hosts" | "plan">,
  ) {
    [this.#stack, this.wire, this.hosts, this.plan] = [stack, wire, hosts, plan];
  }

  /** With the wire and what is under the tunnel; the network is not there yet. */
  static async up(given: TunnelPlan = {}): Promise<OvsTunnelStand> {
    const family = given.family ?? 4;
    const underlay = given.underlay ?? (family === 6 ? "user" : "tsnet");
    const plan = { kind: "vxlan", hosts: 2, vlans: {}, ...given, family, underlay } as const;
    await using stack = new AsyncDisposableStack();
    const wire = stack.use(await NetNamespace.create("wire"));
    await shell(wire, ["ip link add w0 type bridge; ip link set w0 up"]);
    const hosts: OvsDatapathHost[] = [];
    for (let n = 1; n <= plan.hosts; n++) {
      const host = stack.use(await ovsDatapathHost());
      hosts.push(host);
      await shell(wire, [
        `ip link add h${n} type veth peer name nic0 netns ${host.namespace.name}; ip link set h${n} master w0 up`,
      ]);
      await wire.enter(() => setTxChecksum(`h${n}`, false));
      await connect(host, n, underlay);
    }
    const stand = new OvsTunnelStand(stack.move(), { wire, hosts, plan });
    if (hosts.length > 1) await stand.#requireUnderlay();
    return stand;
  }

  /** The n-th host. */
  host(n: number): OvsDatapathHost {
    const host = this.hosts[n - 1];
    if (host === undefined) throw new Error(`no host ${n}`);
    return host;
  }

  /** The network as the n-th host has it: each has a MAC address of its own for the gateway. */
  network(n: number, more: Partial<Network> = {}): Network {
    const { kind, family, vlans } = this.plan;
    const address = (host: number) => (family === 4 ? `192.0.2.${host}` : `2001:db8::${host}`);
    const peers = this.hosts.flatMap((_, at) => (at + 1 === n ? [] : [address(at + 1)]));
    const ports = { vxlan: 4789, geneve: 6081, gre: undefined } as const;
    const port = ports[kind];
    const tunnel: Tunnel = { kind, vni: 77, ...(port !== undefined && { port }), local: address(n), peers };
    const mtu = 1500 - overheadOf(tunnel, family, vlans);
    return dualStack(1, {
      backend: "ovs",
      switchName: ifName("net1"),
      switchMac: `02:aa:00:00:00:0${n}`,
      vlans,
      tunnel,
      mtu,
      ...more,
    });
  }

  /** Makes the network on all hosts. */
  async make(more: Partial<Network> = {}): Promise<void> {
    for (const [at, { datapath }] of this.hosts.entries()) {
      const made = this.network(at + 1, more);
      await datapath.check(made, []);
      await datapath.ensureNetwork(made, []);
    }
  }

  /** The n-th container, on that host, with 10.1.1.(n+1) and fd00:1:1::(n+1). */
  async attach(on: number, n: number, more: Partial<Network> = {}, of: Partial<Endpoint> = {}): Promise<Station> {
    const made = this.network(on, more);
    const { vlan } = made.vlans;
    const vlans = vlan === undefined ? {} : { vlan };
    const addressIpv6 = `fd00:1:1::${n + 1}/64`;
    const attached = endpoint(n, 1, { mtu: made.mtu, addressIpv6, vlans, ...of });
    const host = this.host(on);
    const free = await host.datapath.attach(made, attached, []);
    const ns = this.#stack.use(await NetNamespace.create("box"));
    await shell(host.namespace, [`ip link set ${free} netns ${ns.name}`]);
    await shell(ns, [
      `ip link set ${free} name eth0 address ${attached.mac}`,
      `ip address add ${attached.address} dev eth0; ip address add ${addressIpv6} dev eth0 nodad`,
      "ip link set eth0 up; ip route add default via 10.1.1.1",
    ]);
    return { ns, endpoint: attached };
  }

  /** What a host puts on the wire from now on. The caller disposes of it. */
  listen(n: number): FrameSocket {
    return FrameSocket.open(this.wire, `h${n}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #requireUnderlay(): Promise<void> {
    const from = this.host(1).namespace;
    for (let n = 2; n <= this.hosts.length; n++) {
      await waitUntil("the wire to carry packets", () => canPing(from, `192.0.2.${n}`));
      await waitUntil("the wire to carry packets of IPv6", () => canPing(from, `2001:db8::${n}`));
    }
  }
}

/** Gives a host its place on the wire. */
async function connect(
  { namespace, datapath, ovs }: OvsDatapathHost,
  n: number,
  underlay: "tsnet" | "user",
): Promise<void> {
  const addresses = (link: string) =>
    `ip address add 192.0.2.${n}/24 dev ${link}; ip address add 2001:db8::${n}/64 dev ${link} nodad`;
  await shell(namespace, ["ip link set nic0 up"]);
  if (underlay === "user") {
    await ovs.vsctl("add-br", "under", "--", "set", "bridge", "under", "datapath_type=netdev");
    await ovs.vsctl("add-port", "under", "nic0");
    await shell(namespace, ["ip link set under up", addresses("under")]);
    return;
  }
  await shell(namespace, [addresses("nic0")]);
  const lan = lanNetwork();
  await datapath.check(lan, []);
  await datapath.ensureNetwork(lan, []);
}

/** The network that has the NIC. */
export function lanNetwork(): Network {
  const uplink = { parent: ifName("nic0"), isAddressMoved: true };
  return network(9, { backend: "ovs", mode: "l2", switchName: ifName("lan"), uplink });
}

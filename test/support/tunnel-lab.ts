// Two hosts whose containers share a network by a tunnel, and a stranger, all on one wire. The tunnel's links are made by ip(8),
// as tsnet's datapath would make them; rules and all the rest are tsnet's. On host a is another network besides, whose containers
// may forge what they send.
//
//   a  192.0.2.10, 2001:db8::10   guest 10.1.1.2, fd00:1:1::2   intruder 10.1.2.2, fd00:1:2::2
//   b  192.0.2.11, 2001:db8::11   guest 10.1.1.3, fd00:1:1::3
//   stranger 192.0.2.66, 2001:db8::66
//
// The gateway of the shared network is 10.1.1.1 and fd00:1:1::1 on both hosts, with another MAC address on each.
import { tunnelLinkName } from "../../src/cnm/names.ts";
import type { Network, Tunnel, TunnelKind } from "../../src/cnm/network.ts";
import { LINK_GROUP } from "../../src/link-group.ts";
import type { PortVlans } from "../../src/vlan.ts";
import { dualStack, endpoint } from "./cnm-builder.ts";
import { FrameSocket } from "./frame-capture.ts";
import { type HostAgent, startHostAgent } from "./host-agent.ts";
import { NetNamespace } from "./namespace.ts";
import { canPing, shell } from "./packet-lab.ts";
import { waitUntil } from "./wait-until.ts";

type ByFamily = Readonly<Record<4 | 6, string>>;

/** The gateway of the shared network, on either host. */
export const GATEWAY: ByFamily = { 4: "10.1.1.1", 6: "fd00:1:1::1" };

/** What the tunnel of the lab is. */
export interface TunnelForm {
  readonly kind: TunnelKind;
  /** Of the hosts' own addresses. */
  readonly family: 4 | 6;
  /** Of the network; default: none. */
  readonly vlans?: PortVlans;
}

export const VNI = 77;
export const PORTS = { vxlan: 4789, geneve: 6081 } as const;

/** A machine on the wire. */
export interface Machine {
  readonly namespace: NetNamespace;
  /** Its `lan0`, and the hub's end of it, which hears what it sends. */
  readonly mac: string;
  readonly wire: string;
  readonly address: ByFamily;
}

/** A host with tsnet. */
export interface TunnelHost extends Machine {
  readonly agent: HostAgent;
  readonly network: Network;
  /** The tunnel's link. */
  readonly link: string;
  readonly guest: Guest;
}

/** A container. */
export interface Guest {
  readonly namespace: NetNamespace;
  readonly mac: string;
  readonly address: ByFamily;
}

const machine = (n: number, last: number) => ({
  mac: `02:aa:00:00:00:0${n}`,
  wire: `to${n}`,
  address: { 4: `192.0.2.${last}`, 6: `2001:db8::${last}` },
});
const [A, B, STRANGER] = [machine(1, 10), machine(2, 11), machine(3, 66)];

/** A network without a tunnel. */
export const INTRUDERS = dualStack(2, { isGuarded: false, mtu: 1400 });

/** All of it. Disposing of it takes it down. */
export class TunnelLab implements AsyncDisposable {
  readonly form: TunnelForm;
  readonly hub: NetNamespace;
  readonly a: TunnelHost;
  readonly b: TunnelHost;
  readonly stranger: Machine;
  readonly intruder: Guest;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    stack: AsyncDisposableStack,
    parts: Pick<TunnelLab, "form" | "hub" | "a" | "b" | "stranger" | "intruder">,
  ) {
    this.#stack = stack;
    ({
      form: this.form,
      hub: this.hub,
      a: this.a,
      b: this.b,
      stranger: this.stranger,
      intruder: this.intruder,
    } = parts);
  }

  static async up(form: TunnelForm): Promise<TunnelLab> {
    await using stack = new AsyncDisposableStack();
    const [hub, inA, inB, inStranger] = await Promise.all(
      ["hub", "a", "b", "stranger"].map(async (label) => stack.use(await NetNamespace.create(label))),
    );
    if (hub === undefined || inA === undefined || inB === undefined || inStranger === undefined)
      throw new Error("four");
    await shell(hub, ["ip link add lan type bridge mcast_snooping 0", "ip link set lan up"]);
    for (const [namespace, at] of [
      [inA, A],
      [inB, B],
      [inStranger, STRANGER],
    ] as const)
      await cable(hub, namespace, at);
    const a = await hostIn(stack, form, inA, A, B, [1, INTRUDERS]);
    const b = await hostIn(stack, form, inB, B, A, [2]);
    const intruder = await guestOn(stack, a, INTRUDERS, 1);
    const stranger = { ...STRANGER, namespace: inStranger };
    for (const to of Object.values(b.guest.address)) {
      await waitUntil(`the guest of the other host to answer at ${to}`, () => canPing(a.guest.namespace, to));
    }
    return new TunnelLab(stack.move(), { form, hub, a, b, stranger, intruder });
  }

  /** Hears what a machine sends on the wire. For `using`. */
  wireOf({ wire }: Machine): FrameSocket {
    return FrameSocket.open(this.hub, wire);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

async function cable(
  hub: NetNamespace,
  at: NetNamespace,
  { mac, wire, address }: Omit<Machine, "namespace">,
): Promise<void> {
  await shell(hub, [
    `ip link add ${wire} master lan type veth peer name lan0 address ${mac} netns ${at.name}`,
    `ip link set ${wire} up`,
  ]);
  await shell(at, [
    "sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
    `ip address add ${address[4]}/24 dev lan0; ip address add ${address[6]}/64 dev lan0 nodad`,
    "ip link set lan0 up",
  ]);
}

type Unmanned = Omit<TunnelHost, "guest">;

async function hostIn(
  stack: AsyncDisposableStack,
  { kind, family, vlans = {} }: TunnelForm,
  namespace: NetNamespace,
  own: Omit<Machine, "namespace">,
  peer: Omit<Machine, "namespace">,
  [n, ...others]: readonly [n: number, ...others: Network[]],
): Promise<TunnelHost> {
  const tunnel: Tunnel = {
    kind,
    vni: VNI,
    ...(kind !== "gre" && { port: PORTS[kind] }),
    local: own.address[family],
    peers: [peer.address[family]],
  };
  const isGuarded = vlans.trunk === undefined;
  const plain = dualStack(1, { mtu: 1400, switchMac: `02:bb:00:00:00:0${n}`, vlans, isGuarded });
  const network = { ...plain, tunnel };
  const agent = await startHostAgent(namespace);
  for (const each of [plain, ...others]) await agent.datapath.ensureNetwork(each, []);
  await agent.firewall.apply({ networks: [network, ...others], endpoints: [] });
  const link =
    kind === "vxlan"
      ? tunnelLinkName(network.switchName, tunnel)
      : tunnelLinkName(network.switchName, tunnel, peer.address[family]);
  await shell(namespace, linkCommands(link, tunnel, network));
  const host: Unmanned = { ...own, namespace, agent, network, link };
  return { ...host, guest: await guestOn(stack, host, network, n) };
}

/** As the datapath makes them. */
function linkCommands(link: string, { kind, local, peers, port }: Tunnel, { switchName, vlans }: Network): string[] {
  const [peer = ""] = peers;
  const grekind = local.includes(":") ? "ip6gretap" : "gretap";
  const made = {
    vxlan: `type vxlan id ${VNI} dstport ${port} local ${local}`,
    geneve: `type geneve id ${VNI} dstport ${port} remote ${peer}`,
    gre: `type ${grekind} key ${VNI} local ${local} remote ${peer}`,
  };
  return [
    `ip link add ${link} group ${LINK_GROUP} ${made[kind]}`,
    ...(kind === "vxlan" ? [`bridge fdb append 00:00:00:00:00:00 dev ${link} dst ${peer}`] : []),
    `ip link set ${link} mtu 1400 addrgenmode none master ${switchName}`,
    `bridge link set dev ${link} isolated on`,
    ...(vlans.vlan === undefined ? [] : [`bridge vlan add dev ${link} vid ${vlans.vlan} pvid untagged`]),
    ...(vlans.trunk ?? []).map((vid) => `bridge vlan add dev ${link} vid ${vid}`),
    `ip link set ${link} up`,
  ];
}

async function guestOn(
  stack: AsyncDisposableStack,
  { agent, namespace }: Unmanned,
  on: Network,
  n: number,
): Promise<Guest> {
  const net = on === INTRUDERS ? 2 : 1;
  const address = { 4: `10.1.${net}.${n + 1}`, 6: `fd00:1:${net}::${n + 1}` };
  const attached = endpoint(n + 10 * net, net, {
    address: `${address[4]}/24`,
    addressIpv6: `${address[6]}/64`,
    mac: `02:42:0a:01:0${net}:0${n + 1}`,
    mtu: on.mtu,
    vlans: on.vlans,
  });
  await agent.firewall.ensureEndpoint({ network: on, endpoint: attached, ports: [] });
  const { tunnel: _, ...plain } = on;
  const free = await agent.datapath.attach(plain, attached, []);
  const guest = stack.use(await NetNamespace.create("guest"));
  await shell(namespace, [`ip link set ${free} netns ${guest.name}`]);
  await shell(guest, [
    `ip link set ${free} name eth0`,
    `ip address add ${attached.address} dev eth0; ip address add ${attached.addressIpv6} dev eth0 nodad`,
    "ip link set eth0 up",
    ...on.pools.map(({ gateway }) => `ip route add default via ${gateway}`),
  ]);
  return { namespace: guest, mac: attached.mac, address };
}

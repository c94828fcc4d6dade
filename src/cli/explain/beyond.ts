// What leaves this host: by a tunnel to its peers, by the uplink of a switch, or routed by a link of the host's.
import { type SwitchQuestion, admitted, askSwitch, frameOfHost, isInOrder } from "./ask-switch.ts";
import { type Facts, type Place, type Way, findPlace, gatewayOf, isOf, networkBehind, networkOf } from "./facts.ts";
import { noteRules } from "./firewall.ts";
import { Trace } from "./hop.ts";
import { passLink, requireUp } from "./host-link.ts";
import { familyOf, linkNamed, macAt } from "./machine.ts";
import type { Packet } from "./packet.ts";
import type { Onward } from "./routing.ts";
import { runHook, translate } from "./rule-run.ts";
import type { Departure } from "./sender.ts";

/** Bytes that a tunnel takes of each packet at least, over IPv4 (README, Tunnels). */
const OVERHEAD: Readonly<Record<string, number>> = { vxlan: 50, geneve: 50, gretap: 38, ip6gretap: 38, gre: 38 };
const MORE_OVER_IPV6 = 20;

/** From a container's segment, to somebody who is in no container of this host. */
export async function leaveSegment(way: Way, departure: Departure, nextHop: string, since: number): Promise<void> {
  const { trace, facts } = way;
  const { network, endpoint } = departure.place;
  const tunnels = tunnelsOf(facts, network.switch);
  const packet = admitted(departure.packet, departure.place);
  const frame = { inPort: endpoint.hostLink, packet, destinationMac: departure.nextHopMac, network, since };
  if (tunnels.length > 0 && isOf(network, nextHop)) {
    await askSwitch(way, { ...frame, to: "tunnel" });
    for (const tunnel of tunnels) await passTunnel(way, tunnel, network.mtu);
    return;
  }
  const { parent } = network;
  if (parent !== undefined) return await leaveByUplink(way, parent, frame);
  const isHostThere = network.mode === "nat" || network.mode === "routed";
  const family = familyOf(nextHop);
  if (isHostThere && gatewayOf(facts, network, family) === undefined) {
    const what = `the host has not the gateway's address ${nextHop} on ${network.switch}; tsnet puts it back when it runs`;
    return trace.stop("host link", "probed", what);
  }
  trace.stop("switch", "known", `nobody on network ${network.name} has the address ${nextHop}`);
}

/** Whether frames of the network leave this host. */
export function leadsOut(facts: Facts, { parent, switch: switchName }: Place["network"]): boolean {
  return parent !== undefined || tunnelsOf(facts, switchName).length > 0;
}

/** A tunnel's link, and where it leads. */
interface Tunnel {
  readonly link: string;
  readonly kind: string;
  readonly peers: readonly string[];
}

function tunnelsOf({ host, switching }: Facts, switchName: string): readonly Tunnel[] {
  const links = host.links.filter(({ master, kind }) => master === switchName && kind in OVERHEAD);
  const onBridge = links.map(({ name, kind, remote }) => ({
    link: name,
    kind,
    peers:
      remote === undefined
        ? switching.fdb.flatMap((each) => (each.link === name ? (each.remote ?? []) : []))
        : [remote],
  }));
  const ports = typeof switching.ovs === "object" ? switching.ovs : [];
  const onOvs = ports.filter(({ bridge, remotes }) => bridge === switchName && remotes.length > 0);
  return [...onBridge, ...onOvs.map(({ name, kind, remotes }) => ({ link: name, kind, peers: remotes }))];
}

async function passTunnel(way: Way, { link: name, kind, peers }: Tunnel, mtu: number): Promise<void> {
  const { trace, facts } = way;
  const own = linkNamed(facts.host, name); // a port of Open vSwitch has no link of that name
  if (own?.isUp === false) {
    return trace.stop("tunnel", "probed", `the tunnel's link ${name} is down`, `ip link set ${name} up`);
  }
  if (own !== undefined && own.mtu < mtu) {
    const what = `the tunnel's link ${name} has MTU ${own.mtu}, its network ${mtu}: large packets are lost`;
    trace.stop("tunnel", "probed", what, `ip link set ${name} mtu ${mtu}`);
  }
  const ways = await Promise.all([...new Set(peers)].map((peer) => toPeer(facts, name, kind, peer, mtu)));
  const isSomeOpen = ways.some((each) => each.verdict().arrives);
  for (const { text, ok, mark, fix } of ways.flatMap(({ hops }) => hops)) {
    if (ok || !isSomeOpen) trace.hops.push({ hop: "tunnel", text, ok, mark, ...(fix !== undefined && { fix }) });
    else trace.pass("tunnel", mark, `not to another peer: ${text}`);
  }
}

/** Who has the address is not known here: a peer to which there is no way may not be the one. */
async function toPeer(facts: Facts, name: string, kind: string, peer: string, mtu: number): Promise<Trace> {
  const trace = new Trace();
  const route = await facts.host.findRoute({ to: peer });
  if (typeof route === "string") {
    trace.stop("tunnel", "probed", `the host has no route to the tunnel's peer ${peer} (${route})`);
    return trace;
  }
  const out = passLink({ facts, trace }, "tunnel", route.link, route.via ?? peer);
  const room = (out?.mtu ?? mtu) - (OVERHEAD[kind] ?? 0) - (familyOf(peer) === 6 ? MORE_OVER_IPV6 : 0);
  if (out !== undefined && route.link !== "lo" && room < mtu) {
    const what = `the way to the peer ${peer} by ${out.name} has room for ${room} bytes, the network's MTU is ${mtu}`;
    trace.stop("tunnel", "probed", what);
  }
  if (trace.hops.length > 0) return trace;
  const what = `by ${name} to the peer ${peer}, which the host reaches by ${route.link}; what is there tsnet sees not`;
  trace.pass("tunnel", "probed", what);
  return trace;
}

async function leaveByUplink(way: Way, parent: string, frame: Omit<SwitchQuestion, "to">): Promise<void> {
  const isUsable = isInOrder(way, (ahead) => passUplink(ahead, parent, frame.network.switch));
  if (isUsable) await askSwitch(way, { ...frame, to: { port: parent } });
  passUplink(way, parent, frame.network.switch);
}

function passUplink(way: Way, parent: string, switchName: string): void {
  const { trace, facts } = way;
  const before = trace.hops.length;
  const link = requireUp(way, "uplink", parent, "uplink");
  if (link?.isUp === true && !link.hasCarrier) {
    trace.stop("uplink", "probed", `uplink ${parent} has no carrier: nobody is at the other end of the cable`);
  }
  const { ovs } = facts.switching;
  const isIn = typeof ovs === "object" && ovs.some(({ name, bridge }) => name === parent && bridge === switchName);
  if (link !== undefined && link.master !== switchName && !isIn) {
    trace.stop(
      "uplink",
      "probed",
      `uplink ${parent} is not in the switch ${switchName}; tsnet puts it back when it runs`,
    );
  }
  if (trace.hops.length > before) return;
  trace.pass("uplink", "probed", `it leaves by uplink ${parent}; what is behind it tsnet sees not`);
}

/** Routed by the host, to somebody who is in no container. */
export async function leaveHost(way: Way, { packet, nextHop, outLink }: Onward): Promise<void> {
  const { trace, facts } = way;
  const since = trace.hops.length;
  const network = networkBehind(facts, outLink);
  if (network !== undefined && network.parent === undefined) {
    return trace.stop("switch", "known", `nobody on network ${network.name} has the address ${nextHop}`);
  }
  checkElsewhere(way, packet.destination, outLink);
  passLink(way, "uplink", outLink, nextHop);
  if (network?.parent !== undefined) {
    const destinationMac = macAt(facts.host, nextHop, outLink);
    await leaveByUplink(way, network.parent, {
      network,
      ...frameOfHost(facts, outLink, packet),
      destinationMac,
      since,
    });
  }
  const late = runHook(facts.host, "postrouting", packet, packet.family);
  noteRules(way, "firewall", late);
  sayTranslation(way, late.packet);
  trace.pass("beyond", "known", `it leaves this host by ${outLink}; what becomes of it there tsnet sees not`);
}

/** A container of this host to which the host has no way: it may have one by what is behind the switch's uplink. */
function checkElsewhere({ trace, facts }: Way, destination: string, outLink: string): void {
  const network = findPlace(facts, destination)?.network;
  if (network === undefined || network.parent !== undefined) return;
  const what = `${destination} is on network ${network.name} (${network.mode}), and link ${outLink} does not lead there`;
  trace.stop("routing", "known", what);
}

function sayTranslation({ trace, facts }: Way, packet: Packet): void {
  const translation = translate(facts.host, "postrouting", packet);
  const own = networkOf(facts, packet.source);
  if (translation !== undefined) {
    const to = translation.kind === "masquerade" ? "the host's address" : "another address";
    return trace.pass("nat", "probed", `it gets ${to} as its source, by ${translation.by}`);
  }
  if (own === undefined) return;
  const what = `it leaves from ${packet.source}: who answers needs a route to ${own.subnets.join(", ")} by this host`;
  trace.pass("nat", "probed", what);
}

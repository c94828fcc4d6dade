// The whole way of a packet, from step to step.
import type { Family } from "../../cidr.ts";
import { leadsOut, leaveHost, leaveSegment } from "./beyond.ts";
import { type Container, type Facts, type Way, findPlace, gatewayOf, leadsTo, networkBehind } from "./facts.ts";
import { admitted, askSwitch, frameOfHost, isInOrder } from "./ask-switch.ts";
import { noteRules } from "./firewall.ts";
import { Trace } from "./hop.ts";
import { checkHostNeighbour, checkHostTag, requireUp } from "./host-link.ts";
import { familyOf, linkNamed, linkWith, macAt } from "./machine.ts";
import type { Packet, Protocol } from "./packet.ts";
import { checkIdentity, crossSwitch, passPort } from "./port.ts";
import { arriveAt, receive } from "./receiver.ts";
import { type Onward, enterHost, publish, reachHost } from "./routing.ts";
import { runHook } from "./rule-run.ts";
import { type Departure, leaveContainer } from "./sender.ts";

/** Who sends. `outside`: somebody behind the host's own uplink. */
export type Sender =
  | { readonly kind: "container"; readonly container: Container }
  | { readonly kind: "host" | "outside" };

/** What is asked. */
export interface Question {
  readonly from: Sender;
  /** Bare address. */
  readonly to: string;
  readonly protocol: Protocol;
  readonly port?: number;
}

/** Where `outside` asks from: addresses for documentation, which nobody has (RFC 5737, RFC 3849). */
const SOMEBODY = { 4: "198.51.100.77", 6: "2001:db8:2::77" } as const satisfies Record<Family, string>;

/** Follows it. */
export async function explainPath(facts: Facts, { from, to, protocol, port }: Question): Promise<Trace> {
  const way: Way = { facts, trace: new Trace() };
  const packet = {
    family: familyOf(to),
    protocol,
    destination: to,
    ...(port !== undefined && { port }),
    mark: 0,
    isTranslated: false,
  };
  if (from.kind === "container") await fromContainer(way, from.container, packet);
  else if (from.kind === "host") await fromHost(way, packet);
  else await fromOutside(way, packet);
  return way.trace;
}

async function fromContainer(way: Way, container: Container, packet: Omit<Packet, "source">): Promise<void> {
  const departure = await leaveContainer(way, container, packet);
  if (departure === undefined) return;
  if (departure === "self") return await receive(way, container, { ...packet, source: packet.destination });
  const since = way.trace.hops.length;
  passPort(way, departure.place);
  checkIdentity(way, departure, container.enter);
  await passSegment(way, departure, since);
}

async function passSegment(way: Way, departure: Departure, since: number): Promise<void> {
  const { facts, trace } = way;
  const { place, packet, nextHop } = departure;
  if (nextHop === undefined) return;
  const neighbour = findPlace(facts, nextHop, place.network);
  const isHere = neighbour?.network.switch === place.network.switch || !leadsOut(facts, place.network);
  if (neighbour !== undefined && isHere) {
    await crossSwitch(way, departure, neighbour, since);
    if (nextHop === packet.destination) return await arriveAt(way, neighbour, packet);
    const who = neighbour.endpoint.container?.name ?? nextHop;
    return trace.pass("receiver", "known", `${who} is to send it on; what becomes of it there is not known`);
  }
  const hostLink = linkWith(facts.host, nextHop);
  if (hostLink === undefined || !leadsTo(facts, hostLink.name, place)) {
    return await leaveSegment(way, departure, nextHop, since);
  }
  requireUp(way, "host link", hostLink.name, "the host's link");
  checkHostTag(way, hostLink.name, place);
  const frame = { inPort: place.endpoint.hostLink, packet: admitted(packet, place), destinationMac: hostLink.mac };
  await askSwitch(way, { network: place.network, ...frame, to: { port: hostLink.name }, since });
  await passHost(way, { ...packet, inLink: hostLink.name });
}

async function passHost(way: Way, packet: Packet): Promise<void> {
  const entered = await enterHost(way, packet);
  if (entered.kind === "onward") await follow(way, entered.onward);
  if (entered.kind === "host") await arriveOnHost(way, entered.packet);
}

/** On the host; from there to a container if tsnet relays it. */
async function arriveOnHost(way: Way, packet: Packet): Promise<void> {
  const relay = reachHost(way, packet);
  if (relay === undefined) return;
  const { protocol } = packet;
  const relayed = { family: familyOf(relay.address), protocol, destination: relay.address, port: relay.port };
  await fromHost(way, { ...relayed, mark: 0, isTranslated: false });
}

/** What the host sends on or sends itself. */
async function follow(way: Way, onward: Onward): Promise<void> {
  const { facts } = way;
  const { packet, nextHop, outLink } = onward;
  const place = findPlace(facts, nextHop, networkBehind(facts, outLink));
  if (place === undefined || !leadsTo(facts, outLink, place)) return await leaveHost(way, onward);
  const since = way.trace.hops.length;
  const { network, endpoint } = place;
  checkHostTag(way, outLink, place);
  checkHostNeighbour(way, place, nextHop, outLink);
  if (isInOrder(way, (ahead) => passPort(ahead, place))) {
    const frame = { ...frameOfHost(facts, outLink, packet), destinationMac: endpoint.mac };
    await askSwitch(way, { network, ...frame, to: { port: endpoint.hostLink }, since });
  }
  await arriveAt(way, place, packet);
}

async function fromHost(way: Way, packet: Omit<Packet, "source">): Promise<void> {
  const { facts, trace } = way;
  const sent = publish(way, "output", { ...packet, source: "" });
  const route = await facts.host.findRoute({ to: sent.destination });
  if (typeof route === "string") {
    return trace.stop("routing", "probed", `the host has no route to ${sent.destination} (${route})`);
  }
  const source = route.source ?? sent.destination;
  if (route.isLocal) return await arriveOnHost(way, { ...sent, source, inLink: "lo" });
  const leaving = { ...sent, source, outLink: route.link };
  const via = route.via === undefined ? "directly" : `to the router ${route.via}`;
  trace.pass("routing", "probed", `the host sends it from ${source} by link ${route.link}, ${via}`);
  noteRules(way, "firewall", runHook(facts.host, "output", leaving, leaving.family));
  await follow(way, { packet: leaving, nextHop: route.via ?? sent.destination, outLink: route.link });
}

/** By the link with the host's address that is asked for, or else with its default route. */
async function fromOutside(way: Way, packet: Omit<Packet, "source">): Promise<void> {
  const { facts, trace } = way;
  const route = await facts.host.findRoute({ to: SOMEBODY[packet.family] });
  const asked = linkWith(facts.host, packet.destination);
  const isOuter = asked !== undefined && asked.name !== "lo" && networkBehind(facts, asked.name) === undefined;
  const inLink = isOuter ? asked.name : typeof route === "string" ? undefined : route.link;
  if (inLink === undefined) {
    const none = "the host has no default route: nobody outside reaches it, or gets an answer";
    return trace.stop("uplink", "probed", none);
  }
  const link = requireUp(way, "uplink", inLink, "link");
  if (link?.isUp === true && !link.hasCarrier) {
    trace.stop("uplink", "probed", `link ${inLink} has no carrier: nobody is at the other end of the cable`);
  }
  const router = typeof route !== "string" && route.link === inLink ? route.via : undefined;
  const source = router ?? SOMEBODY[packet.family];
  const what = `it comes to ${packet.destination} by link ${inLink}, from ${source} or another one there`;
  trace.pass("uplink", "probed", what);
  await crossUplink(way, { ...packet, source }, inLink);
  await passHost(way, { ...packet, source, inLink });
}

/** An uplink in whose place the host has a port of the switch (`parent-address=move`). */
async function crossUplink(way: Way, packet: Packet, inLink: string): Promise<void> {
  const { host } = way.facts;
  const network = networkBehind(way.facts, inLink);
  const destinationMac = linkNamed(host, inLink)?.mac;
  if (network?.parent === undefined) return;
  const sourceMac = macAt(host, packet.source, inLink);
  const frame = { packet: { ...packet, ...(sourceMac !== undefined && { sourceMac }) }, destinationMac };
  const { parent: inPort, vlan } = network;
  const since = way.trace.hops.length;
  await askSwitch(way, { network, inPort, ...frame, ...(vlan !== undefined && { vlan }), to: { port: inLink }, since });
}

/** The host's address that is meant by `host`, as seen from there. */
export async function addressOfHost(facts: Facts, from: Sender, family: Family): Promise<string | undefined> {
  if (from.kind === "host") return family === 4 ? "127.0.0.1" : "::1";
  if (from.kind === "container") {
    for (const { network } of from.container.places) {
      const gateway = gatewayOf(facts, network, family);
      if (gateway !== undefined) return gateway.address;
    }
  }
  const route = await facts.host.findRoute({ to: SOMEBODY[family] });
  return typeof route === "string" ? undefined : route.source;
}

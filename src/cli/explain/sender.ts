// A packet leaves a container: by which link, to which router, from which address. Where the container cannot send it, the
// way goes on from the place where it should have left.
import { bare } from "../words.ts";
import { type Container, type Place, type Way, findPlace, gatewayOf, isOf, linkOfPlace } from "./facts.ts";
import { type Link, type Machine, type Route, familyOf, linkWith, macAt } from "./machine.ts";
import type { Packet } from "./packet.ts";
import { runHook } from "./rule-run.ts";

/** How it left. */
export interface Departure {
  readonly place: Place;
  readonly packet: Packet;
  /** The container's link. */
  readonly link?: string;
  /** Bare: the destination, or the router that shall know more; absent if there is none. */
  readonly nextHop?: string;
  /** As the container has it in its neighbour table. */
  readonly nextHopMac?: string;
}

/** @returns undefined where it leaves by no link of tsnet's, or not at all; `self` when it is meant for the container itself. */
export async function leaveContainer(
  way: Way,
  container: Container,
  packet: Omit<Packet, "source">,
): Promise<Departure | "self" | undefined> {
  const { facts, trace } = way;
  const { name, machine, places } = container;
  if (machine === undefined) {
    trace.stop("container", "probed", `${name} does not run`, `docker start ${name}`);
    return undefined;
  }
  const route = await machine.findRoute({ to: packet.destination });
  if (typeof route !== "string" && route.isLocal) {
    trace.pass("container", "probed", `${packet.destination} is an address of ${name} itself`);
    return "self";
  }
  const place = typeof route === "string" ? undefined : placeBehind(way, machine, places, route);
  if (typeof route !== "string" && place === undefined) {
    const what = `${name} sends it by ${route.link}, which is no link of tsnet's: what becomes of it there is not known`;
    trace.stop("container", "probed", what);
    return undefined;
  }
  const used = place ?? expectedPlace(places, packet.destination);
  if (used === undefined) return undefined;
  const link = linkOfPlace(facts, machine, used);
  sayPlace(way, name, used);
  const isUsable = checkLink(way, container, used, link, familyOf(packet.destination));
  const nextHop = hopAfter(way, container, used, packet.destination, route, isUsable);
  const own = sourceOf(used, packet.destination);
  const chosen = typeof route === "string" ? undefined : route.source;
  const sent: Packet = { ...packet, source: chosen ?? own, sourceMac: link?.mac ?? used.endpoint.mac };
  if (link !== undefined) {
    checkNeighbour(way, container, link, used, nextHop ?? packet.destination);
    checkOwnRules(way, container, { ...sent, outLink: link.name });
  }
  const nextHopMac = nextHop && link && macAt(machine, nextHop, link.name);
  return {
    place: used,
    packet: sent,
    ...(link !== undefined && { link: link.name }),
    ...(nextHop !== undefined && { nextHop }),
    ...(nextHopMac !== undefined && { nextHopMac }),
  };
}

function placeBehind({ facts }: Way, machine: Machine, places: readonly Place[], route: Route): Place | undefined {
  return places.find((place) => linkOfPlace(facts, machine, place)?.name === route.link);
}

function sayPlace({ trace }: Way, name: string, { network, endpoint }: Place): void {
  const mode = network.isInternal ? `${network.mode}, internal` : network.mode;
  const addresses = endpoint.addresses.length === 0 ? "" : ` as ${endpoint.addresses.map(bare).join(", ")}`;
  trace.pass("container", "known", `${name} is on network ${network.name} (${mode})${addresses}`);
}

/** The one that it should take: where the destination is, else where there is a way out. */
function expectedPlace(places: readonly Place[], destination: string): Place | undefined {
  const near = places.find(({ network }) => isOf(network, destination));
  const open = places.find(({ network }) => !network.isInternal && network.mode !== "isolated");
  return near ?? open ?? places[0];
}

/** The endpoint's own address of that family; "" if it has none. */
function sourceOf({ endpoint }: Place, destination: string): string {
  return endpoint.addresses.map(bare).find((address) => familyOf(address) === familyOf(destination)) ?? "";
}

/** @returns whether the link is up. */
function checkLink(
  { trace }: Way,
  { name, enter }: Container,
  { network, endpoint }: Place,
  link: Link | undefined,
  family: 4 | 6,
): boolean {
  if (link === undefined) {
    const fix = `docker network disconnect ${network.name} ${name}; docker network connect ${network.name} ${name}`;
    trace.stop("container", "probed", `${name} has no link of network ${network.name} any more`, fix);
    return false;
  }
  if (!link.isUp) {
    trace.stop("container", "probed", `link ${link.name} of ${name} is down`, `${enter} ip link set ${link.name} up`);
  }
  for (const recorded of endpoint.addresses.filter((each) => familyOf(each) === family)) {
    if (link.addresses.some(({ address }) => address === bare(recorded))) continue;
    const what = `link ${link.name} of ${name} has not the address ${bare(recorded)} that tsnet gave out for it`;
    trace.stop("container", "probed", what, `${enter} ip address add ${recorded} dev ${link.name}`);
  }
  return link.isUp;
}

function hopAfter(
  { facts, trace }: Way,
  { name, enter }: Container,
  place: Place,
  destination: string,
  route: Route | string,
  isUsable: boolean,
): string | undefined {
  const { network } = place;
  if (typeof route !== "string") {
    const via = route.via === undefined ? "directly" : `to the router ${route.via}`;
    const from = route.source === undefined ? "" : ` from ${route.source}`;
    trace.pass("container", "probed", `${name} sends it${from} by link ${route.link}, ${via}`);
    return route.via ?? destination;
  }
  const isNear = isOf(network, destination);
  const gateway = gatewayOf(facts, network, familyOf(destination))?.address;
  if (isUsable) {
    const why = network.isInternal ? ": its network is internal" : network.mode === "isolated" ? ": mode isolated" : "";
    const canMend = why === "" && !isNear && gateway !== undefined;
    const fix = canMend ? `${enter} ip route add default via ${gateway}` : undefined;
    trace.stop("container", "probed", `${name} has no route to ${destination} (${route})${why}`, fix);
  }
  return isNear ? destination : gateway;
}

/** What was typed into the neighbour table holds, wrong or not. What failed is asked again with the next packet. */
function checkNeighbour(
  { trace, facts }: Way,
  { name, enter, machine }: Container,
  link: Link,
  { network }: Place,
  nextHop: string,
): void {
  const entry = machine?.neighbours.find((each) => each.address === nextHop && each.link === link.name);
  if (entry?.states.includes("PERMANENT") !== true) return;
  const mac = findPlace(facts, nextHop, network)?.endpoint.mac ?? linkWith(facts.host, nextHop)?.mac;
  if (mac === undefined || mac === entry.mac) return;
  const what = `${name} has a permanent entry that ${nextHop} is at ${entry.mac}, and it is at ${mac}`;
  trace.stop("container", "probed", what, `${enter} ip neighbour del ${nextHop} dev ${link.name}`);
}

function checkOwnRules({ trace }: Way, { name, enter, machine }: Container, packet: Packet): void {
  if (machine === undefined) return;
  const { verdict, by, fix } = runHook(machine, "output", packet, packet.family);
  if (verdict === "drop") {
    trace.stop("container", "probed", `${name}'s own rules drop it: ${by}`, fix && `${enter} ${fix}`);
  }
}

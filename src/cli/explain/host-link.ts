// Links of the host by which packets go: whether they are there and up, and who is at their other end.
import type { Place, Way } from "./facts.ts";
import { type Link, linkNamed } from "./machine.ts";
import type { OvsPort } from "./switching.ts";

/** Tag of a port of Open vSwitch that has untagged frames alone. */
export const UNTAGGED = 0;

/** The link of that name, for who has only the name. */
export function requireUp({ trace, facts }: Way, hop: string, name: string, what: string): Link | undefined {
  const link = linkNamed(facts.host, name);
  if (link === undefined) trace.stop(hop, "probed", `${what} ${name} is not there`);
  else if (!link.isUp) trace.stop(hop, "probed", `${what} ${name} is down`, `ip link set ${name} up`);
  return link;
}

/** A link of the host's, and the one at its other end. @returns the link if it is there. */
export function passLink(way: Way, hop: string, name: string, nextHop: string): Link | undefined {
  const { trace, facts } = way;
  const link = requireUp(way, hop, name, "link");
  if (link?.isUp === true && !link.hasCarrier) {
    trace.stop(hop, "probed", `link ${name} has no carrier: nobody is at the other end of the cable`);
  }
  const entry = facts.host.neighbours.find(({ address, link: on }) => address === nextHop && on === name);
  if (entry?.states.includes("FAILED") === true) {
    trace.stop(hop, "probed", `nobody at ${name} answered for ${nextHop} when the host asked last`);
  }
  return link;
}

/** On Open vSwitch the host's link is a port with a tag as well. */
export function checkHostTag(way: Way, link: string, { network }: Place): void {
  const { ovs } = way.facts.switching;
  const ports = typeof ovs === "object" && network.backend === "ovs" ? ovs : [];
  const port = ports.find(({ name }) => name === link);
  if (port !== undefined) checkTag(way, "host link", port, network.vlan ?? UNTAGGED);
}

/** @param wanted - absent for a port that has tagged frames alone. */
export function checkTag({ trace }: Way, hop: string, { name, tag }: OvsPort, wanted: number | undefined): void {
  if (tag === wanted) return;
  const say = (vlan: number | undefined) =>
    vlan === undefined ? "no tag" : vlan === UNTAGGED ? "no VLAN" : `VLAN ${vlan}`;
  const fix = wanted === undefined ? `ovs-vsctl clear port ${name} tag` : `ovs-vsctl set port ${name} tag=${wanted}`;
  trace.stop(hop, "probed", `port ${name} has ${say(tag)}, and should have ${say(wanted)}`, fix);
}

/** What was typed into the host's neighbour table of an endpoint's address holds, wrong or not. */
export function checkHostNeighbour({ trace, facts }: Way, { endpoint }: Place, address: string, link: string): void {
  const entry = facts.host.neighbours.find((each) => each.address === address && each.link === link);
  if (entry?.states.includes("PERMANENT") !== true || entry.mac === endpoint.mac) return;
  const what = `the host has a permanent entry that ${address} is at ${entry.mac}, and it is at ${endpoint.mac}`;
  trace.stop("host link", "probed", what, `ip neighbour del ${address} dev ${link}`);
}

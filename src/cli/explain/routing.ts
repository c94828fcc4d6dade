// The host gets a packet: translates it if its port is published, takes it for itself, or sends it on.
import type { Family } from "../../cidr.ts";
import { bare } from "../words.ts";
import { isStrict, sayForged } from "../reverse-path.ts";
import { type Facts, type Way, networkOf, placesOf } from "./facts.ts";
import { noteRules } from "./firewall.ts";
import { type Route, familyOf, linkWith, listens } from "./machine.ts";
import { type Packet, sayWhat } from "./packet.ts";
import { runHook, translate } from "./rule-run.ts";

/** Where a packet goes that the host sends on. */
export interface Onward {
  readonly packet: Packet;
  /** Bare: the destination, or the next router. */
  readonly nextHop: string;
  readonly outLink: string;
}

/** What the host does with a packet that came to it. */
export type Entered =
  | { readonly kind: "onward"; readonly onward: Onward }
  | { readonly kind: "host"; readonly packet: Packet }
  | { readonly kind: "lost" };

/** @param packet - with the link by which it came. */
export async function enterHost(way: Way, packet: Packet): Promise<Entered> {
  const { facts } = way;
  const early = runHook(facts.host, "prerouting", packet, packet.family);
  noteRules(way, "firewall", early);
  const translated = publish(way, "prerouting", early.packet);
  if (linkWith(facts.host, translated.destination) !== undefined) return { kind: "host", packet: translated };
  const onward = await forward(way, translated);
  return onward === undefined ? { kind: "lost" } : { kind: "onward", onward };
}

/** Translates what is meant for a published port. @param hook - `output` for what the host itself sends. */
export function publish({ trace, facts }: Way, hook: "prerouting" | "output", packet: Packet): Packet {
  const translation = translate(facts.host, hook, packet);
  if (translation?.kind !== "dnat") return packet;
  const { address, port = packet.port, by } = translation;
  if (address === undefined) {
    trace.pass("nat", "probed", `it is translated by ${by}, to where cannot be told`);
    return packet;
  }
  const translated = { ...packet, destination: address, isTranslated: true, ...(port !== undefined && { port }) };
  const what = `${packet.destination} ${sayWhat(packet)} is published: it goes on to ${address} ${sayWhat(translated)}`;
  trace.pass("nat", "probed", what);
  return translated;
}

/** The host takes it for itself. @returns where tsnet relays it to, if it is tsnet that listens there. */
export function reachHost(way: Way, packet: Packet): Relay | undefined {
  const { trace, facts } = way;
  const { host } = facts;
  const { destination, port, protocol } = packet;
  noteRules(way, "firewall", runHook(host, "input", packet, packet.family));
  if (port === undefined) {
    trace.pass("host", "probed", `${destination} is an address of the host`);
    return undefined;
  }
  const what = `${sayWhat(packet)} of ${destination} on the host`;
  if (!listens(host, protocol, port, destination)) {
    const elsewhere = host.sockets.filter((socket) => socket.port === port && socket.protocol === protocol);
    const only = elsewhere.length === 0 ? "" : `: only on ${elsewhere.map(({ address }) => address).join(", ")}`;
    trace.stop("host", "probed", `nobody listens on ${what}${only}`);
    return undefined;
  }
  const relay = relayOf(facts, packet);
  if (relay === undefined) trace.pass("host", "probed", `somebody listens on ${what}`);
  else
    trace.pass(
      "nat",
      "known",
      `tsnet listens on ${what}, and relays it to ${relay.address} port ${relay.port}/${protocol}`,
    );
  return relay;
}

/** A published port that tsnet's own socket serves. */
export interface Relay {
  readonly address: string;
  readonly port: number;
}

function relayOf(facts: Facts, { destination, port, protocol, family }: Packet): Relay | undefined {
  for (const { endpoint } of placesOf(facts)) {
    const published = endpoint.ports.find((each) => {
      const isThere = ["", "0.0.0.0", "::", destination].includes(each.hostAddress);
      return each.protocol === protocol && each.hostPort === port && isThere;
    });
    const addresses = endpoint.addresses.map(bare);
    const address = addresses.find((each) => familyOf(each) === family) ?? addresses[0];
    if (published !== undefined && address !== undefined) return { address, port: published.containerPort };
  }
  return undefined;
}

async function forward(way: Way, packet: Packet): Promise<Onward | undefined> {
  const { trace, facts } = way;
  const { host } = facts;
  const { family, inLink = "", source, destination } = packet;
  let canAsk = checkForwarding(way, family, inLink, "");
  if (family === 4 && isStrict(host.reversePathFilter(inLink))) {
    const back = await host.findRoute({ to: source });
    const forged = sayForged({ link: inLink, source, ...(typeof back !== "string" && { back: back.link }) });
    if (forged !== undefined) {
      trace.stop("routing", "probed", forged.why, forged.fix);
      canAsk = false;
    }
  }
  const route = await host.findRoute(canAsk ? { to: destination, from: source, inLink } : { to: destination });
  if (typeof route === "string") {
    trace.stop("routing", "probed", `the host has no route to ${destination} (${route})`);
    return undefined;
  }
  const leaving = { ...packet, outLink: route.link };
  sayRoute(way, route, destination);
  checkForwarding(way, family, route.link, ", the answers");
  checkTable(way, packet);
  passRules(way, leaving);
  return { packet: leaving, nextHop: route.via ?? destination, outLink: route.link };
}

/** @returns whether the host forwards what comes by that link. IPv6 has one switch for all. */
function checkForwarding({ trace, facts }: Way, family: Family, link: string, what: string): boolean {
  const { host } = facts;
  if (!host.isForwarding(family, "all")) {
    const setting = family === 4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
    trace.stop("routing", "probed", "the host forwards nothing", `sysctl -w ${setting}=1`);
    return false;
  }
  if (family === 6 || host.isForwarding(family, link)) return true;
  const fix = `sysctl -w net.ipv4.conf.${link.replaceAll(".", "/")}.forwarding=1`;
  trace.stop("routing", "probed", `the host forwards nothing that comes by ${link}${what}`, fix);
  return false;
}

function sayRoute({ trace }: Way, { link, via }: Route, destination: string): void {
  const where = via === undefined ? `${destination} is directly there` : `to the router ${via}`;
  trace.pass("routing", "probed", `the host sends it by link ${link}, ${where}`);
}

function passRules(way: Way, packet: Packet): void {
  const { trace, facts } = way;
  const outcome = runHook(facts.host, "forward", packet, packet.family);
  noteRules(way, "firewall", outcome);
  const { verdict, by } = outcome;
  if (verdict === "accept")
    trace.pass("firewall", "probed", by === "" ? "no rule is against it" : `it passes by ${by}`);
}

/** Without tsnet's rules the host's own policy drops what they admit, and nothing translates the source. */
function checkTable({ trace, facts }: Way, { source, destination }: Packet): void {
  const isConcerned = [source, destination].some((address) => networkOf(facts, address) !== undefined);
  if (!isConcerned || facts.host.rules.hasTable("inet", "tsnet")) return;
  trace.stop("firewall", "probed", "table inet tsnet is not there; tsnet puts it back when it runs");
}

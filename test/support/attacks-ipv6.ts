// Attacks by neighbour discovery (S02), by router advertisements and redirects (S03, S19), and their lawful counterparts.
// Messages come bare, behind extension headers and in fragments: a filter that looks at the first header sees no ND.
import {
  type Attack,
  type Draft,
  type Form,
  NOBODY_MAC,
  RESERVED_MACS,
  type Scene,
  inEnvelopes,
  inFragments,
  inFrame,
  onlyHeard,
  plainForm,
} from "./attacks.ts";
import type { Packet } from "./frames.ts";
import * as v6 from "./frames-ipv6.ts";

/** The prefix of which only the attacker knows. */
export const ROGUE_PREFIX = "2001:db8:66::";

/**
 * One message in all disguises, each in every envelope. Extension headers hide nothing from a Linux stack, nor do fragments
 * from one that accepts ND in them. A message that begins in the second fragment is dropped since Linux 5.11 (RFC 7112,
 * net/ipv6/reassembly.c, ipv6frag_thdr_truncated); one that begins in the third is not, if two headers stand before it.
 */
function disguised(name: string, from: string, to: string, packet: Packet): readonly Form[] {
  const behindOptions = v6.extended(packet, "destination");
  const behindBoth = v6.extended(behindOptions, "hopByHop");
  const whole: Readonly<Record<string, readonly Draft[]>> = {
    bare: [inFrame(from, to, packet)],
    "behind hop-by-hop options": [inFrame(from, to, v6.extended(packet, "hopByHop"))],
    "behind destination options": [inFrame(from, to, behindOptions)],
    "behind both": [inFrame(from, to, behindBoth)],
    "as a single fragment": inFragments(from, to, packet, 1024),
    "in fragments": inFragments(from, to, packet, 16),
    "in the third fragment": inFragments(from, to, v6.extended(behindOptions, "destination"), 8),
  };
  return [
    ...Object.entries(whole).flatMap(([how, drafts]) => inEnvelopes(`${name}, ${how}`, drafts)),
    ...onlyHeard(inEnvelopes(`${name}, in the second fragment`, inFragments(from, to, behindOptions, 8))),
  ];
}

/** Forged neighbour discovery. */
export function neighbourAttacks(scene: Scene): readonly Attack[] {
  return [...gatewayClaims(scene), ...otherClaims(scene), ...denials(scene)];
}

function misled(title: string, address: string, mac: string, forms: readonly Form[]): Attack {
  return { id: "S02", title, effect: { kind: "misled", at: "victim", address, mac }, forms };
}

function gatewayClaims({ attacker, victim, gateway }: Scene): readonly Attack[] {
  const me = attacker.mac;
  const mine = v6.macOption("targetMac", me);
  const claim = (from: string, to: string, ...options: Buffer[]) =>
    v6.neighbourAdvertisement(from, to, gateway[6], ...options);
  const toVictim = (packet: Packet) => [inFrame(me, victim.mac, packet)];
  const linkLocal = v6.neighbourAdvertisement(attacker.linkLocal, victim.linkLocal, gateway.linkLocal, mine);
  return [
    misled("the gateway's address by neighbour advertisement", gateway[6], me, [
      ...disguised("from the own address", me, victim.mac, claim(attacker[6], victim[6], mine)),
      ...inEnvelopes("to all", [inFrame(me, v6.ALL_NODES_MAC, claim(attacker[6], v6.ALL_NODES, mine))]),
      ...inEnvelopes("from its address", toVictim(claim(gateway[6], victim[6], mine))),
      ...inEnvelopes("with two options", toVictim(claim(attacker[6], victim[6], mine, mine))),
      ...onlyHeard(inEnvelopes("without an option", toVictim(claim(attacker[6], victim[6])))),
    ]),
    misled("the gateway's link-local address by neighbour advertisement", gateway.linkLocal, me, [
      ...inEnvelopes("from the own link-local address", toVictim(linkLocal)),
    ]),
  ];
}

function otherClaims({ attacker, victim, peer, gateway }: Scene): readonly Attack[] {
  const me = attacker.mac;
  const nobodys = { target: v6.macOption("targetMac", NOBODY_MAC), source: v6.macOption("sourceMac", NOBODY_MAC) };
  const ask = (from: string, to: string, option: Buffer) => v6.neighbourSolicitation(from, to, victim[6], option);
  const toVictim = (packet: Packet) => inEnvelopes("to the victim", [inFrame(me, victim.mac, packet)]);
  const solicited = v6.solicitedNodeOf(victim[6]);
  const asPeer = ask(peer[6], solicited, v6.macOption("sourceMac", me));
  const mine = v6.macOption("targetMac", me);
  return [
    misled("a peer's address by neighbour solicitation", peer[6], me, [
      ...disguised("to the solicited node", me, v6.multicastMacOf(solicited), asPeer),
      ...toVictim(ask(peer[6], victim[6], v6.macOption("sourceMac", me))),
    ]),
    misled(
      "the own address at a MAC address of nobody, advertised",
      attacker[6],
      NOBODY_MAC,
      toVictim(v6.neighbourAdvertisement(attacker[6], victim[6], attacker[6], nobodys.target)),
    ),
    misled("the own address, with two options that differ", attacker[6], NOBODY_MAC, [
      ...onlyHeard(toVictim(v6.neighbourAdvertisement(attacker[6], victim[6], attacker[6], mine, nobodys.target))),
    ]),
    misled(
      "the own address at a MAC address of nobody, in a question",
      attacker[6],
      NOBODY_MAC,
      toVictim(ask(attacker[6], victim[6], nobodys.source)),
    ),
    {
      id: "S02",
      title: "the victim's address towards the host by neighbour advertisement",
      effect: { kind: "misled", at: "host", address: victim[6], mac: me },
      forms: inEnvelopes(
        "from the own address",
        [inFrame(me, gateway.mac, v6.neighbourAdvertisement(attacker[6], gateway[6], victim[6], mine))],
        "beyond",
      ),
    },
  ];
}

function denials({ attacker, victim }: Scene): readonly Attack[] {
  const wanted = victim[6].replace(/[^:]*$/, "77");
  const solicited = v6.solicitedNodeOf(wanted);
  const answer = v6.neighbourAdvertisement(attacker[6], v6.ALL_NODES, wanted, v6.macOption("targetMac", attacker.mac));
  const same = v6.neighbourSolicitation(v6.UNSPECIFIED, solicited, wanted);
  const frames = {
    "by neighbour advertisement": inFrame(attacker.mac, v6.ALL_NODES_MAC, answer),
    "by asking for the same": inFrame(attacker.mac, v6.multicastMacOf(solicited), same),
  };
  return Object.entries(frames).map(([how, frame]) => ({
    id: "S02",
    title: `duplicate address detection fails ${how}`,
    effect: { kind: "denied", address: wanted },
    forms: inEnvelopes("denied", [frame]),
  }));
}

/** Router advertisements and redirects. @param beyond - an address that the victim reaches by its gateway. */
export function routerAttacks({ attacker, victim, gateway }: Scene, beyond: string): readonly Attack[] {
  const me = attacker.mac;
  const options = [v6.macOption("sourceMac", me), v6.prefixOption(ROGUE_PREFIX)];
  const toAll = v6.routerAdvertisement(attacker.linkLocal, v6.ALL_NODES, ...options);
  const toVictim = v6.routerAdvertisement(attacker.linkLocal, victim.linkLocal, ...options);
  const byMe = v6.macOption("targetMac", me);
  const redirect = v6.redirect(gateway.linkLocal, victim.linkLocal, attacker.linkLocal, beyond, byMe);
  const rogue = { id: "S03", effect: { kind: "router", at: "victim" } } as const;
  const rogueToHost = { id: "S03", effect: { kind: "router", at: "host" } } as const;
  return [
    { ...rogue, title: "a router by advertisement to all", forms: disguised("to all", me, v6.ALL_NODES_MAC, toAll) },
    {
      ...rogue,
      title: "a router by advertisement to the victim",
      forms: inEnvelopes("to the victim", [inFrame(me, victim.mac, toVictim)]),
    },
    {
      ...rogueToHost,
      title: "a router by advertisement to a host that believes routers",
      forms: inEnvelopes("to all", [inFrame(me, v6.ALL_NODES_MAC, toAll)], "beyond"),
      heldAnywayBy: "switch",
    },
    {
      ...rogueToHost,
      title: "a router by advertisement to a MAC address that is reserved for bridges",
      forms: RESERVED_MACS.flatMap((mac) => inEnvelopes(mac, [inFrame(me, mac, toAll)], "beyond")),
      heldAnywayBy: "switch",
    },
    {
      id: "S03",
      title: "a way by the attacker, by ICMPv6 redirect",
      effect: { kind: "redirected", destination: beyond },
      forms: disguised("from the gateway", me, victim.mac, redirect),
    },
  ];
}

/** Neighbour discovery as every container sends it. */
export function lawfulNeighbour({ attacker, victim }: Scene): readonly Attack[] {
  const me = attacker.mac;
  const source = v6.macOption("sourceMac", me);
  const target = v6.macOption("targetMac", me);
  const solicited = v6.solicitedNodeOf(victim[6]);
  const own = v6.solicitedNodeOf(attacker[6]);
  const ownLinkLocal = v6.solicitedNodeOf(attacker.linkLocal);
  const nonce = v6.ndOption(v6.ND_OPTION.nonce, Buffer.from("123456"));
  const packets: Readonly<Record<string, Packet>> = {
    question: v6.neighbourSolicitation(attacker[6], solicited, victim[6], source),
    "question from the link-local address": v6.neighbourSolicitation(attacker.linkLocal, solicited, victim[6], source),
    "question without an option": v6.neighbourSolicitation(attacker[6], victim[6], victim[6]),
    answer: v6.neighbourAdvertisement(attacker[6], victim[6], attacker[6], target),
    "answer without an option": v6.neighbourAdvertisement(attacker[6], victim[6], attacker[6]),
    announcement: v6.neighbourAdvertisement(attacker.linkLocal, v6.ALL_NODES, attacker.linkLocal, target),
    "detection of duplicates": v6.neighbourSolicitation(v6.UNSPECIFIED, own, attacker[6]),
    "detection of duplicates with a nonce": v6.neighbourSolicitation(v6.UNSPECIFIED, own, attacker[6], nonce),
    "detection for the link-local address": v6.neighbourSolicitation(
      v6.UNSPECIFIED,
      ownLinkLocal,
      attacker.linkLocal,
      nonce,
    ),
  };
  const routers = {
    "question for routers": v6.routerSolicitation(attacker.linkLocal, source),
    "question for routers without an address": v6.routerSolicitation(v6.UNSPECIFIED),
  };
  const forms = (from: Readonly<Record<string, Packet>>) =>
    Object.entries(from).map(([name, packet]) =>
      plainForm(name, [inFrame(me, packet.to.startsWith("ff") ? v6.multicastMacOf(packet.to) : victim.mac, packet)]),
    );
  const heard = { kind: "heard", at: "victim" } as const;
  return [
    { id: "S02", title: "neighbour discovery for the own addresses", effect: heard, forms: forms(packets) },
    { id: "S03", title: "router solicitation", effect: heard, forms: forms(routers) },
  ];
}

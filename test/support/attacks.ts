// What a container may send to harm others: the catalogue of faults.md, section C.4. Plain data: frames, and how it shows
// at the victim that they worked. `attack-range.ts` sends them and looks. One file per kind: `attacks-arp.ts`,
// `attacks-ipv4.ts`, `attacks-ipv6.ts`, `attacks-ethernet.ts`.
import {
  ETHERTYPE,
  type Frame,
  type Packet,
  type Tag,
  ethernet,
  familyOf,
  ipv4,
  ipv4Fragments,
  padded,
  slices,
  snap,
  udpPacket,
} from "./frames.ts";
import { ipv6, ipv6Fragments } from "./frames-ipv6.ts";

/** A station on the network under attack. */
export interface Station {
  readonly mac: string;
  readonly 4: string;
  readonly 6: string;
  /** IPv6 address made of the MAC address. */
  readonly linkLocal: string;
}

/** Somebody whose addresses matter and nothing else. */
export type Addresses = Readonly<Record<4 | 6, string>>;

/** Who is where. Attacker, victim and peer are endpoints of one network, the gateway is the host on its switch. */
export interface Scene {
  readonly attacker: Station;
  readonly victim: Station;
  readonly peer: Station;
  readonly gateway: Station;
  /** An endpoint of another network, and the host's address there. */
  readonly other: Addresses;
  readonly otherGateway: Addresses;
  /** The host's address on the LAN, and a machine there that sends to the host's MAC address. */
  readonly host: Addresses;
  readonly neighbour: Addresses;
  readonly neighbourMac: string;
  readonly hostMac: string;
}

/** How an attack shows. `attacker`: his MAC address, port, or address. */
export type Effect =
  /** The frame itself, or the datagram in it, arrived there. */
  | { readonly kind: "heard"; readonly at: "victim" | "host" | "neighbour" | "other" }
  /** `at` sends what is for `address` to `mac` now. */
  | { readonly kind: "misled"; readonly at: "victim" | "host"; readonly address: string; readonly mac: string }
  /** `at` has a default route by the attacker, or an address of his making. */
  | { readonly kind: "router"; readonly at: "victim" | "host" }
  /** The victim sends packets for `destination` to the attacker. */
  | { readonly kind: "redirected"; readonly destination: string }
  /** The victim finds the address that it is about to take in use. */
  | { readonly kind: "denied"; readonly address: string }
  /** The switch takes `mac` to be at the attacker's port. */
  | { readonly kind: "moved"; readonly mac: string }
  /** The switch takes the attacker for a multicast router. */
  | { readonly kind: "multicastRouter" };

/** One way of sending it. */
export interface Form {
  readonly name: string;
  readonly frames: readonly Buffer[];
  /** By which each frame is known again where it arrives, whatever was taken off or added on its way. */
  readonly traces: readonly Buffer[];
  /** Linux falls for it only as far as that the frame arrives; other stacks may fall for more. */
  readonly isOnlyHeard?: boolean;
  /** With tags one in another. */
  readonly isTaggedTwice?: boolean;
}

/** One attack in all its forms. */
export interface Attack {
  /** As in faults.md: `S01`. */
  readonly id: string;
  readonly title: string;
  readonly effect: Effect;
  readonly forms: readonly Form[];
  /** Default: the attacker, a container. */
  readonly by?: "neighbour";
  /**
   * What holds it off without `antispoof` too, so that it works only on a bare host: our rules and the port's settings, or
   * settings of the switch that a stage for attacks has undone.
   */
  readonly heldAnywayBy?: "rules" | "switch";
}

/** A frame before it is wrapped, with what it is known by; default: its payload. */
export type Draft = Frame & { readonly trace?: Buffer };

interface Envelope {
  readonly name: string;
  readonly wrap: (frame: Frame) => Buffer;
  /** Who reads through it: a stack; the switch as well; nobody in Linux. */
  readonly readBy: "switch" | "stack" | "nobody";
  readonly isTaggedTwice?: boolean;
}

const Q: Tag = { type: ETHERTYPE.customerTag, id: 0 };
const AD: Tag = { type: ETHERTYPE.serviceTag, id: 0 };

const tagged = (name: string, ...tags: readonly Tag[]): Envelope => ({
  name,
  wrap: (frame) => ethernet({ ...frame, tags }),
  readBy: tags.length < 2 ? "switch" : "stack",
  isTaggedTwice: tags.length > 1,
});

/** The twelve forms of one frame. A receiver takes any number of tags of VLAN 0 off; a filter sees the first one. */
const ENVELOPES: readonly Envelope[] = [
  tagged("plain"),
  tagged("802.1Q tag 0", Q),
  tagged("802.1Q tag 0, priority 7", { ...Q, priority: 7 }),
  tagged("802.1ad tag 0", AD),
  tagged("802.1ad tag 0, priority 7", { ...AD, priority: 7 }),
  tagged("802.1Q tag 0 twice", Q, Q),
  tagged("802.1ad, then 802.1Q tag 0", AD, Q),
  tagged("802.1Q, then 802.1ad tag 0", Q, AD),
  tagged("802.1Q tag 0 three times", Q, Q, Q),
  { name: "padded to 64 bytes", wrap: (frame) => padded(ethernet(frame), 64), readBy: "switch" },
  { name: "padded to the MTU", wrap: (frame) => padded(ethernet(frame), 1514), readBy: "switch" },
  { name: "in LLC and SNAP", wrap: snap, readBy: "nobody" },
];

/**
 * One form in every envelope.
 *
 * @param reader - who has to read it for the effect. A form that only a `switch` would have to read is only heard in
 *   envelopes of which it sees the outside; what is for a router (`beyond`) does not come there in LLC.
 */
export function inEnvelopes(
  name: string,
  drafts: readonly Draft[],
  reader: "stack" | "switch" | "beyond" = "stack",
): readonly Form[] {
  const usable = ENVELOPES.filter(({ readBy }) => reader !== "beyond" || readBy !== "nobody");
  return usable.map(({ name: envelope, wrap, readBy, isTaggedTwice = false }) => ({
    name: `${name}, ${envelope}`,
    frames: drafts.map(wrap),
    traces: drafts.map(({ trace, payload }) => trace ?? payload),
    isTaggedTwice,
    ...((readBy === "nobody" || (reader === "switch" && readBy !== "switch")) && { isOnlyHeard: true }),
  }));
}

/** One form as it stands. */
export function plainForm(name: string, drafts: readonly Draft[]): Form {
  const traces = drafts.map(({ trace, payload }) => trace ?? payload);
  return { name, frames: drafts.map(ethernet), traces };
}

/** A packet in a frame. @param trace - default: what the packet carries, which no router changes. */
export function inFrame(from: string, to: string, packet: Packet, trace = packet.payload): Draft {
  const [type, payload] = familyOf(packet.to) === 4 ? [ETHERTYPE.ipv4, ipv4(packet)] : [ETHERTYPE.ipv6, ipv6(packet)];
  return { to, from, type, payload, trace };
}

/** The fragments of a packet, each in a frame. They may arrive put together: each is known by its own part. */
export function inFragments(from: string, to: string, packet: Packet, size: number): readonly Draft[] {
  const parts = slices(packet.payload, size).map(({ part }) => part);
  const fragments: readonly Draft[] =
    familyOf(packet.to) === 4
      ? ipv4Fragments(packet, size).map((payload) => ({ from, to, type: ETHERTYPE.ipv4, payload }))
      : ipv6Fragments(packet, size).map((fragment) => inFrame(from, to, fragment));
  return fragments.map((fragment, n) => ({ ...fragment, trace: parts[n] ?? packet.payload }));
}

/** Forms that Linux itself does not fall for. */
export function onlyHeard(forms: readonly Form[]): readonly Form[] {
  return forms.map((form) => ({ ...form, isOnlyHeard: true }));
}

/** MAC addresses that a bridge keeps for protocols between bridges (IEEE 802.1Q table 8-1). */
export const RESERVED_MACS = ["02", "03", "0e", "0f"].map((last) => `01:80:c2:00:00:${last}`);

/** A MAC address that nobody has. */
export const NOBODY_MAC = "02:66:66:66:66:66";

/** Where a datagram goes that the host's own listener shall hear. */
export const ATTACK_PORT = 4848;

let made = 0;

/** Bytes that no other frame has. */
export function uniqueBytes(): Buffer {
  made += 1;
  return Buffer.from(`tsnet attack ${made.toString().padStart(6, "0")}`);
}

/** A datagram in a frame, known again by its content. @param frame - MAC addresses. @param ports - default: to ours. */
export function datagramFrame(
  frame: { readonly from: string; readonly to: string },
  [from, to]: readonly [string, string],
  { fromPort = ATTACK_PORT, toPort = ATTACK_PORT, data = uniqueBytes() } = {},
): Draft {
  return inFrame(frame.from, frame.to, udpPacket({ from, to, fromPort, toPort, data }), data);
}

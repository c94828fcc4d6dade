// Frames for the tests about VLANs that are known again wherever they come out, and what is said about them there.
import { randomBytes } from "node:crypto";
import { BROADCAST_MAC, ETHERTYPE, type Tag, arp, ethernet, ipv4, udpPacket } from "./frames.ts";

/** MAC address of nobody. */
export const NOBODY = "02:99:00:00:00:01";
/** All systems on this subnet (224.0.0.1): no switch may hold it back, whoever asked for it (RFC 4541 2.1.2). */
export const ALL_SYSTEMS = "01:00:5e:00:00:01";

/** Who sends. */
export interface Sender {
  readonly mac: string;
  /** IPv4. */
  readonly address: string;
}

/** What to send. */
export interface ProbeWords {
  /** Default: all. */
  readonly to?: string;
  /** Outermost first: ids of 802.1Q tags, or whole tags. */
  readonly tags?: readonly (number | Tag)[];
  /** An ARP request for this address instead of a datagram. */
  readonly arpFor?: string;
}

/** One frame that is known again. */
export interface Probe {
  readonly frame: Buffer;
  /** No other frame contains it. */
  readonly trace: Buffer;
}

/** A datagram, or an ARP request, as the sender's own stack would make it. */
export function probe({ mac, address }: Sender, { to = BROADCAST_MAC, tags = [], arpFor }: ProbeWords = {}): Probe {
  const trace = randomBytes(16);
  const head = { to, from: mac, tags: tags.map((tag) => (typeof tag === "number" ? dot1q(tag) : tag)) };
  if (arpFor !== undefined) {
    const payload = arp({ operation: "request", senderMac: mac, sender: address, target: arpFor });
    return { trace, frame: ethernet({ ...head, type: ETHERTYPE.arp, payload: Buffer.concat([payload, trace]) }) };
  }
  const datagram = { from: address, to: "255.255.255.255", fromPort: 9, toPort: 9, data: trace }; // discard
  return { trace, frame: ethernet({ ...head, type: ETHERTYPE.ipv4, payload: ipv4(udpPacket(datagram)) }) };
}

/** A tag of 802.1Q, what VLAN tags are. */
export function dot1q(id: number): Tag {
  return { type: ETHERTYPE.customerTag, id };
}

/** A tag of 802.1ad (QinQ). */
export function dot1ad(id: number): Tag {
  return { type: ETHERTYPE.serviceTag, id };
}

/** The tags of a frame, outermost first. */
export function tagsOf(frame: Buffer): readonly Tag[] {
  const tags: Tag[] = [];
  for (let at = 12; at + 4 <= frame.length; at += 4) {
    const type = frame.readUInt16BE(at);
    if (type !== ETHERTYPE.customerTag && type !== ETHERTYPE.serviceTag) break;
    tags.push({ type, id: frame.readUInt16BE(at + 2) & 0xfff });
  }
  return tags;
}

/** `untagged`, `100`, `100 200` for two tags, `ad:100` for one of 802.1ad. */
export function formatTags(tags: readonly (number | Tag)[]): string {
  const words = tags.map((tag) => {
    if (typeof tag === "number") return `${tag}`;
    return tag.type === ETHERTYPE.serviceTag ? `ad:${tag.id}` : `${tag.id}`;
  });
  return words.length === 0 ? "untagged" : words.join(" ");
}

/** The sender's MAC address. */
export function macOf(frame: Buffer): string {
  return frame.toString("hex", 6, 12).replace(/..(?!$)/g, "$&:");
}

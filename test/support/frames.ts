// Frames as bytes, for tests that send what no kernel would send for them: Ethernet with any tags, ARP, IPv4 with UDP,
// ICMP and IGMP, DHCP. Pure; sending is left to `frame-capture.ts`. IPv6 stands in `frames-ipv6.ts`. Lengths and checksums
// are right unless an argument says otherwise, so that a receiver drops a frame for what it says and nothing else.
import { type Family, parseAddress } from "../../src/cidr.ts";

/** All stations. */
export const BROADCAST_MAC = "ff:ff:ff:ff:ff:ff";

/** EtherTypes (IEEE 802 Numbers, iana.org). */
export const ETHERTYPE = {
  ipv4: 0x0800,
  arp: 0x0806,
  rarp: 0x8035,
  customerTag: 0x8100,
  ipv6: 0x86dd,
  mpls: 0x8847,
  pppoeSession: 0x8864,
  eapol: 0x888e,
  serviceTag: 0x88a8,
  lldp: 0x88cc,
} as const;

/** Numbers of protocols in IPv4 and IPv6 (iana.org, Protocol Numbers). */
export const PROTOCOL = { hopByHop: 0, icmp: 1, igmp: 2, udp: 17, fragment: 44, icmpv6: 58, destination: 60 } as const;

/** A VLAN tag (IEEE 802.1Q 9.6): 802.1Q with ETHERTYPE.customerTag, 802.1ad with ETHERTYPE.serviceTag. */
export interface Tag {
  readonly type: number;
  /** 0 to 4095; 0 means: no VLAN, only a priority. */
  readonly id: number;
  /** 0 to 7. */
  readonly priority?: number;
}

/** A frame before it is bytes. */
export interface Frame {
  readonly to: string;
  readonly from: string;
  /** EtherType of the payload. */
  readonly type: number;
  readonly payload: Buffer;
  /** Outermost first. */
  readonly tags?: readonly Tag[];
}

/** Ethernet II (RFC 894), tags before the type. */
export function ethernet({ to, from, type, payload, tags = [] }: Frame): Buffer {
  const tagged = tags.flatMap((tag) => [u16(tag.type), u16(((tag.priority ?? 0) << 13) | tag.id)]);
  return Buffer.concat([macBytes(to), macBytes(from), ...tagged, u16(type), payload]);
}

/** 802.3 with a length instead of a type, and a header of LLC (IEEE 802.2): a BPDU is `42 42 03`. */
export function llc({ to, from, header, payload }: Omit<Frame, "type" | "tags"> & { readonly header: string }): Buffer {
  const body = Buffer.concat([Buffer.from(header.replaceAll(" ", ""), "hex"), payload]);
  return Buffer.concat([macBytes(to), macBytes(from), u16(body.length), body]);
}

/** The same payload in LLC and SNAP (RFC 1042). */
export function snap({ to, from, type, payload }: Frame): Buffer {
  return llc({ to, from, header: "aa aa 03 00 00 00", payload: Buffer.concat([u16(type), payload]) });
}

/** Zeros behind the frame, as a network card adds them up to 60 bytes. */
export function padded(frame: Buffer, length: number): Buffer {
  return Buffer.concat([frame, Buffer.alloc(Math.max(0, length - frame.length))]);
}

/** ARP for IPv4 over Ethernet (RFC 826). */
export interface Arp {
  readonly operation: "request" | "reply";
  readonly senderMac: string;
  readonly sender: string;
  readonly targetMac?: string;
  readonly target: string;
  /** Hardware type, protocol type, and the lengths of their addresses; default: what ARP for IPv4 over Ethernet has. */
  readonly layout?: readonly [hardware: number, protocol: number, hardwareLength: number, protocolLength: number];
}

const ARP_LAYOUT = [1, ETHERTYPE.ipv4, 6, 4] as const;

/** @returns the 28 bytes behind the Ethernet header. */
export function arp(message: Arp): Buffer {
  const { operation, senderMac, sender, targetMac = "00:00:00:00:00:00", target, layout = ARP_LAYOUT } = message;
  const [hardware, protocol, ...lengths] = layout;
  const fixed = [u16(hardware), u16(protocol), Buffer.from(lengths), u16(operation === "request" ? 1 : 2)];
  return Buffer.concat([
    ...fixed,
    macBytes(senderMac),
    addressBytes(sender),
    macBytes(targetMac),
    addressBytes(target),
  ]);
}

/** Addresses and payload of a packet of either version. */
export interface Packet {
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  readonly payload: Buffer;
  /** Time to live, hop limit. */
  readonly ttl?: number;
}

/** IPv4 (RFC 791). @param fragment - identification, offset of the payload in bytes, and whether more follow. */
export function ipv4(
  { from, to, protocol, payload, ttl = 64 }: Packet,
  fragment: { readonly id: number; readonly offset: number; readonly hasMore: boolean } = {
    id: 0,
    offset: 0,
    hasMore: false,
  },
): Buffer {
  const flags = (fragment.hasMore ? 0x2000 : 0) | (fragment.offset >> 3);
  const start = [Buffer.of(0x45, 0), u16(20 + payload.length), u16(fragment.id), u16(flags), Buffer.of(ttl, protocol)];
  const header = Buffer.concat([...start, u16(0), addressBytes(from), addressBytes(to)]);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

/** The same packet in fragments that carry at most `size` bytes each, a multiple of 8. */
export function ipv4Fragments(packet: Packet, size: number, id = 4711): readonly Buffer[] {
  return slices(packet.payload, size).map(({ part, offset, hasMore }) =>
    ipv4({ ...packet, payload: part }, { id, offset, hasMore }),
  );
}

/** UDP (RFC 768, 8200 8.1) with the checksum for these addresses. */
export function udp({ from, to, fromPort, toPort, data }: Datagram): Buffer {
  const datagram = Buffer.concat([u16(fromPort), u16(toPort), u16(8 + data.length), u16(0), data]);
  const sum = checksum(pseudoHeader(from, to, PROTOCOL.udp, datagram.length), datagram);
  datagram.writeUInt16BE(sum === 0 ? 0xffff : sum, 6);
  return datagram;
}

/** What a UDP datagram says. */
export interface Datagram {
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly data: Buffer;
}

/** An IP packet with a UDP datagram in it, of the addresses' version. */
export function udpPacket(datagram: Datagram): Packet {
  return { from: datagram.from, to: datagram.to, protocol: PROTOCOL.udp, payload: udp(datagram) };
}

/** ICMP and IGMP (RFC 792, RFC 3376): type, code, checksum, and whatever follows. */
export function icmp(type: number, code: number, rest: Buffer): Buffer {
  const message = Buffer.concat([Buffer.of(type, code), u16(0), rest]);
  message.writeUInt16BE(checksum(message), 2);
  return message;
}

/** ICMP redirect for a host (RFC 792): "send packets such as `quoted` to `gateway`". */
export function icmpRedirect(gateway: string, quoted: Buffer): Buffer {
  return icmp(5, 1, Buffer.concat([addressBytes(gateway), quoted]));
}

/** IGMPv2 general query (RFC 2236 2): what only a multicast router sends. */
export function igmpQuery(): Buffer {
  return icmp(0x11, 100, Buffer.alloc(4));
}

/** A DHCP offer (RFC 2131 2): the start of a rogue server's part. @param options - behind the magic cookie. */
export function dhcpReply(clientMac: string, offered: string, server: string, options: Buffer): Buffer {
  const fixed = Buffer.alloc(236);
  fixed.set([2, 1, 6, 0]); // a reply, over Ethernet
  fixed.set(addressBytes(offered), 16);
  fixed.set(addressBytes(server), 20);
  fixed.set(macBytes(clientMac), 28);
  return Buffer.concat([fixed, Buffer.from("63825363", "hex"), options, Buffer.of(255)]);
}

/** The six bytes of `02:42:0a:00:00:01`. */
export function macBytes(mac: string): Buffer {
  const bytes = Buffer.from(mac.replaceAll(":", ""), "hex");
  if (bytes.length !== 6) throw new Error(`${mac} is no MAC address`);
  return bytes;
}

/** The 4 or 16 bytes of an address. */
export function addressBytes(address: string): Buffer {
  const { family, value } = parseAddress(address);
  return Buffer.from(value.toString(16).padStart(family === 4 ? 8 : 32, "0"), "hex");
}

/** 4 or 6. */
export function familyOf(address: string): Family {
  return address.includes(":") ? 6 : 4;
}

/** The checksum of IP, UDP and ICMP (RFC 1071). The field that takes it is zero meanwhile. */
export function checksum(...parts: readonly Buffer[]): number {
  const all = Buffer.concat(parts);
  const even = all.length % 2 === 0 ? all : Buffer.concat([all, Buffer.alloc(1)]);
  let sum = 0;
  for (let at = 0; at < even.length; at += 2) sum += even.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** What UDP and ICMPv6 add up besides their own bytes (RFC 768, RFC 8200 8.1). */
export function pseudoHeader(from: string, to: string, protocol: number, length: number): Buffer {
  const addresses = [addressBytes(from), addressBytes(to)];
  if (familyOf(from) === 4) return Buffer.concat([...addresses, Buffer.of(0, protocol), u16(length)]);
  return Buffer.concat([...addresses, u32(length), Buffer.of(0, 0, 0, protocol)]);
}

/** A payload in parts for fragments. */
export function slices(payload: Buffer, size: number): { part: Buffer; offset: number; hasMore: boolean }[] {
  if (size % 8 !== 0) throw new Error(`fragments carry multiples of 8 bytes, not ${size}`);
  return Array.from({ length: Math.ceil(payload.length / size) }, (_, n) => ({
    part: payload.subarray(n * size, (n + 1) * size),
    offset: n * size,
    hasMore: (n + 1) * size < payload.length,
  }));
}

/** Two bytes, most significant first. */
export function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

/** Four bytes, most significant first. */
export function u32(value: number): Buffer {
  return Buffer.concat([u16(value >>> 16), u16(value & 0xffff)]);
}

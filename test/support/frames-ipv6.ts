// IPv6 packets as bytes, for the same tests as `frames.ts`: neighbour discovery, router advertisements, multicast
// listeners, DHCPv6, and the extension headers and fragments behind which such messages can hide.
import { formatAddress, parseAddress } from "../../src/cidr.ts";
import { type Packet, PROTOCOL, addressBytes, checksum, macBytes, pseudoHeader, slices, u16, u32 } from "./frames.ts";

/** All nodes and all routers of a link, and their MAC addresses (RFC 4291 2.7.1, RFC 2464 7). */
export const ALL_NODES = "ff02::1";
export const ALL_NODES_MAC = "33:33:00:00:00:01";
export const ALL_ROUTERS = "ff02::2";
export const UNSPECIFIED = "::";

/** Types of options (RFC 4861 4.6, RFC 3971 5.3.2, RFC 8106 5.1). */
export const ND_OPTION = { sourceMac: 1, targetMac: 2, prefix: 3, redirected: 4, nonce: 14, resolver: 25 } as const;

/** IPv6 (RFC 8200 3). Neighbour discovery wants a hop limit of 255, which is the default here. */
export function ipv6({ from, to, protocol, payload, ttl = 255 }: Packet): Buffer {
  const start = [Buffer.of(0x60, 0, 0, 0), u16(payload.length), Buffer.of(protocol, ttl)];
  return Buffer.concat([...start, addressBytes(from), addressBytes(to), payload]);
}

/** Headers that may stand before the message (RFC 8200 4): each holds nothing but padding. */
export type Extension = "hopByHop" | "destination";

/** Puts an extension header of `length` bytes (a multiple of 8) before what the packet carries. */
export function extended(packet: Packet, extension: Extension, length = 8): Packet {
  const header = Buffer.alloc(length);
  header.set([packet.protocol, length / 8 - 1, 1, length - 4]); // option PadN (RFC 8200 4.2)
  return { ...packet, protocol: PROTOCOL[extension], payload: Buffer.concat([header, packet.payload]) };
}

/** The packet in fragments of at most `size` bytes each; one fragment if it fits (RFC 8200 4.5, RFC 6946). */
export function ipv6Fragments(packet: Packet, size: number, id = 4711): readonly Packet[] {
  return slices(packet.payload, size).map(({ part, offset, hasMore }) => {
    const header = Buffer.concat([Buffer.of(packet.protocol, 0), u16(offset | Number(hasMore)), u32(id)]);
    return { ...packet, protocol: PROTOCOL.fragment, payload: Buffer.concat([header, part]) };
  });
}

/** A packet with an ICMPv6 message (RFC 4443 2.1). @param body - what follows the checksum. */
export function icmpv6(from: string, to: string, type: number, body: Buffer): Packet {
  const message = Buffer.concat([Buffer.of(type, 0), u16(0), body]);
  message.writeUInt16BE(checksum(pseudoHeader(from, to, PROTOCOL.icmpv6, message.length), message), 2);
  return { from, to, protocol: PROTOCOL.icmpv6, payload: message, ttl: 255 };
}

/** An option of neighbour discovery, filled up with zeros to a multiple of 8 bytes (RFC 4861 4.6). */
export function ndOption(type: number, value: Buffer): Buffer {
  const length = Math.ceil((value.length + 2) / 8);
  return Buffer.concat([Buffer.of(type, length), value], length * 8);
}

/** The option that names a MAC address. */
export function macOption(of: "sourceMac" | "targetMac", mac: string): Buffer {
  return ndOption(ND_OPTION[of], macBytes(mac));
}

/** Neighbour solicitation (RFC 4861 4.3). */
export function neighbourSolicitation(from: string, to: string, target: string, ...options: Buffer[]): Packet {
  return icmpv6(from, to, 135, Buffer.concat([u32(0), addressBytes(target), ...options]));
}

/** Neighbour advertisement (RFC 4861 4.4) that shall replace what the receiver knows. */
export function neighbourAdvertisement(from: string, to: string, target: string, ...options: Buffer[]): Packet {
  const isSolicited = !to.startsWith("ff");
  return icmpv6(
    from,
    to,
    136,
    Buffer.concat([u32(isSolicited ? 0x60000000 : 0x20000000), addressBytes(target), ...options]),
  );
}

/** Router solicitation (RFC 4861 4.1). */
export function routerSolicitation(from: string, ...options: Buffer[]): Packet {
  return icmpv6(from, ALL_ROUTERS, 133, Buffer.concat([u32(0), ...options]));
}

/** Router advertisement (RFC 4861 4.2): a default router for half an hour. */
export function routerAdvertisement(from: string, to: string, ...options: Buffer[]): Packet {
  return icmpv6(from, to, 134, Buffer.concat([Buffer.of(64, 0), u16(1800), u32(0), u32(0), ...options]));
}

/** The option that makes receivers give themselves an address of a /64 (RFC 4861 4.6.2). */
export function prefixOption(prefix: string): Buffer {
  const value = [Buffer.of(64, 0xc0), u32(86400), u32(14400), u32(0), addressBytes(prefix)];
  return ndOption(ND_OPTION.prefix, Buffer.concat(value));
}

/** Redirect (RFC 4861 4.5): "`destination` is reached by way of `target`". */
export function redirect(from: string, to: string, target: string, destination: string, ...options: Buffer[]): Packet {
  return icmpv6(from, to, 137, Buffer.concat([u32(0), addressBytes(target), addressBytes(destination), ...options]));
}

/** MLDv1 general query (RFC 2710 3): what only a multicast router sends. */
export function mldQuery(from: string): Packet {
  return alerting(icmpv6(from, ALL_NODES, 130, Buffer.concat([u16(1000), u16(0), addressBytes(UNSPECIFIED)])));
}

/** MLDv2 report of one group that is listened to (RFC 3810 5.2). */
export function mldReport(from: string, group = "ff02::fb"): Packet {
  const record = Buffer.concat([Buffer.of(4, 0, 0, 0), addressBytes(group)]); // change to exclude mode: all sources
  return alerting(icmpv6(from, "ff02::16", 143, Buffer.concat([u16(0), u16(1), record])));
}

/** The router alert that MLD stands behind (RFC 2711 2.1), and padding. */
function alerting(packet: Packet): Packet {
  const alert = Buffer.of(packet.protocol, 0, 5, 2, 0, 0, 1, 0);
  return { ...packet, ttl: 1, protocol: PROTOCOL.hopByHop, payload: Buffer.concat([alert, packet.payload]) };
}

/** A DHCPv6 advertise (RFC 8415 8) with nothing but the server's identity. */
export function dhcpv6Advertise(serverMac: string): Buffer {
  const identity = Buffer.concat([u16(3), u16(1), macBytes(serverMac)]); // DUID-LL (RFC 8415 11.4)
  return Buffer.concat([Buffer.of(2, 1, 2, 3), u16(2), u16(identity.length), identity]);
}

/** The address that a stack makes of its MAC address (RFC 4291 appendix A). */
export function linkLocalOf(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macBytes(mac);
  const groups = [((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f];
  return formatAddress(parseAddress(`fe80::${groups.map((group) => group.toString(16)).join(":")}`));
}

/** The multicast address at which a node listens for questions about an address (RFC 4291 2.7.1). */
export function solicitedNodeOf(address: string): string {
  const [a = 0, b = 0, c = 0] = addressBytes(address).subarray(13);
  return `ff02::1:${((0xff << 8) | a).toString(16)}:${((b << 8) | c).toString(16)}`;
}

/** The MAC address of an IPv6 multicast address (RFC 2464 7). */
export function multicastMacOf(address: string): string {
  const tail = addressBytes(address).subarray(12);
  return ["33", "33", ...Array.from(tail, (byte) => byte.toString(16).padStart(2, "0"))].join(":");
}

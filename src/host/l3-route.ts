// Routes as the kernel says them, byte for byte, so that the same route can be made over another link: nothing that a
// message carries is lost, known here or not. Follows include/uapi/linux/rtnetlink.h (struct rtmsg, RTA_*,
// struct rtnexthop), net/ipv4/fib_frontend.c and net/ipv6/route.c for what a request may carry.
import { type Address, formatAddress } from "../cidr.ts";
import { type Attribute, bytesAttribute, findAttribute, parseAttributeList, u32Attribute } from "./netlink.ts";
import { addressOf, familyOf } from "./rtnetlink-address.ts";

const RTA = {
  DST: 1,
  SRC: 2,
  OIF: 4,
  GATEWAY: 5,
  PRIORITY: 6,
  MULTIPATH: 9,
  CACHEINFO: 12,
  TABLE: 15,
  VIA: 18,
  EXPIRES: 23,
  NH_ID: 30,
} as const;

const HEADER_LENGTH = 12;
const RT_TABLE_LOCAL = 255;
const RTPROT_KERNEL = 2;
const RTM_F_CLONED = 0x200;

/** RTNH_F_PERVASIVE and RTNH_F_ONLINK: the other flags tell what the kernel found out, and it refuses to be told. */
const SETTABLE_FLAGS = 0x2 | 0x4;

/** Of a `struct rtnexthop`: u16 length, u8 flags, u8 hops, s32 link index. */
const HOP_HEADER_LENGTH = 8;

/** USER_HZ, in which the kernel tells how long a route still lives; it is told in seconds. */
const TICKS_PER_SECOND = 100;

/**
 * Whether a route is somebody's: the administrator's, a router's advertisement, or the subnet of an address. Cached ones
 * are not, nor what the kernel notes in the local table about the addresses themselves.
 */
export function isConfigured(payload: Buffer): boolean {
  if ((payload.readUInt32LE(8) & RTM_F_CLONED) !== 0) return false;
  return tableOf(payload) !== RT_TABLE_LOCAL || payload.readUInt8(5) !== RTPROT_KERNEL;
}

/** Whether packets can leave by that link on this route. */
export function isOverLink(payload: Buffer, linkIndex: number): boolean {
  return hopsOf(payload).some(({ index }) => index === linkIndex);
}

/** The gateways of the hops over that link. */
export function gatewaysOver(payload: Buffer, linkIndex: number): Address[] {
  return hopsOf(payload)
    .filter(({ index }) => index === linkIndex)
    .flatMap(({ attributes }) => gatewayAmong(payload.readUInt8(0), attributes) ?? []);
}

/** Whether packets go by another machine: such a route can be made only when that machine can be reached. */
export function hasGateway(payload: Buffer): boolean {
  return hopsOf(payload).some(({ attributes }) => gatewayAmong(payload.readUInt8(0), attributes) !== undefined);
}

/** The number of the next hop object (ip-nexthop(8)) on which a route rests. */
export function nexthopObjectOf(payload: Buffer): number | undefined {
  return findAttribute(payload.subarray(HEADER_LENGTH), RTA.NH_ID)?.readUInt32LE();
}

/** What the kernel takes as one place: a request with NLM_F_REPLACE puts its route in place of the first with this key. */
export function routeKey(payload: Buffer): string {
  const [DST, SRC, PRIORITY] = [RTA.DST, RTA.SRC, RTA.PRIORITY].map(
    (type) => findAttribute(payload.subarray(HEADER_LENGTH), type)?.toString("hex") ?? "",
  );
  const lengthsAndTos = payload.subarray(1, 4).toString("hex");
  return [payload.readUInt8(0), tableOf(payload), lengthsAndTos, DST, SRC, PRIORITY].join(" ");
}

/** Equal for routes over two links that are the same but for the link, and for how long they still live. */
export function routeIdentity(payload: Buffer, linkIndex: number): string {
  return Buffer.concat(routeParts(payload, linkIndex, 0, false)).toString("hex");
}

/**
 * Equal for hops over two links that are the same but for the link, a string each. Of a route over several links some can
 * be missing: those over a link that went.
 */
export function hopIdentities(payload: Buffer, linkIndex: number): string[] {
  return hopsOf(payload).map(({ index, attributes }) => {
    const gateway = gatewayAmong(payload.readUInt8(0), attributes);
    return `${replaced(index, linkIndex, 0)} ${gateway ? formatAddress(gateway) : ""}`;
  });
}

/** RTM_NEWROUTE or RTM_DELROUTE of the same route over another link. */
export function routeParts(payload: Buffer, fromIndex: number, toIndex: number, isMortal = true): Buffer[] {
  const header = Buffer.from(payload.subarray(0, HEADER_LENGTH));
  header.writeUInt32LE(payload.readUInt32LE(8) & SETTABLE_FLAGS, 8);
  const attributes = parseAttributeList(payload.subarray(HEADER_LENGTH)).toSorted((a, b) => a.type - b.type);
  const moved = attributes.flatMap(({ type, value }) => {
    if (type === RTA.OIF) return [u32Attribute(type, replaced(value.readUInt32LE(), fromIndex, toIndex))];
    if (type === RTA.MULTIPATH) return [bytesAttribute(type, movedHops(value, fromIndex, toIndex))];
    if (type !== RTA.CACHEINFO) return [bytesAttribute(type, value)];
    return isMortal ? expiryOf(value) : [];
  });
  return [header, ...moved];
}

interface Hop {
  readonly index: number;
  readonly attributes: readonly Attribute[];
}

/** Of a route over one link the only one; none of a route that leads nowhere. */
function hopsOf(payload: Buffer): Hop[] {
  const attributes = parseAttributeList(payload.subarray(HEADER_LENGTH));
  const several = attributes.find(({ type }) => type === RTA.MULTIPATH);
  if (several === undefined) {
    const oif = attributes.find(({ type }) => type === RTA.OIF);
    return oif ? [{ index: oif.value.readUInt32LE(), attributes }] : [];
  }
  return hopBytes(several.value).map((hop) => {
    return { index: hop.readInt32LE(4), attributes: parseAttributeList(hop.subarray(HOP_HEADER_LENGTH)) };
  });
}

function hopBytes(value: Buffer): Buffer[] {
  const hops: Buffer[] = [];
  for (let at = 0; at + HOP_HEADER_LENGTH <= value.length;) {
    const length = Math.max(value.readUInt16LE(at), HOP_HEADER_LENGTH);
    hops.push(value.subarray(at, at + length));
    at += (length + 3) & ~3;
  }
  return hops;
}

function movedHops(value: Buffer, fromIndex: number, toIndex: number): Buffer {
  const moved = Buffer.from(value);
  for (const hop of hopBytes(moved)) {
    hop.writeUInt8(hop.readUInt8(2) & SETTABLE_FLAGS, 2);
    hop.writeInt32LE(replaced(hop.readInt32LE(4), fromIndex, toIndex), 4);
  }
  return moved;
}

function replaced(index: number, fromIndex: number, toIndex: number): number {
  return index === fromIndex ? toIndex : index;
}

/** RTA_VIA is a u16 family and the address: an IPv4 route by an IPv6 router (RFC 5549). */
function gatewayAmong(family: number, attributes: readonly Attribute[]): Address | undefined {
  const via = attributes.find(({ type }) => type === RTA.VIA)?.value;
  if (via !== undefined) return gatewayOf(via.readUInt16LE(), via.subarray(2));
  const gateway = attributes.find(({ type }) => type === RTA.GATEWAY)?.value;
  return gateway && gatewayOf(family, gateway);
}

function gatewayOf(family: number, bytes: Buffer): Address | undefined {
  const known = familyOf(family);
  return known && addressOf(known, bytes);
}

/** `rta_expires` is the third number of a `struct rta_cacheinfo`; 0 stands for ever. */
function expiryOf(cacheinfo: Buffer): Buffer[] {
  const ticks = cacheinfo.readInt32LE(8);
  return ticks === 0 ? [] : [u32Attribute(RTA.EXPIRES, Math.max(1, Math.ceil(ticks / TICKS_PER_SECOND)))];
}

function tableOf(payload: Buffer): number {
  return findAttribute(payload.subarray(HEADER_LENGTH), RTA.TABLE)?.readUInt32LE() ?? payload.readUInt8(4);
}

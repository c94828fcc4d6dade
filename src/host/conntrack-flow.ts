// Messages about tracked flows: what `conntrack.ts` sends and receives. Pure functions over buffers. Follows
// include/uapi/linux/netfilter/nfnetlink_conntrack.h and net/netfilter/nf_conntrack_netlink.c. A flow has two tuples, the
// addresses and ports of its packets in either direction; address translation is what makes them no mirror images.
//
//   nfgenmsg | TUPLE_ORIG { IP { SRC, DST } PROTO { NUM, SRC_PORT, DST_PORT } } | TUPLE_REPLY {...} | STATUS | ID | ...
import { type Family, bytesOfAddress, formatAddress, parseAddress } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { bytesAttribute, findAttribute, nestedAttribute, u32Attribute, u32NetAttribute } from "./netlink.ts";
import { NFPROTO, NF_HEADER_LENGTH, nfHeader } from "./nfnetlink.ts";
import { addressOf, familyOf } from "./rtnetlink-address.ts";

const CTA = { TUPLE_ORIG: 1, TUPLE_REPLY: 2, STATUS: 3, ID: 12, ZONE: 18, FILTER: 25, STATUS_MASK: 26 } as const;
const CTA_TUPLE = { IP: 1, PROTO: 2, ZONE: 3 } as const;
const CTA_FILTER = { ORIG_FLAGS: 1, REPLY_FLAGS: 2 } as const;

/**
 * The parts of a tuple: attribute by family, and the flag by which the kernel compares it (CTA_FILTER_F_*, in
 * net/netfilter/nf_internals.h). Addresses of IPv6 must not be compared: the kernel then gives all flows but those
 * (`!ipv6_addr_cmp()` in ctnetlink_filter_match_tuple(), 5.8 to 6.18).
 */
const PARTS = {
  source: { in: CTA_TUPLE.IP, type: { 4: 1, 6: 3 }, flag: { 4: 1 << 0, 6: 0 } },
  destination: { in: CTA_TUPLE.IP, type: { 4: 2, 6: 4 }, flag: { 4: 1 << 1, 6: 0 } },
  protocol: { in: CTA_TUPLE.PROTO, type: { 4: 1, 6: 1 }, flag: { 4: 1 << 3, 6: 1 << 3 } },
  sourcePort: { in: CTA_TUPLE.PROTO, type: { 4: 2, 6: 2 }, flag: { 4: 1 << 4, 6: 1 << 4 } },
  destinationPort: { in: CTA_TUPLE.PROTO, type: { 4: 3, 6: 3 }, flag: { 4: 1 << 5, 6: 1 << 5 } },
} as const;

/** Bits of CTA_STATUS (nf_conntrack_common.h, enum ip_conntrack_status). */
const IPS = { SRC_NAT: 1 << 4, DST_NAT: 1 << 5 } as const;

/** The packets of one direction. Addresses are bare, as `formatAddress` writes them. */
export interface FlowTuple {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** One flow that the kernel tracks in its default zone. */
export interface Flow {
  readonly family: Family;
  /** IPPROTO_*: 6 tcp, 17 udp, 132 sctp. */
  readonly protocol: number;
  /** How the packets of the side that began come in, before any translation. */
  readonly original: FlowTuple;
  /** How the answers come in: its source is who answers, whatever the original destination was translated to. */
  readonly reply: FlowTuple;
  readonly isSourceTranslated: boolean;
  readonly isDestinationTranslated: boolean;
  /** The kernel's number for it. A later flow with the same tuples has another, unless it lies at the same place in memory. */
  readonly id: number;
}

/** Which flows. A part that is left out may be anything. */
export interface WantedFlows {
  readonly family: Family;
  /** A protocol with ports: 6 tcp, 17 udp, 132 sctp. */
  readonly protocol: number;
  readonly original?: Partial<FlowTuple>;
  readonly reply?: Partial<FlowTuple>;
  readonly isDestinationTranslated?: boolean;
}

type Part = keyof typeof PARTS;

/** A tuple in the bytes of a message, numbers in network order. */
type RawTuple = ReadonlyMap<Part, Buffer>;

/**
 * A request for flows, by which the kernel chooses what it sends: by tuples since 5.8, and later by status. It can be more
 * than what is wanted (older kernels, addresses of IPv6, ports of sctp), so that `flowFilter` has to decide.
 *
 * @throws TsnetError `invalid` for text that is no address of the family.
 */
export function wantedParts(wanted: WantedFlows): Buffer[] {
  const { family, protocol, isDestinationTranslated } = wanted;
  const [original, reply] = [rawTuple(family, protocol, wanted.original), rawTuple(family, protocol, wanted.reply)];
  const status = [
    u32NetAttribute(CTA.STATUS, isDestinationTranslated === true ? IPS.DST_NAT : 0),
    u32NetAttribute(CTA.STATUS_MASK, IPS.DST_NAT),
  ];
  return [
    familyHeader(family),
    tupleAttribute(CTA.TUPLE_ORIG, family, original),
    tupleAttribute(CTA.TUPLE_REPLY, family, reply),
    nestedAttribute(CTA.FILTER, [
      u32Attribute(CTA_FILTER.ORIG_FLAGS, flagsOf(family, original)),
      u32Attribute(CTA_FILTER.REPLY_FLAGS, flagsOf(family, reply)),
    ]),
    ...(isDestinationTranslated === undefined ? [] : status),
  ];
}

/** A request about one flow: the tuple finds it in the default zone, and the id has to be right. */
export function flowParts({ family, protocol, original, id }: Flow): Buffer[] {
  const tuple = tupleAttribute(CTA.TUPLE_ORIG, family, rawTuple(family, protocol, original));
  return [familyHeader(family), tuple, u32NetAttribute(CTA.ID, id)];
}

/**
 * Says of payloads of IPCTNL_MSG_CT_NEW messages whether the flow is one of those that are wanted, and in the default zone.
 *
 * @throws TsnetError `invalid` for text that is no address of the family.
 */
export function flowFilter(wanted: WantedFlows): (payload: Buffer) => boolean {
  const { family, protocol, isDestinationTranslated } = wanted;
  const [original, reply] = [rawTuple(family, protocol, wanted.original), rawTuple(family, protocol, wanted.reply)];
  return (payload) => {
    if (familyOf(payload.readUInt8(0)) !== family) return false;
    const attributes = payload.subarray(NF_HEADER_LENGTH);
    return (
      isTupleLike(original, family, findAttribute(attributes, CTA.TUPLE_ORIG)) &&
      isTupleLike(reply, family, findAttribute(attributes, CTA.TUPLE_REPLY)) &&
      findAttribute(attributes, CTA.ZONE) === undefined &&
      (isDestinationTranslated ?? hasStatus(attributes, IPS.DST_NAT)) === hasStatus(attributes, IPS.DST_NAT)
    );
  };
}

/** Reads the payload of an IPCTNL_MSG_CT_NEW message. @returns undefined for a flow without ports or of no IP family. */
export function parseFlow(payload: Buffer): Flow | undefined {
  const family = familyOf(payload.readUInt8(0));
  const attributes = payload.subarray(NF_HEADER_LENGTH);
  const [tuple, id] = [findAttribute(attributes, CTA.TUPLE_ORIG), findAttribute(attributes, CTA.ID)];
  const replyTuple = findAttribute(attributes, CTA.TUPLE_REPLY);
  if (family === undefined || tuple === undefined || replyTuple === undefined || id === undefined) return undefined;
  const protocol = partOf(tuple, family, "protocol");
  const [original, reply] = [parseTuple(family, tuple), parseTuple(family, replyTuple)];
  if (protocol === undefined || original === undefined || reply === undefined) return undefined;
  return {
    family,
    protocol: protocol.readUInt8(),
    original,
    reply,
    isSourceTranslated: hasStatus(attributes, IPS.SRC_NAT),
    isDestinationTranslated: hasStatus(attributes, IPS.DST_NAT),
    id: id.readUInt32BE(),
  };
}

function familyHeader(family: Family): Buffer {
  return nfHeader(family === 4 ? NFPROTO.ipv4 : NFPROTO.ipv6);
}

function rawTuple(family: Family, protocol: number, tuple: Partial<FlowTuple> = {}): RawTuple {
  const raw = new Map<Part, Buffer>([["protocol", Buffer.of(protocol)]]);
  for (const part of ["source", "destination"] as const) {
    const text = tuple[part];
    if (text !== undefined) raw.set(part, addressBytes(family, text));
  }
  for (const part of ["sourcePort", "destinationPort"] as const) {
    const port = tuple[part];
    if (port !== undefined) raw.set(part, Buffer.of(port >> 8, port & 0xff));
  }
  return raw;
}

function addressBytes(family: Family, text: string): Buffer {
  const address = parseAddress(text);
  if (address.family !== family) throw new TsnetError("invalid", `${text} is no IPv${family} address`);
  return bytesOfAddress(address);
}

function tupleAttribute(type: number, family: Family, raw: RawTuple): Buffer {
  const groups = [CTA_TUPLE.IP, CTA_TUPLE.PROTO].map((group) => {
    const parts = [...raw].filter(([part]) => PARTS[part].in === group);
    return nestedAttribute(
      group,
      parts.map(([part, bytes]) => bytesAttribute(PARTS[part].type[family], bytes)),
    );
  });
  return nestedAttribute(type, groups);
}

function flagsOf(family: Family, raw: RawTuple): number {
  return [...raw.keys()].reduce((flags, part) => flags | PARTS[part].flag[family], 0);
}

function hasStatus(attributes: Buffer, bit: number): boolean {
  return ((findAttribute(attributes, CTA.STATUS)?.readUInt32BE() ?? 0) & bit) !== 0;
}

/** Whether everything that is wanted of a tuple is so, and its direction has no zone of its own. */
function isTupleLike(wanted: RawTuple, family: Family, tuple: Buffer | undefined): boolean {
  if (tuple === undefined) return false;
  for (const [part, bytes] of wanted) {
    if (partOf(tuple, family, part)?.equals(bytes) !== true) return false;
  }
  return findAttribute(tuple, CTA_TUPLE.ZONE) === undefined;
}

function partOf(tuple: Buffer, family: Family, part: Part): Buffer | undefined {
  const group = findAttribute(tuple, PARTS[part].in);
  return group && findAttribute(group, PARTS[part].type[family]);
}

function parseTuple(family: Family, tuple: Buffer): FlowTuple | undefined {
  const [source, destination] = [partOf(tuple, family, "source"), partOf(tuple, family, "destination")];
  const [sourcePort, destinationPort] = [partOf(tuple, family, "sourcePort"), partOf(tuple, family, "destinationPort")];
  if (!source || !destination || !sourcePort || !destinationPort) return undefined;
  return {
    source: formatAddress(addressOf(family, source)),
    destination: formatAddress(addressOf(family, destination)),
    sourcePort: sourcePort.readUInt16BE(),
    destinationPort: destinationPort.readUInt16BE(),
  };
}

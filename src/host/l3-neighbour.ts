// Entries of the neighbour table (ARP and IPv6 neighbour discovery) as the kernel says them, byte for byte, and the
// requests that copy, test and remove them. Follows include/uapi/linux/neighbour.h (struct ndmsg, NUD_*, NTF_*, NDA_*),
// net/core/neighbour.c (neigh_add, __neigh_update) and RFC 4861 section 7.3 for what the states mean.
import { type Address, bytesOfAddress } from "../cidr.ts";
import { bytesAttribute, findAttribute, parseAttributeList, u32Attribute } from "./netlink.ts";
import { kernelFamily } from "./rtnetlink-address.ts";

const NDA = { DST: 1, CACHEINFO: 3, PROBES: 4, IFINDEX: 8 } as const;
const NTF_USE = 0x01;
const NTF_PROXY = 0x08;
const HEADER_LENGTH = 12;

/** States (NUD_*). */
export const NUD = {
  INCOMPLETE: 0x01,
  REACHABLE: 0x02,
  STALE: 0x04,
  DELAY: 0x08,
  PROBE: 0x10,
  FAILED: 0x20,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const;

/** It was or is known by asking. */
const LEARNED = NUD.REACHABLE | NUD.STALE | NUD.DELAY | NUD.PROBE;

/** Packets have gone there lately. */
const IN_USE = NUD.REACHABLE | NUD.DELAY | NUD.PROBE;

/** A `struct ndmsg` that lists the entries of one link. @param isProxy - those for which it answers in place of another. */
export function neighbourSelection(linkIndex: number, isProxy: boolean): Buffer[] {
  const header = Buffer.alloc(HEADER_LENGTH);
  if (!isProxy) return [header, u32Attribute(NDA.IFINDEX, linkIndex)];
  header.writeUInt8(NTF_PROXY, 10);
  return [header];
}

/** The link of an RTM_NEWNEIGH payload. */
export function linkOfNeighbour(payload: Buffer): number {
  return payload.readInt32LE(4);
}

/** NUD_* of an RTM_NEWNEIGH payload. */
export function stateOf(payload: Buffer): number {
  return payload.readUInt16LE(8);
}

/** What makes it one entry of a link. */
export function neighbourKey(payload: Buffer): string {
  const destination = findAttribute(payload.subarray(HEADER_LENGTH), NDA.DST)?.toString("hex") ?? "";
  return `${payload.readUInt8(0)} ${isProxyEntry(payload) ? "proxy " : ""}${destination}`;
}

/** The key that a gateway's entry has. */
export function gatewayKey(gateway: Address): string {
  return `${kernelFamily(gateway.family)} ${bytesOfAddress(gateway).toString("hex")}`;
}

/** Whether the administrator made it. */
export function isPermanent(payload: Buffer): boolean {
  return (stateOf(payload) & NUD.PERMANENT) !== 0 || isProxyEntry(payload);
}

/** Whether it spares the next packet a question. @param isGateway - then however long ago it was used. */
export function isWorthMoving(payload: Buffer, isGateway: boolean): boolean {
  return (stateOf(payload) & (isGateway ? LEARNED : IN_USE)) !== 0;
}

/** RTM_NEWNEIGH that gives another link the same entry. What was learned must prove itself again: it becomes stale. */
export function neighbourParts(payload: Buffer, linkIndex: number): Buffer[] {
  const header = Buffer.from(payload.subarray(0, HEADER_LENGTH));
  header.writeInt32LE(linkIndex, 4);
  if (!isPermanent(payload)) header.writeUInt16LE(NUD.STALE, 8);
  const attributes = parseAttributeList(payload.subarray(HEADER_LENGTH));
  const kept = attributes.filter(({ type }) => type !== NDA.CACHEINFO && type !== NDA.PROBES);
  return [header, ...kept.map(({ type, value }) => bytesAttribute(type, value))];
}

/** RTM_DELNEIGH. */
export function neighbourRemoval(payload: Buffer, linkIndex: number): Buffer[] {
  const header = Buffer.from(payload.subarray(0, HEADER_LENGTH));
  header.writeInt32LE(linkIndex, 4);
  const destination = findAttribute(payload.subarray(HEADER_LENGTH), NDA.DST) ?? Buffer.alloc(0);
  return [header, bytesAttribute(NDA.DST, destination)];
}

/**
 * RTM_NEWNEIGH that makes the kernel ask a machine whether it is there.
 *
 * @param known - its entry, if its MAC address is known: it is asked there (NUD_PROBE). Otherwise everybody is asked, as
 * for a packet to it (NTF_USE), and the request needs NLM_F_CREATE.
 */
export function questionParts(machine: Address, linkIndex: number, known?: Buffer): Buffer[] {
  const isKnown = known !== undefined && (stateOf(known) & LEARNED) !== 0;
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt8(kernelFamily(machine.family), 0);
  header.writeInt32LE(linkIndex, 4);
  if (isKnown) header.writeUInt16LE(NUD.PROBE, 8);
  else header.writeUInt8(NTF_USE, 10);
  return [header, bytesAttribute(NDA.DST, bytesOfAddress(machine))];
}

function isProxyEntry(payload: Buffer): boolean {
  return (payload.readUInt8(10) & NTF_PROXY) !== 0;
}

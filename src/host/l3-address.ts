// Addresses of a link as the kernel says them, byte for byte, so that another link can be given the same: nothing that a
// message carries is lost, known here or not. Follows include/uapi/linux/if_addr.h, net/ipv4/devinet.c
// (rtm_to_ifaddr) and net/ipv6/addrconf.c (inet6_rtm_newaddr) for what a request may carry.
import { AF_INET6 } from "./libc.ts";
import {
  type Attribute,
  bytesAttribute,
  parseAttributeList,
  parseAttributes,
  textAttribute,
  textOf,
  u32Attribute,
} from "./netlink.ts";

/** A link as messages and paths name it. */
export interface LinkRef {
  readonly index: number;
  readonly name: string;
}

const IFA = { ADDRESS: 1, LOCAL: 2, LABEL: 3, CACHEINFO: 6, FLAGS: 8 } as const;

const IFA_F = { NODAD: 0x02, DADFAILED: 0x08, TENTATIVE: 0x40 } as const;

/** What a request may say: NODAD, HOMEADDRESS, MANAGETEMPADDR, NOPREFIXROUTE, MCAUTOJOIN. The kernel makes the others. */
const SETTABLE_FLAGS = 0x02 | 0x10 | 0x100 | 0x200 | 0x400;

/** IFNAMSIZ without the zero byte. */
const LABEL_LENGTH = 15;

const HEADER_LENGTH = 8;

/** The link of an RTM_NEWADDR payload. */
export function linkOfAddress(payload: Buffer): number {
  return payload.readUInt32LE(4);
}

/** What makes it one address of a link: family, address, peer and prefix length. */
export function addressKey(payload: Buffer): string {
  const attributes = parseAttributes(payload.subarray(HEADER_LENGTH));
  const [local, address] = [IFA.LOCAL, IFA.ADDRESS].map((type) => attributes.get(type)?.toString("hex"));
  return `${payload.readUInt8(0)} ${local ?? address ?? ""} ${address ?? ""}/${payload.readUInt8(1)}`;
}

/**
 * RTM_NEWADDR that gives `target` the address that `source` has.
 *
 * IPv6 addresses that have passed duplicate address detection are usable at once: the first request leaves the detection
 * out, and a second one takes away the mark that this leaves.
 *
 * @param current - the same address as some link has it now: its lifetimes count.
 * @returns the parts of one or two requests, each with NLM_F_CREATE and NLM_F_REPLACE.
 */
export function addressRequests(payload: Buffer, source: LinkRef, target: LinkRef, current = payload): Buffer[][] {
  const lifetimes = parseAttributes(current.subarray(HEADER_LENGTH)).get(IFA.CACHEINFO);
  const attributes = parseAttributeList(payload.subarray(HEADER_LENGTH)).flatMap((attribute) => {
    if (attribute.type === IFA.FLAGS) return [];
    if (attribute.type === IFA.LABEL) return labelOn(attribute, source, target);
    const value = attribute.type === IFA.CACHEINFO ? (lifetimes ?? attribute.value) : attribute.value;
    return [bytesAttribute(attribute.type, value)];
  });
  const flags = flagsOf(payload);
  const request = (asked: number) => [headerFor(payload, target), ...attributes, u32Attribute(IFA.FLAGS, asked)];
  const asked = flags & SETTABLE_FLAGS;
  const isDetected = payload.readUInt8(0) === AF_INET6 && (flags & (IFA_F.TENTATIVE | IFA_F.DADFAILED)) === 0;
  return isDetected && (asked & IFA_F.NODAD) === 0 ? [request(asked | IFA_F.NODAD), request(asked)] : [request(asked)];
}

/** RTM_DELADDR. */
export function addressRemoval(payload: Buffer, link: LinkRef): Buffer[] {
  const named = parseAttributeList(payload.subarray(HEADER_LENGTH)).filter(
    ({ type }) => type === IFA.LOCAL || type === IFA.ADDRESS,
  );
  return [headerFor(payload, link), ...named.map(({ type, value }) => bytesAttribute(type, value))];
}

function headerFor(payload: Buffer, link: LinkRef): Buffer {
  const header = Buffer.from(payload.subarray(0, HEADER_LENGTH));
  header.writeUInt8(0, 2); // the flags stand in their attribute
  header.writeUInt32LE(link.index, 4);
  return header;
}

function flagsOf(payload: Buffer): number {
  return parseAttributes(payload.subarray(HEADER_LENGTH)).get(IFA.FLAGS)?.readUInt32LE() ?? payload.readUInt8(2);
}

/** `eth0:1` becomes `br0:1`. A label that is the link's name, or does not fit, is left to the kernel. */
function labelOn({ type, value }: Attribute, source: LinkRef, target: LinkRef): Buffer[] {
  const label = textOf(value);
  if (label === source.name) return [];
  const renamed = label.startsWith(`${source.name}:`) ? target.name + label.slice(source.name.length) : label;
  return renamed.length > LABEL_LENGTH ? [] : [textAttribute(type, renamed)];
}

// IP addresses of links as rtnetlink says them. Follows rtnetlink(7), include/uapi/linux/if_addr.h and the way
// ip-address(8) fills in local, peer and broadcast address.
import { type Address, type Family, bytesOfAddress, lastOf, subnetOf } from "../cidr.ts";
import { AF_INET, AF_INET6 } from "./libc.ts";
import { bytesAttribute, parseAttributes, u32Attribute } from "./netlink.ts";

const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4, FLAGS: 8 } as const;
const IFA_F_NODAD = 0x02;
const HEADER_LENGTH = 8;

/** An address with the length of its subnet's prefix. */
export interface InterfaceAddress {
  readonly address: Address;
  readonly prefixLength: number;
}

/** An address that some link of this namespace has. */
export interface LinkAddress extends InterfaceAddress {
  readonly linkIndex: number;
  /** `link` for link-local addresses, `host` for loopback; RT_SCOPE_* otherwise counts as `global`. */
  readonly scope: "global" | "link" | "host";
}

/** Reads the payload of an RTM_NEWADDR message. @returns undefined for a family other than IPv4 and IPv6. */
export function parseLinkAddress(payload: Buffer): LinkAddress | undefined {
  const family = familyOf(payload.readUInt8(0));
  const attributes = parseAttributes(payload.subarray(HEADER_LENGTH));
  const bytes = attributes.get(IFA.LOCAL) ?? attributes.get(IFA.ADDRESS); // of a point-to-point link the former is ours
  if (family === undefined || bytes === undefined) return undefined;
  const scope = payload.readUInt8(3);
  return {
    linkIndex: payload.readUInt32LE(4),
    address: addressOf(family, bytes),
    prefixLength: payload.readUInt8(1),
    scope: scope === 253 ? "link" : scope === 254 ? "host" : "global",
  };
}

/** RTM_NEWADDR: IPv6 without duplicate address detection, IPv4 with the subnet's last address for broadcasts. */
export function newAddressParts(linkIndex: number, { address, prefixLength }: InterfaceAddress): Buffer[] {
  const parts = addressParts(linkIndex, { address, prefixLength });
  if (address.family === 6) return [...parts, u32Attribute(IFA.FLAGS, IFA_F_NODAD)];
  if (prefixLength >= 31) return parts; // RFC 3021: no broadcast address in a subnet of two
  const broadcast = lastOf(subnetOf(address, prefixLength));
  return [...parts, bytesAttribute(IFA.BROADCAST, bytesOfAddress({ family: 4, value: broadcast }))];
}

/** RTM_DELADDR. */
export function addressParts(linkIndex: number, { address, prefixLength }: InterfaceAddress): Buffer[] {
  const header = addressHeader(linkIndex);
  header.writeUInt8(kernelFamily(address.family), 0);
  header.writeUInt8(prefixLength, 1);
  const bytes = bytesOfAddress(address);
  return [header, bytesAttribute(IFA.LOCAL, bytes), bytesAttribute(IFA.ADDRESS, bytes)];
}

/** A `struct ifaddrmsg` that asks for the addresses of one link, or with 0 of all. */
export function addressHeader(linkIndex: number): Buffer {
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt32LE(linkIndex, 4);
  return header;
}

/** AF_INET or AF_INET6. */
export function kernelFamily(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** 4 or 6, or undefined for any other AF_*. */
export function familyOf(kernelNumber: number): Family | undefined {
  if (kernelNumber === AF_INET) return 4;
  return kernelNumber === AF_INET6 ? 6 : undefined;
}

/** An address out of its bytes in network order. */
export function addressOf(family: Family, bytes: Buffer): Address {
  return { family, value: BigInt(`0x${bytes.toString("hex")}`) };
}

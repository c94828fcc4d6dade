// Addresses and subnets: text at the edge (parsed by ip-num, printed as RFC 5952 says), bigints inside.
import { IPv4, IPv6 } from "ip-num";
import { TsnetError } from "./errors.ts";

/** 4 or 6. */
export type Family = 4 | 6;

/** One IP address. `value` is the address as an unsigned number of 32 or 128 bits. */
export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

/** A subnet: its first address and its prefix length, 0 to 32 or 0 to 128. */
export interface Subnet {
  readonly family: Family;
  readonly first: bigint;
  readonly prefixLength: number;
}

/** Bits of an address: 32 or 128. */
export function bitsOf(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** The last address of a subnet, as a number. */
export function lastOf(subnet: Subnet): bigint {
  return subnet.first + sizeOf(subnet) - 1n;
}

/** How many addresses a subnet spans, its network and broadcast address included. */
export function sizeOf(subnet: Subnet): bigint {
  return 1n << BigInt(bitsOf(subnet.family) - subnet.prefixLength);
}

/**
 * Reads a bare address such as `10.1.2.3` or `fd00::1`.
 *
 * @throws TsnetError `invalid` for anything else, a zone (`%eth0`) included.
 */
export function parseAddress(text: string): Address {
  try {
    if (/^[0-9.]{7,15}$/.test(text)) return { family: 4, value: new IPv4(text).getValue() };
    if (/^[0-9a-fA-F:.]{2,45}$/.test(text)) return { family: 6, value: new IPv6(text).getValue() };
  } catch {
    // Falls through: ip-num's own words name neither the value nor what is permitted.
  }
  throw new TsnetError("invalid", `${quote(text)} is no IP address`);
}

/**
 * Reads an address with its prefix length, such as `10.1.2.3/24`. The address may have host bits.
 *
 * @throws TsnetError `invalid`.
 */
export function parseAddressWithLength(text: string): { readonly address: Address; readonly prefixLength: number } {
  const [, host = "", length = ""] = /^([^/]*)\/([0-9]{1,3})$/.exec(text) ?? [];
  if (host === "") throw new TsnetError("invalid", `${quote(text)} is no IP address with a prefix length`);
  const address = parseAddress(host);
  const prefixLength = Number(length);
  if (prefixLength > bitsOf(address.family)) {
    throw new TsnetError("invalid", `prefix length of ${text} is outside 0..${bitsOf(address.family)}`);
  }
  return { address, prefixLength };
}

/**
 * Reads a subnet such as `10.1.2.0/24`.
 *
 * @throws TsnetError `invalid`, also for host bits (`10.1.2.3/24`), then with the subnet that was probably meant.
 */
export function parseSubnet(text: string): Subnet {
  const { address, prefixLength } = parseAddressWithLength(text);
  const subnet = subnetOf(address, prefixLength);
  if (subnet.first !== address.value) {
    throw new TsnetError("invalid", `subnet ${text} has host bits set; did you mean ${formatSubnet(subnet)}`);
  }
  return subnet;
}

/** The subnet of that prefix length in which `address` lies. */
export function subnetOf(address: Address, prefixLength: number): Subnet {
  const hostBits = BigInt(bitsOf(address.family) - prefixLength);
  return { family: address.family, first: (address.value >> hostBits) << hostBits, prefixLength };
}

/** The lower and the upper half of a subnet, which must have more than one address. */
export function halvesOf({ family, first, prefixLength }: Subnet): readonly [Subnet, Subnet] {
  const half = { family, prefixLength: prefixLength + 1 };
  return [
    { ...half, first },
    { ...half, first: first + sizeOf({ ...half, first }) },
  ];
}

/** Whether `address` lies in `subnet`. */
export function contains(subnet: Subnet, address: Address): boolean {
  return subnet.family === address.family && address.value >= subnet.first && address.value <= lastOf(subnet);
}

/** Whether two subnets share an address. */
export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.family === b.family && a.first <= lastOf(b) && b.first <= lastOf(a);
}

/** An address as packets have it: 4 or 16 bytes in network order. */
export function bytesOfAddress({ family, value }: Address): Buffer {
  return Buffer.from(value.toString(16).padStart(bitsOf(family) / 4, "0"), "hex");
}

/** `10.1.2.3`, or RFC 5952 form: lower case, the longest run of two or more zero groups as `::`. */
export function formatAddress(address: Address): string {
  if (address.family === 4) return new IPv4(address.value).toString();
  const groups = Array.from({ length: 8 }, (_, i) => Number((address.value >> BigInt(112 - 16 * i)) & 0xffffn));
  let [start, length] = [-1, 1];
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) [start, length] = [i, run];
  }
  const hex = groups.map((group) => group.toString(16));
  if (start < 0) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}

/** `10.1.2.0/24`. */
export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress({ family: subnet.family, value: subnet.first })}/${subnet.prefixLength}`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}...` : text);
}

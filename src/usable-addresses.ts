// Which addresses of a subnet may be given out. RFC 3021: both addresses of an IPv4 /31 are hosts. RFC 6164: both of an IPv6
// /127 too. RFC 4291 2.6.1: the first address of any other IPv6 subnet belongs to its routers together; a user may ask for
// it by name, tsnet never chooses it.
import { type Subnet, lastOf } from "./cidr.ts";

/** Addresses from `first` to `last`, both included; empty when `last` is below `first`. */
export interface Span {
  readonly first: bigint;
  readonly last: bigint;
}

/** The addresses that tsnet chooses from: of `range` if there is one, else of the whole subnet. */
export function automaticSpan(subnet: Subnet, range: Subnet | undefined): Span {
  const isPointToPoint = subnet.prefixLength >= (subnet.family === 4 ? 31 : 127);
  const first = isPointToPoint ? subnet.first : subnet.first + 1n;
  const last = isPointToPoint || subnet.family === 6 ? lastOf(subnet) : lastOf(subnet) - 1n;
  if (range === undefined) return { first, last };
  const rangeLast = lastOf(range);
  return { first: range.first > first ? range.first : first, last: rangeLast < last ? rangeLast : last };
}

/** Why nobody may have the address `value` of `subnet`; undefined when it may be asked for. */
export function findObstacle(subnet: Subnet, value: bigint): string | undefined {
  if (subnet.family === 6 || subnet.prefixLength >= 31) return undefined;
  if (value === subnet.first) return "the network address";
  return value === lastOf(subnet) ? "the broadcast address" : undefined;
}

// The pools that are given out when `--subnet` is missing: the setting TSNET_POOLS, and the search for the lowest free subnet
// in it. The search looks at the subnets in use, never at the free ones: a /32 of IPv6 has four thousand million /64.
import { type Family, type Subnet, bitsOf, formatSubnet, lastOf, overlaps, parseSubnet } from "../cidr.ts";
import { TsnetError, messageOf } from "../errors.ts";
import { findReservation } from "./reserved-subnets.ts";

/** One item of TSNET_POOLS: `base` is cut into subnets of `prefixLength`. */
export interface DefaultPool {
  readonly base: Subnet;
  readonly prefixLength: number;
}

/** A network needs a gateway and an endpoint, besides the two addresses of IPv4 that nobody may have. */
const LONGEST = { 4: 30, 6: 126 } as const satisfies Record<Family, number>;

/**
 * Reads the text of TSNET_POOLS: BASE:PREFIXLENGTH, separated by commas. Empty text is an empty list.
 *
 * @throws TsnetError `invalid` that names every bad item and what is wrong with it.
 */
export function parseDefaultPools(text: string): readonly DefaultPool[] {
  const pools: DefaultPool[] = [];
  const faults: string[] = [];
  if (text.trim() === "") return pools;
  for (const item of text.split(",").map((part) => part.trim())) {
    try {
      const pool = parseItem(item);
      const other = pools.find(({ base }) => overlaps(base, pool.base));
      if (other) faults.push(`${item} overlaps ${formatDefaultPool(other)}`);
      else pools.push(pool);
    } catch (fault) {
      faults.push(messageOf(fault));
    }
  }
  if (faults.length > 0) throw new TsnetError("invalid", faults.join("; "));
  return pools;
}

/** As it stands in TSNET_POOLS: `10.210.0.0/16:24`. */
export function formatDefaultPool(pool: DefaultPool): string {
  return `${formatSubnet(pool.base)}:${pool.prefixLength}`;
}

/** The lowest subnet of `pool` that overlaps nothing in `occupied`; undefined when there is none. */
export function findFreeSubnet(pool: DefaultPool, occupied: readonly Subnet[]): Subnet | undefined {
  const { family } = pool.base;
  const size = 1n << BigInt(bitsOf(family) - pool.prefixLength);
  let first = pool.base.first;
  for (const other of sortedWithin(pool.base, occupied)) {
    if (other.first > first + size - 1n) break;
    const behind = lastOf(other) + 1n;
    if (behind > first) first = ((behind + size - 1n) / size) * size;
  }
  return first > lastOf(pool.base) ? undefined : { family, first, prefixLength: pool.prefixLength };
}

/** How many subnets `pool` is cut into. */
export function countSubnets(pool: DefaultPool): bigint {
  return 1n << BigInt(pool.prefixLength - pool.base.prefixLength);
}

/** How many of them overlap something in `occupied`. */
export function countOccupied(pool: DefaultPool, occupied: readonly Subnet[]): bigint {
  const shift = BigInt(bitsOf(pool.base.family) - pool.prefixLength);
  let [count, next] = [0n, 0n];
  for (const other of sortedWithin(pool.base, occupied)) {
    const from = other.first > pool.base.first ? (other.first - pool.base.first) >> shift : 0n;
    const to = lastOf(other) < lastOf(pool.base) ? (lastOf(other) - pool.base.first) >> shift : countSubnets(pool) - 1n;
    const start = from > next ? from : next;
    if (to < start) continue;
    count += to - start + 1n;
    next = to + 1n;
  }
  return count;
}

function sortedWithin(base: Subnet, occupied: readonly Subnet[]): Subnet[] {
  return occupied
    .filter((subnet) => overlaps(subnet, base))
    .sort((a, b) => (a.first < b.first ? -1 : Number(a.first > b.first)));
}

function parseItem(item: string): DefaultPool {
  const [, baseText = "", length = ""] = /^(.+):([0-9]{1,3})$/.exec(item) ?? [];
  if (baseText === "" || !baseText.includes("/")) {
    throw new TsnetError("invalid", `${JSON.stringify(item)} is not BASE:PREFIXLENGTH, such as 10.210.0.0/16:24`);
  }
  const base = parseSubnet(baseText);
  const reservation = findReservation(base);
  if (reservation !== undefined) throw new TsnetError("invalid", `${item}: ${reservation}`);
  const prefixLength = Number(length);
  const longest = LONGEST[base.family];
  if (prefixLength < base.prefixLength || prefixLength > longest) {
    const permitted = base.prefixLength > longest ? `none, the base is too small` : `${base.prefixLength}..${longest}`;
    throw new TsnetError("invalid", `${item}: prefix length ${prefixLength} is not permitted (${permitted})`);
  }
  return { base, prefixLength };
}

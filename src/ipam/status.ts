// What tsnet says of its pools and of who has which address, as the operator sees it.
import { formatAddress, formatSubnet } from "../cidr.ts";
import type { AddressSpace } from "./address-space.ts";
import type { AddressStatus, IpamStatus, PoolStatus, PoolUsage } from "./requests.ts";
import type { Pool } from "./pool.ts";
import { automaticSpan } from "../usable-addresses.ts";

/** Pools and addresses together that one answer has at most: some 2 MB of JSON. */
const MAX_ENTRIES = 20_000;

/** @param maxEntries - pools and addresses that are listed at most. */
export function statusOfPools(spaces: readonly AddressSpace[], maxEntries = MAX_ENTRIES): IpamStatus {
  const pools: PoolStatus[] = [];
  let left = maxEntries;
  for (const pool of spaces.flatMap((space) => space.pools())) {
    if (left < 1) return { pools, isComplete: false };
    left -= 1;
    const all = addressesOf(pool);
    const addresses = all.slice(0, left);
    left -= addresses.length;
    pools.push({ ...statusOfPool(pool), used: all.length, addresses });
    if (addresses.length < all.length) return { pools, isComplete: false };
  }
  return { pools, isComplete: true };
}

/** How full they are, all of them. */
export function usageOfPools(spaces: readonly AddressSpace[]): readonly PoolUsage[] {
  return spaces.flatMap((space) => space.pools().map(usageOfPool));
}

function usageOfPool({ description, free }: Pool): PoolUsage {
  const { addressSpace, segment, subnet, range } = description;
  const { first, last } = automaticSpan(subnet, range);
  const size = last - first + 1n;
  return { subnet: formatSubnet(subnet), segment, addressSpace, used: Number(size - free), size };
}

function addressesOf(pool: Pool): readonly AddressStatus[] {
  return pool.holdings().map(([address, use]) => ({ address: formatAddress(address), use }));
}

function statusOfPool({ description, free }: Pool): Omit<PoolStatus, "used" | "addresses"> {
  const { id, addressSpace, segment, subnet, range } = description;
  return {
    id,
    addressSpace,
    segment,
    subnet: formatSubnet(subnet),
    ...(range !== undefined && { range: formatSubnet(range) }),
    free: `${free}`,
  };
}

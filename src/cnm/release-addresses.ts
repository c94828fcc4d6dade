// Gives the addresses of an endpoint back to tsnet's own IPAM, where the engine does not.
import { contains, formatAddress, parseAddressWithLength, parseSubnet } from "../cidr.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Network } from "./network.ts";
import type { PoolKeeper } from "./pool-keeper.ts";

/** CIDRs. */
export type HeldAddresses = Pick<Endpoint, "address" | "addressIpv6">;

/** Pool by pool; a pool of another IPAM driver is not tsnet's to release from. */
export async function releaseAddresses(pools: PoolKeeper, network: Network, held: HeldAddresses): Promise<void> {
  const { addressSpace, poolIds } = network;
  for (const text of [held.address, held.addressIpv6]) {
    if (text === undefined) continue;
    const { address } = parseAddressWithLength(text);
    const subnet = network.pools.find((pool) => contains(parseSubnet(pool.subnet), address))?.subnet;
    if (subnet === undefined) continue;
    await pools.releaseAddress(addressSpace, subnet, formatAddress(address), poolIds?.[subnet]);
  }
}

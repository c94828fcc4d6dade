// Why a pool cannot be used at all, or cannot give out an address.
import { type Address, type Subnet, contains, formatAddress, formatSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import type { AddressUse } from "./address-book.ts";
import type { LostPool } from "./recorded-pools.ts";

/** The error for a pool that is not in the records, after `docker plugin rm` for example. */
export function unknownPool(poolId: string): TsnetError {
  const shown = JSON.stringify(poolId.length > 64 ? `${poolId.slice(0, 64)}...` : poolId);
  return new TsnetError(
    "not-found",
    `pool ${shown} is not in the records of tsnet; remove the network and create it again`,
  );
}

/** The error for a pool whose record cannot be read. */
export function damagedPool({ subnet }: LostPool): TsnetError {
  const remedy = "remove its network, and create it again";
  return new TsnetError(
    "host",
    `pool ${formatSubnet(subnet)} gives out no addresses, its record is damaged; ${remedy}`,
  );
}

/** @param text - the address as it was asked for. @throws TsnetError `invalid` for one that is none of the pool's subnet. */
export function requireWithin(subnet: Subnet, address: Address, text: string): void {
  const pool = formatSubnet(subnet);
  if (address.family !== subnet.family)
    throw new TsnetError("invalid", `address ${text} is IPv${address.family}, but pool ${pool} is not`);
  if (!contains(subnet, address)) throw new TsnetError("invalid", `address ${text} is outside of subnet ${pool}`);
}

/** The error for an address that is given out. @param use - what for. */
export function addressInUse(subnet: Subnet, address: Address, use: AddressUse): TsnetError {
  const state = use === "gateway" ? "is the gateway of" : "is already in use in";
  return new TsnetError("conflict", `address ${formatAddress(address)} ${state} pool ${formatSubnet(subnet)}`);
}

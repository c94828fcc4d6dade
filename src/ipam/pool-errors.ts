// Why a pool cannot be used at all.
import { formatSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
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

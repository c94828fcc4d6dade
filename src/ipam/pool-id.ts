// Names of pools, and of the address records in them. A pool id shows its subnet, so that a message can say which network is
// meant even when the records are gone, and ends in a random part: a late repeat of ReleasePool must not hit a newer pool
// of the same subnet.
import { randomBytes } from "node:crypto";
import { type Address, type Subnet, formatAddress, formatSubnet } from "../cidr.ts";

declare const poolIdBrand: unique symbol;

/** `10.1.2.0/24+9f3a61c2`. Opaque to the engine, which hands it back in every later call. */
export type PoolId = string & { readonly [poolIdBrand]: true };

/** Makes the id of a new pool. */
export function createPoolId(subnet: Subnet): PoolId {
  // The brand: this function and `parsePoolId` are where pool ids come from.
  return `${formatSubnet(subnet)}+${randomBytes(4).toString("hex")}` as PoolId;
}

/** @returns `text` as a pool id, or undefined if tsnet would never have made it. */
export function parsePoolId(text: string): PoolId | undefined {
  return /^[0-9a-f.:]{2,45}\/[0-9]{1,3}\+[0-9a-f]{8}$/.test(text) ? (text as PoolId) : undefined;
}

/** Id of the record of one address: `10.1.2.0/24+9f3a61c2#10.1.2.7`. */
export function addressRecordId(poolId: PoolId, address: Address): string {
  return `${poolId}#${formatAddress(address)}`;
}

/** The two parts of an address record's id; a part that is missing is empty. */
export function splitAddressRecordId(recordId: string): { readonly poolId: string; readonly address: string } {
  const [poolId = "", address = ""] = recordId.split("#", 2);
  return { poolId, address };
}

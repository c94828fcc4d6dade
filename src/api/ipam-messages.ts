// The bodies of the IpamDriver calls and of their answers, as the engine writes and reads them, and the way from them
// to `ipam/requests.ts` and back.
//
// Follows moby daemon/libnetwork/ipams/remote/api/api.go and cnm-protocol.md section 3. `Options` may be null or
// missing, everything else is always written by the engine; unknown fields pass.
import { type Static, Type } from "typebox";
import type { IpamDriver, RequestAddress, RequestPool, RequestedPool } from "../ipam/requests.ts";
import {
  AddressOrEmpty,
  CidrOrEmpty,
  NonEmptyText,
  StringMap,
  Text,
  absentable,
  presentText,
  toMap,
} from "./fields.ts";

const ADDRESS_TYPE = "RequestAddressType";
const GATEWAY_TYPE = "com.docker.network.gateway";

/** `RequestPool`. */
export const RequestPoolMessage = Type.Object({
  AddressSpace: Text,
  Pool: CidrOrEmpty,
  SubPool: CidrOrEmpty,
  Options: absentable(StringMap),
  V6: Type.Boolean(),
});
/** `ReleasePool`. */
export const ReleasePoolMessage = Type.Object({ PoolID: NonEmptyText });
/** `RequestAddress`. */
export const RequestAddressMessage = Type.Object({
  PoolID: NonEmptyText,
  Address: AddressOrEmpty,
  Options: absentable(StringMap),
});
/** `ReleaseAddress`. */
export const ReleaseAddressMessage = Type.Object({ PoolID: NonEmptyText, Address: AddressOrEmpty });

/** The answer to `GetCapabilities`: no MAC is needed to choose an address; what the engine asks for anew tells what it still has. */
export const CAPABILITIES = { RequiresMACAddress: false, RequiresRequestReplay: true } as const;

/** Reads `RequestPool`; an empty pool or sub-pool becomes absent. */
export function parseRequestPool(message: Static<typeof RequestPoolMessage>): RequestPool {
  const subnet = presentText(message.Pool);
  const range = presentText(message.SubPool);
  return Object.freeze({
    addressSpace: message.AddressSpace,
    ...(subnet !== undefined && { subnet }),
    ...(range !== undefined && { range }),
    options: toMap(message.Options),
    isIpv6: message.V6,
  });
}

/** Reads `RequestAddress`; an empty address becomes absent. */
export function parseRequestAddress(message: Static<typeof RequestAddressMessage>): RequestAddress {
  const address = presentText(message.Address);
  return Object.freeze({
    poolId: message.PoolID,
    ...(address !== undefined && { address }),
    isGateway: toMap(message.Options).get(ADDRESS_TYPE) === GATEWAY_TYPE,
  });
}

/** The answer to `GetDefaultAddressSpaces`. */
export function formatAddressSpaces(spaces: IpamDriver["addressSpaces"]): object {
  return { LocalDefaultAddressSpace: spaces.local, GlobalDefaultAddressSpace: spaces.global };
}

/** The answer to `RequestPool`. */
export function formatRequestedPool(pool: RequestedPool): object {
  return { PoolID: pool.poolId, Pool: pool.subnet, Data: {} };
}

/** The answer to `RequestAddress`. @param address - CIDR with the pool's prefix length. */
export function formatRequestedAddress(address: string): object {
  return { Address: address, Data: {} };
}

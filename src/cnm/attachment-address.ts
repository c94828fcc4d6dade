// The address of an attachment. Where tsnet is the network's IPAM, it comes out of the pool like any other. Else the engine, or
// another program, gives addresses out and cannot be asked: then the highest one that is free, since the engine begins at the
// lowest; and only where tsnet sees everybody who has an address.
import {
  type Address,
  type Family,
  type Subnet,
  contains,
  formatAddress,
  parseAddress,
  parseAddressWithLength,
  parseSubnet,
} from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { automaticSpan, findObstacle } from "../usable-addresses.ts";
import type { Network, NetworkPool } from "./network.ts";
import type { PoolKeeper } from "./pool-keeper.ts";
import { type EndpointRecord, short } from "./registry.ts";

/** RFC 2526: the highest 128 interface identifiers of a subnet stand for groups of routers. */
const ANYCAST_RESERVED = 128n;

/** What an address is chosen among. */
export interface AddressContext {
  readonly network: Network;
  /** Of the network. */
  readonly endpoints: readonly EndpointRecord[];
  readonly pools: PoolKeeper;
}

/**
 * Takes one address; one of tsnet's own pool is in use from then on.
 *
 * @param wanted - bare; absent: any.
 * @returns CIDR; undefined if the network has no addresses of that family and none is wanted.
 * @throws TsnetError `invalid`, `conflict` for one that cannot be had, `exhausted`; `unsupported` where none can be chosen.
 */
export async function takeAddress(
  family: Family,
  wanted: string | undefined,
  context: AddressContext,
): Promise<string | undefined> {
  const { network } = context;
  const pools = network.pools.filter(({ subnet }) => parseSubnet(subnet).family === family);
  if (wanted !== undefined) return takeWanted(wanted, poolOf(wanted, family, pools), context);
  const [first] = pools;
  if (first === undefined) return undefined;
  if (isOwn(first, context)) return takeNext(pools, context);
  requireOverview(network);
  for (const pool of pools) {
    const found = chooseHighest(pool, context);
    if (found !== undefined) return found;
  }
  throw new TsnetError("exhausted", `no address left in ${pools.map(({ subnet }) => subnet).join(", ")}`);
}

async function takeWanted(wanted: string, pool: NetworkPool, context: AddressContext): Promise<string> {
  const subnet = parseSubnet(pool.subnet);
  const address = parseAddress(wanted);
  const text = formatAddress(address);
  const obstacle = findObstacle(subnet, address.value);
  if (obstacle !== undefined) throw new TsnetError("invalid", `address ${text} is ${obstacle} of ${pool.subnet}`);
  const user = takenIn(pool, context).get(address.value);
  if (user !== undefined) throw new TsnetError("conflict", `address ${text} is ${user}`);
  if (isOwn(pool, context)) return requestFrom(pool, context, text);
  return `${text}/${subnet.prefixLength}`;
}

/** @throws TsnetError `invalid`. */
function poolOf(wanted: string, family: Family, pools: readonly NetworkPool[]): NetworkPool {
  const address = parseAddress(wanted);
  if (address.family !== family) throw new TsnetError("invalid", `${wanted} is no IPv${family} address`);
  const pool = pools.find(({ subnet }) => contains(parseSubnet(subnet), address));
  if (pool !== undefined) return pool;
  const permitted =
    pools.length === 0
      ? `the network has no IPv${family} addresses`
      : `permitted: ${pools.map(({ subnet }) => subnet).join(", ")}`;
  throw new TsnetError("invalid", `address ${wanted} is in no subnet of the network; ${permitted}`);
}

async function takeNext(pools: readonly NetworkPool[], context: AddressContext): Promise<string> {
  const failures: unknown[] = [];
  for (const pool of pools) {
    try {
      return await requestFrom(pool, context);
    } catch (failure) {
      if (!(failure instanceof TsnetError) || failure.code !== "exhausted") throw failure;
      failures.push(failure);
    }
  }
  throw failures.at(-1);
}

function requestFrom({ subnet }: NetworkPool, { network, pools }: AddressContext, address?: string): Promise<string> {
  return pools.requestAddress(network.addressSpace, subnet, address, network.poolIds?.[subnet]);
}

function isOwn({ subnet }: NetworkPool, { network, pools }: AddressContext): boolean {
  return pools.count(network.addressSpace, subnet) !== undefined;
}

/** @throws TsnetError `unsupported` for a network on which others have addresses that tsnet does not know. */
function requireOverview({ uplink, tunnel, isSwitchOurs, switchName }: Network): void {
  const others =
    (uplink !== undefined && `who is behind ${uplink.parent}`) ||
    (tunnel !== undefined && "who is on the other hosts of the tunnel") ||
    (!isSwitchOurs && `who else is on ${switchName}`);
  if (others === false) return;
  const why = `the network's addresses are not given out by tsnet, and ${others} has some of them`;
  throw new TsnetError("unsupported", `no address can be chosen: ${why}; give one with --ip and --ip6`);
}

function chooseHighest(pool: NetworkPool, context: AddressContext): string | undefined {
  const subnet = parseSubnet(pool.subnet);
  const taken = takenIn(pool, context);
  const { first, last } = automaticSpan(subnet, undefined);
  const isLarge = subnet.family === 6 && last - first >= 2n * ANYCAST_RESERVED;
  for (let value = isLarge ? last - ANYCAST_RESERVED : last; value >= first; value -= 1n) {
    if (!taken.has(value)) return `${formatAddress({ family: subnet.family, value })}/${subnet.prefixLength}`;
  }
  return undefined;
}

/** Who has which address of a pool, as far as tsnet knows: `the gateway`. */
function takenIn(pool: NetworkPool, { network, endpoints }: AddressContext): ReadonlyMap<bigint, string> {
  const subnet = parseSubnet(pool.subnet);
  const ofEndpoints = endpoints.flatMap((record) => {
    const { address, addressIpv6 } = record.endpoint;
    const own = [address, addressIpv6].filter((text) => text !== undefined);
    return own.map((text) => [parseAddressWithLength(text).address, `in use by ${callOwner(record)}`] as const);
  });
  const auxiliary = network.auxAddresses?.map((text) => [parseAddress(text), "an --aux-address"] as const) ?? [];
  const gateways = pool.gateway === undefined ? [] : [[parseAddress(pool.gateway), "the gateway"] as const];
  return namedValues([...ofEndpoints, ...auxiliary, ...gateways], subnet);
}

function namedValues(entries: readonly (readonly [Address, string])[], subnet: Subnet): ReadonlyMap<bigint, string> {
  return new Map(entries.filter(([address]) => contains(subnet, address)).map(([{ value }, who]) => [value, who]));
}

/** How an endpoint's owner is called in messages. */
export function callOwner({ endpoint, attachment }: EndpointRecord): string {
  if (attachment === undefined) return `endpoint ${short(endpoint.endpointId)}`;
  return `${attachment.owner.name} (tsnet attach)`;
}

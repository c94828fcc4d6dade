// An Ipam on records in memory, and the requests that tests make of it.
import { type Subnet, parseSubnet } from "../../src/cidr.ts";
import { parseDefaultPools } from "../../src/ipam/default-pools.ts";
import { Ipam } from "../../src/ipam/driver.ts";
import type { RequestPool } from "../../src/ipam/requests.ts";
import type { RecordStore } from "../../src/state/record-store.ts";
import { MemoryStore } from "./memory-store.ts";

export interface IpamSetup {
  readonly records?: RecordStore;
  /** As TSNET_POOLS. */
  readonly pools?: string;
  /** CIDRs of this host's routes. */
  readonly routes?: readonly string[];
  /** Subnets of tsnet's own networks. */
  readonly networks?: readonly string[];
  readonly networksInUse?: readonly string[];
}

/** Where tsnet is no network driver; the engine was there before. */
export const NO_NETWORKS = { isOfNetwork: () => false, isInUse: async () => false, isStartedByEngine: true };

/** A loaded Ipam. */
export function ipamWith(setup: IpamSetup = {}): Ipam {
  const routes: readonly Subnet[] = (setup.routes ?? []).map(parseSubnet);
  const ipam = new Ipam({
    records: setup.records ?? new MemoryStore(),
    defaultPools: parseDefaultPools(setup.pools ?? "10.210.0.0/16:24,fd00:210::/48:64"),
    hostRoutes: { subnets: async () => routes },
    ...NO_NETWORKS,
    isOfNetwork: (_space, subnet) => setup.networks?.includes(subnet) ?? false,
    isInUse: async (_space, subnet) => setup.networksInUse?.includes(subnet) ?? false,
  });
  ipam.load();
  return ipam;
}

/** A RequestPool as the engine makes it for `--subnet`; the family follows the subnet. */
export function poolRequest(subnet?: string, more: Partial<RequestPool> = {}): RequestPool {
  const isIpv6 = subnet?.includes(":") ?? false;
  return { addressSpace: "tsnet", options: new Map(), isIpv6, ...(subnet === undefined ? {} : { subnet }), ...more };
}

/** Makes a pool and returns its id. */
export async function makePool(ipam: Ipam, subnet: string, more: Partial<RequestPool> = {}): Promise<string> {
  const { poolId } = await ipam.requestPool(poolRequest(subnet, more));
  return poolId;
}

/** The next address of a pool, or the given one, for an endpoint. */
export function requestAddress(ipam: Ipam, poolId: string, address?: string): Promise<string> {
  return ipam.requestAddress({ poolId, isGateway: false, ...(address === undefined ? {} : { address }) });
}

/** The gateway of a pool, chosen by tsnet or given. */
export function requestGateway(ipam: Ipam, poolId: string, address?: string): Promise<string> {
  return ipam.requestAddress({ poolId, isGateway: true, ...(address === undefined ? {} : { address }) });
}

/** `--ipam-opt segment=NAME`. */
export function inSegment(name: string): Partial<RequestPool> {
  return { options: new Map([["segment", name]]) };
}

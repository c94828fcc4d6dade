// The arguments and results of the IpamDriver verbs in tsnet's own words. `api/` makes them out of the engine's
// messages, `driver.ts` gives them their meaning. All text is as it came.

export interface RequestPool {
  readonly addressSpace: string;
  /** CIDR of `--subnet`; absent: tsnet chooses one. */
  readonly subnet?: string;
  /** CIDR of `--ip-range`: the part of the subnet that addresses are given out from. */
  readonly range?: string;
  /** What the user gave with `--ipam-opt KEY=VALUE`. */
  readonly options: ReadonlyMap<string, string>;
  readonly isIpv6: boolean;
}

export interface RequestedPool {
  /** Opaque to the engine; stable. */
  readonly poolId: string;
  /** CIDR. */
  readonly subnet: string;
}

export interface RequestAddress {
  readonly poolId: string;
  /** Bare address; absent: tsnet chooses one. */
  readonly address?: string;
  /** Whether the address is for the network's gateway. */
  readonly isGateway: boolean;
}

/** How full a pool is. */
export interface PoolUsage {
  /** CIDR. */
  readonly subnet: string;
  /** Of `--ipam-opt segment`; empty for the default one. */
  readonly segment: string;
  readonly addressSpace: string;
  /** How many of `size` are in use, the gateway's included. With `used` at `size` the next container gets none. */
  readonly used: number;
  /** How many addresses tsnet chooses from: those of `--ip-range`, or of the subnet. */
  readonly size: bigint;
}

/** One address in use. */
export interface AddressStatus {
  /** Bare. */
  readonly address: string;
  /** `endpoint` is also an auxiliary address: the engine does not tell them apart. */
  readonly use: "endpoint" | "gateway";
}

/** One pool as the operator sees it. */
export interface PoolStatus {
  readonly id: string;
  readonly addressSpace: string;
  /** Empty for the default segment. */
  readonly segment: string;
  /** CIDR. */
  readonly subnet: string;
  /** CIDR of the part that addresses are chosen from; absent for all of the subnet. */
  readonly range?: string;
  /** How many addresses are in use. */
  readonly used: number;
  /** How many can be chosen still: decimal digits, since an IPv6 subnet has more than a number of JSON can say. */
  readonly free: string;
  /** Those in use, lowest first. */
  readonly addresses: readonly AddressStatus[];
}

/** What tsnet has given out. */
export interface IpamStatus {
  readonly pools: readonly PoolStatus[];
  /** False when there was more than fits one answer: the last list of addresses, or that of pools, is cut. */
  readonly isComplete: boolean;
}

/**
 * The IpamDriver verbs. Every method rejects with a TsnetError. `signal` aborts when nobody learns of the result any more:
 * what was given out is taken back.
 */
export interface IpamDriver {
  /** The engine has asked what tsnet can do: it does so at its start, and may then ask anew for what it has. */
  noteHandshake(): void;

  /** All pools but those whose records are damaged. Changes nothing and waits for nothing. */
  usage(): readonly PoolUsage[];

  readonly addressSpaces: { readonly local: string; readonly global: string };
  requestPool(request: RequestPool, signal?: AbortSignal): Promise<RequestedPool>;
  /** A pool that was never given out is no failure. */
  releasePool(poolId: string): Promise<void>;
  /** @returns CIDR with the subnet's prefix length. */
  requestAddress(request: RequestAddress, signal?: AbortSignal): Promise<string>;
  /** An address that was never given out is no failure. */
  releaseAddress(poolId: string, address: string): Promise<void>;
  /** Changes nothing and waits for nothing. */
  describe(): IpamStatus;
}

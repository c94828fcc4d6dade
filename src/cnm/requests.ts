// The arguments and results of the NetworkDriver verbs in tsnet's own words. `api/` makes them out of the engine's
// messages, `driver.ts` gives them their meaning. Ids are checked by then; all other text is as the user typed it.
import type { EndpointRef } from "./endpoint.ts";
import type { NetworkId } from "./network.ts";

/** One pool of `CreateNetwork`, as IPAM returned it. */
export interface RequestedPool {
  /** `LocalDefault`, `null`, or the name of a remote IPAM driver's address space. */
  readonly addressSpace: string;
  /** CIDR; `0.0.0.0/0` and `::/0` from the null IPAM. */
  readonly subnet: string;
  /** CIDR with the pool's prefix length; absent if IPAM gave none. */
  readonly gateway?: string;
}

/** What decides the shape of a network before its addresses are known. */
export interface NetworkOptions {
  /** What the user gave with `-o KEY=VALUE`; a key without a value has "". */
  readonly options: ReadonlyMap<string, string>;
  readonly isInternal: boolean;
  readonly hasIpv4: boolean;
  readonly hasIpv6: boolean;
}

export interface CreateNetwork extends NetworkOptions {
  readonly networkId: NetworkId;
  readonly pools: readonly RequestedPool[];
}

export interface CreateEndpoint extends EndpointRef {
  /** `10.1.2.3/24`, absent if the engine has none. */
  readonly address?: string;
  /** `fd00::3/64`. */
  readonly addressIpv6?: string;
  readonly mac?: string;
  /** The endpoint's driver options; keys of the engine itself (`com.docker.network.*`) are left out. */
  readonly options: ReadonlyMap<string, string>;
}

export interface Join extends EndpointRef {
  /** Path of the sandbox's network namespace; need not exist yet. */
  readonly sandboxKey: string;
}

/** What the engine shall do in the sandbox. */
export interface JoinResult {
  readonly sourceName: string;
  readonly destinationPrefix: string;
  /** Bare address; absent for no default route of that family. */
  readonly gateway?: string;
  readonly gatewayIpv6?: string;
  readonly routes: readonly { readonly destination: string; readonly via: string }[];
  /** Keeps the engine from adding an interface on `docker_gwbridge`. */
  readonly isGatewayServiceDisabled: boolean;
}

/** Port mappings of a container: `portCount` is what `-p` and `-P` asked for. */
export interface ProgramExternalConnectivity extends EndpointRef {
  readonly portCount: number;
}

/**
 * The NetworkDriver verbs. All may be called twice and in any order. Every method rejects with a TsnetError.
 * `signal` aborts when the caller has been answered for lack of time: what was done until then is undone.
 */
export interface CnmDriver {
  /** @returns the families for which the network needs no gateway address. */
  checkGatewayAllocation(request: NetworkOptions): { readonly skipIpv4: boolean; readonly skipIpv6: boolean };
  createNetwork(request: CreateNetwork, signal: AbortSignal): Promise<void>;
  deleteNetwork(networkId: NetworkId): Promise<void>;
  /** @returns the MAC that tsnet chose; absent when the request had one. */
  createEndpoint(request: CreateEndpoint, signal: AbortSignal): Promise<{ readonly mac?: string }>;
  deleteEndpoint(ref: EndpointRef): Promise<void>;
  join(request: Join, signal: AbortSignal): Promise<JoinResult>;
  leave(ref: EndpointRef): Promise<void>;
  programExternalConnectivity(request: ProgramExternalConnectivity): Promise<void>;
  revokeExternalConnectivity(ref: EndpointRef): Promise<void>;
}

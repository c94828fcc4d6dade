// The arguments and results of the NetworkDriver verbs in tsnet's own words. `api/` makes them out of the engine's
// messages, `driver.ts` gives them their meaning. Ids are checked by then; all other text is as the user typed it.
import type { Attachment } from "./attachment.ts";
import type { EndpointId, EndpointRef } from "./endpoint.ts";
import type { Backend, NetworkId, NetworkMode, Tunnel } from "./network.ts";
import type { PublishedPort } from "./ports.ts";

/** One pool of `CreateNetwork`, as IPAM returned it. */
export interface RequestedPool {
  /** `LocalDefault`, `null`, or the name of a remote IPAM driver's address space. */
  readonly addressSpace: string;
  /** CIDR; `0.0.0.0/0` and `::/0` from the null IPAM. */
  readonly subnet: string;
  /** CIDR with the pool's prefix length; absent if IPAM gave none. */
  readonly gateway?: string;
  /** CIDR, of `--aux-address`; absent for none. */
  readonly auxAddresses?: readonly string[];
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

/** One entry of a container's port map: its form is checked, its meaning is not. */
export interface RequestedBinding {
  /** Number of the IP protocol: 6 is tcp, 17 udp, 132 sctp. */
  readonly protocol: number;
  readonly containerPort: number;
  /** Bare address; "" for all addresses of both families. */
  readonly hostAddress: string;
  /** 0 to choose one. */
  readonly hostPort: number;
  /** The last one of a range, any free one of which will do; 0 like `hostPort`. */
  readonly hostPortEnd: number;
}

export interface CreateEndpoint extends EndpointRef {
  /** `10.1.2.3/24`, absent if the engine has none. */
  readonly address?: string;
  /** `fd00::3/64`. */
  readonly addressIpv6?: string;
  readonly mac?: string;
  /** The endpoint's driver options; keys of the engine itself (`com.docker.network.*`) are left out. */
  readonly options: ReadonlyMap<string, string>;
  /** What `-p` and `-P` asked for; absent for nothing. */
  readonly portMap?: readonly RequestedBinding[];
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
  /** Without `via`: the destination is on the link. */
  readonly routes: readonly { readonly destination: string; readonly via?: string }[];
  /** Keeps the engine from adding an interface on `docker_gwbridge`. */
  readonly isGatewayServiceDisabled: boolean;
}

/** What a container publishes through this endpoint from now on, in place of whatever that was before. */
export interface ProgramExternalConnectivity extends EndpointRef {
  /** What `-p` and `-P` asked for; empty for nothing. */
  readonly portMap: readonly RequestedBinding[];
  /** Whether another endpoint of the container has the host's IPv6 addresses (`no_proxy_6to4` of the engine). */
  readonly isHostIpv6Elsewhere?: boolean;
}

/** An endpoint as the operator sees it. */
export interface EndpointStatus {
  readonly id: EndpointId;
  /** `created`: known to the engine; `joined`: in a container; `removing`: a removal that goes on. */
  readonly state: "created" | "joined" | "removing";
  /** With prefix length, IPv4 first. */
  readonly addresses: readonly string[];
  readonly mac: string;
  /** Bytes. */
  readonly mtu: number;
  /** The link on the host that leads to the container. */
  readonly hostLink: string;
  /** VLAN of the untagged frames. */
  readonly vlan?: number;
  /** VLANs of the tagged frames. */
  readonly trunk?: readonly number[];
  /** What is published; `hostAddress` "" is all addresses, `hostPort` 0 (mode routed) is not translated. */
  readonly ports: readonly PublishedPort[];
  /** Of an endpoint that `tsnet attach` made, and not the engine. */
  readonly attachment?: Attachment;
}

/** A network as the operator sees it. */
export interface NetworkStatus {
  readonly id: NetworkId;
  /** `creating`: not answered yet; `removing`: it goes with its last endpoint. */
  readonly state: "creating" | "ready" | "removing";
  readonly mode: NetworkMode;
  readonly isInternal: boolean;
  readonly backend: Backend;
  readonly switch: string;
  /** VLAN of the untagged frames of its endpoints. */
  readonly vlan?: number;
  /** VLANs of their tagged frames. */
  readonly trunk?: readonly number[];
  /** The switch's link to the world. */
  readonly parent?: string;
  /** The switch's way to other hosts. */
  readonly tunnel?: Tunnel;
  readonly mtu: number;
  /** What the names of interfaces in containers begin with. */
  readonly ifPrefix: string;
  readonly subnets: readonly string[];
  readonly icc: boolean;
  readonly antispoof: boolean;
  /** Where ports are published by default; absent for all addresses. */
  readonly hostBinding?: string;
  readonly endpoints: readonly EndpointStatus[];
}

/** What tsnet has on this host. */
export interface CnmStatus {
  readonly networks: readonly NetworkStatus[];
  /** What of the records is damaged, what that means and what to do, a line each; absent if nothing is. */
  readonly damage?: readonly string[];
  /** False when there was more than fits one answer: the list is cut. */
  readonly isComplete: boolean;
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
  programExternalConnectivity(request: ProgramExternalConnectivity, signal: AbortSignal): Promise<void>;
  revokeExternalConnectivity(ref: EndpointRef): Promise<void>;
  /** Changes nothing and waits for nothing. @returns undefined for an endpoint that tsnet does not know. */
  describeEndpoint(ref: EndpointRef): EndpointStatus | undefined;
  /** Changes nothing and waits for nothing. @param maxEntries - networks, endpoints and ports at most; default 20,000. */
  describe(maxEntries?: number): CnmStatus;
}

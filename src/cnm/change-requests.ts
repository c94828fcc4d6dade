// What `tsnet set` and `tsnet plan` ask of the daemon and what they are told, in tsnet's own words. Ids are checked by then;
// all other text is as the operator typed it.
import type { AttachmentOwner } from "./attachment.ts";
import type { EndpointId, EndpointRef } from "./endpoint.ts";
import type { NetworkId } from "./network.ts";

/** KEY=VALUE as for `docker network create -o`; `none` takes VLANs away. */
interface Wishes {
  readonly options: ReadonlyMap<string, string>;
}

export interface SetNetwork extends Wishes {
  readonly networkId: NetworkId;
}

export interface SetEndpoint extends Wishes, EndpointRef {}

/** A network that might be created. */
export interface PlanNetwork extends Wishes {
  readonly isInternal: boolean;
  readonly hasIpv6: boolean;
  /** CIDRs; without a gateway it is the first address; empty: IPAM will say. */
  readonly pools: readonly { readonly subnet: string; readonly gateway?: string }[];
}

/** One property that has another value now, as options are written; `none` for no value. */
export interface Change {
  readonly key: string;
  readonly from: string;
  readonly to: string;
}

/** What a change leaves to be done inside a container, where the daemon has no right to be. */
export interface InsideChange {
  readonly endpointId: EndpointId;
  /** Path of the network namespace, unless there is an owner. */
  readonly sandboxKey: string;
  /** Of an attachment: in whose namespace it is. */
  readonly owner?: AttachmentOwner;
  /** By which the link is found there. */
  readonly mac: string;
  /** Bytes, of the link. */
  readonly mtu?: number;
  /** Addresses with their prefix lengths that the link has no more, and those that it has in their place. */
  readonly addresses: readonly { readonly from: string; readonly to: string }[];
}

/** What was changed; `changes` is empty when all was so already. */
export interface SetAnswer {
  readonly changes: readonly Change[];
  readonly inside: readonly InsideChange[];
}

/** What would be done, in order. */
export interface PlanAnswer {
  readonly steps: readonly string[];
}

/** The verbs behind `tsnet set` and `tsnet plan`. Every method rejects with a TsnetError. */
export interface ChangeVerbs {
  setNetwork(request: SetNetwork, signal: AbortSignal): Promise<SetAnswer>;
  setEndpoint(request: SetEndpoint, signal: AbortSignal): Promise<SetAnswer>;
  /** Changes nothing. */
  plan(request: PlanNetwork): Promise<PlanAnswer>;
}

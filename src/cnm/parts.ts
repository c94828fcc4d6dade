// What the verbs, the removals and the reconciliation share: the records, the host behind three interfaces, and the locks.
import { KeyedLock } from "../keyed-lock.ts";
import type { Datapaths, HostLinks } from "./datapath.ts";
import type { Endpoint, EndpointRef } from "./endpoint.ts";
import type { Firewall } from "./firewall.ts";
import type { Network } from "./network.ts";
import type { PoolKeeper } from "./pool-keeper.ts";
import type { PortHolder } from "./ports.ts";
import type { Registry } from "./registry.ts";

/** The parts that the verbs work with. */
export interface CnmParts {
  readonly registry: Registry;
  readonly datapaths: Datapaths;
  readonly links: HostLinks;
  readonly firewall: Firewall;
  /** Who holds published ports on this host. */
  readonly ports: PortHolder;
  readonly locks: CnmLocks;
  /** tsnet's own IPAM. */
  readonly pools: PoolKeeper;
  /** Gives the addresses of an endpoint that the engine forgot back to IPAM, as far as they came from tsnet's own. */
  readonly releaseAddresses: (
    network: Network,
    endpoint: Pick<Endpoint, "endpointId" | "address" | "addressIpv6">,
  ) => Promise<void>;
}

/** Networks are made and removed one at a time, since they share switches and rules; endpoints one at a time each. */
export class CnmLocks {
  readonly #locks = new KeyedLock();

  networks<T>(task: () => Promise<T>): Promise<T> {
    return this.#locks.run("networks", task);
  }

  /** Whether a task for that endpoint runs or waits. */
  isBusy({ endpointId }: Pick<EndpointRef, "endpointId">): boolean {
    return this.#locks.isHeld(endpointId);
  }

  /** Holds the locks of all of these at once. Whoever needs that holds the lock of all networks before. */
  endpoints<T>(refs: readonly Pick<EndpointRef, "endpointId">[], task: () => Promise<T>): Promise<T> {
    const [first, ...rest] = refs;
    return first === undefined ? task() : this.endpoint(first, () => this.endpoints(rest, task));
  }

  endpoint<T>({ endpointId }: Pick<EndpointRef, "endpointId">, task: () => Promise<T>): Promise<T> {
    return this.#locks.run(endpointId, task);
  }
}

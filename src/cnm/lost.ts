// Removes what the engine forgot: endpoints, networks and addresses whose end it never told. Each is judged by proof in a
// file of its own, and only when it has been found so for a while.
import type { Log } from "../log.ts";
import { ADDRESS_GRACE_MS, hasAddressesOfFormerLife, releaseLostAddresses } from "./lost-addresses.ts";
import { LostEndpoints, isOutOfUse } from "./lost-endpoints.ts";
import { LostNetworks, isAbandoned } from "./lost-networks.ts";
import type { NetworkId } from "./network.ts";
import type { EndpointId } from "./endpoint.ts";
import type { CnmParts } from "./parts.ts";
import type { RepairWatch } from "./repairs.ts";
import { Removal } from "./removal.ts";

/** Runs a task and logs its failure. @returns whether it succeeded. */
type Attempt = (kind: string, id: string, task: () => Promise<void>) => Promise<boolean>;

/** See the top of this file. */
export class Lost {
  readonly #parts: CnmParts;
  readonly #log: Log;
  readonly #watch: RepairWatch;
  readonly #removal: Removal;
  readonly #endpoints: LostEndpoints;
  readonly #networks: LostNetworks;
  readonly #startedAt = performance.now();
  #areAddressesReleased = false;
  #areOperatorsReleased = false;

  constructor(parts: CnmParts, log: Log, watch: RepairWatch) {
    this.#parts = parts;
    this.#log = log;
    this.#watch = watch;
    this.#removal = new Removal(parts);
    this.#endpoints = new LostEndpoints(parts.registry, parts.links);
    this.#networks = new LostNetworks(parts);
  }

  /** Looks at everything. @returns whether nothing failed, and in how many milliseconds to look again, if that is known. */
  async remove(attempt: Attempt): Promise<{ readonly isComplete: boolean; readonly againInMs?: number }> {
    const endpoints = await this.#endpoints.look();
    const networks = await this.#networks.look();
    const outcomes = [await this.#releaseAddresses(attempt)];
    for (const id of endpoints.overdue) outcomes.push(await this.#removeEndpoint(id, attempt));
    for (const id of networks.overdue) outcomes.push(await attempt("network", id, () => this.#removeNetwork(id)));
    const isToCome = !this.#areAddressesReleased && hasAddressesOfFormerLife(this.#parts);
    const ofAddresses = isToCome ? this.#addressGraceMs() : undefined;
    const waits = [endpoints.againInMs, networks.againInMs, ofAddresses].filter((wait) => wait !== undefined);
    return { isComplete: !outcomes.includes(false), ...(waits.length > 0 && { againInMs: Math.min(...waits) }) };
  }

  async #removeEndpoint(endpointId: EndpointId, attempt: Attempt): Promise<boolean> {
    const { locks, registry, links } = this.#parts;
    const endpoint = registry.findEndpoint(endpointId)?.endpoint;
    if (endpoint === undefined) return true;
    const { networkId } = endpoint;
    const remove = async () => {
      if (registry.findEndpoint(endpointId) === undefined || !(await isOutOfUse(links, endpoint))) return;
      await this.#removal.lostEndpoint(endpoint);
      this.#watch.noteRepair("forgotten-endpoint", { networkId, endpointId });
      this.#log.info({ networkId, endpointId }, "forgotten endpoint removed");
    };
    const isRemoved = await attempt("endpoint", endpointId, () => locks.endpoint(endpoint, remove));
    await attempt("network", networkId, () => this.#removal.finishNetworkOf(networkId));
    return isRemoved;
  }

  async #removeNetwork(id: NetworkId): Promise<void> {
    await this.#parts.locks.networks(async () => {
      const known = this.#parts.registry.findNetwork(id);
      if (known?.state !== "ready" || !(await isAbandoned(known.network, this.#parts))) return;
      await this.#removal.lostNetwork(id);
      this.#watch.noteRepair("forgotten-network", { networkId: id });
      this.#log.info({ networkId: id }, "forgotten network removed");
    });
  }

  #addressGraceMs(): number {
    return Math.max(0, this.#startedAt + ADDRESS_GRACE_MS - performance.now());
  }

  /** Once in a life: later on tsnet hears everything. The operator's at once: who typed a command may type it again. */
  async #releaseAddresses(attempt: Attempt): Promise<boolean> {
    const isOver = this.#addressGraceMs() <= 0;
    if (isOver ? this.#areAddressesReleased : this.#areOperatorsReleased) return true;
    return attempt("addresses", "", async () => {
      const released = await releaseLostAddresses(this.#parts, !isOver);
      this.#areAddressesReleased = isOver;
      this.#areOperatorsReleased = true;
      for (const _address of released) this.#watch.noteRepair("forgotten-address");
      if (released.length > 0) this.#log.info({ addresses: released }, "forgotten addresses released");
    });
  }
}

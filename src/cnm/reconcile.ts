// Makes the host be as the records say: at start, and whenever somebody changed links or rules. What was being made or
// removed when the daemon died is removed; networks, ports and rules that should be there are put back. It is the same
// code as creation, so where nothing is wrong nothing is written.
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { LostEndpoints, isOutOfUse } from "./lost-endpoints.ts";
import type { CnmParts } from "./parts.ts";
import type { NetworkId } from "./network.ts";
import { short } from "./registry.ts";
import { Removal } from "./removal.ts";

/** How long after a change on the host it is looked at: one look for a burst of changes. */
const SETTLE_MS = 300;

/** How often removals that could not be finished are tried again. */
const RETRY_MS = 15_000;

/** What may have changed on the host. Rules cost processes to look at, links do not. */
export type Changed = "links" | "firewall";

const EVERYTHING: ReadonlySet<Changed> = new Set(["links", "firewall"]);

/** Compares and repairs; see the top of this file. */
export class Reconciler {
  readonly #parts: CnmParts;
  readonly #log: Log;
  readonly #removal: Removal;
  readonly #lost: LostEndpoints;
  #wake: { readonly timer: NodeJS.Timeout; readonly at: number } | undefined;
  #pending = new Set<Changed>();
  #isClosed = false;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: CnmParts, log: Log) {
    this.#parts = parts;
    this.#log = log;
    this.#removal = new Removal(parts);
    this.#lost = new LostEndpoints(parts.registry, parts.datapath);
  }

  /**
   * Recovery at start. A single network that cannot be brought back is logged and does not keep the others away.
   *
   * @param isNewBoot - whether the host was started anew since the records were written: no endpoint survives that.
   */
  async recover(isNewBoot: boolean): Promise<void> {
    const { registry } = this.#parts;
    for (const { endpoint, state } of registry.endpoints()) {
      if (!isNewBoot && state !== "removing") continue;
      await this.#attempt("endpoint", endpoint.endpointId, () => this.#removal.endpoint(endpoint));
    }
    for (const { network, state } of registry.networks()) {
      if (state === "creating") await this.#attempt("network", network.id, () => this.#removal.network(network));
    }
    await this.run();
  }

  /** Looks soon at what changed, once for a burst of calls. */
  schedule(changed: Changed): void {
    this.#pending.add(changed);
    this.#wakeIn(SETTLE_MS);
  }

  /** Looks now. Failures are logged; those of removals and repairs are tried again later. */
  async run(changed: ReadonlySet<Changed> = EVERYTHING): Promise<void> {
    let isComplete = await this.#finishRemovals();
    if (changed.has("links")) {
      for (const { id } of this.#parts.registry.live()) {
        isComplete = (await this.#attempt("network", id, () => this.#ensureNetwork(id))) && isComplete;
      }
      isComplete = (await this.#removeLost()) && isComplete;
    }
    if (changed.has("firewall")) {
      isComplete = (await this.#attempt("firewall", "", () => this.#ensureRules())) && isComplete;
    }
    if (isComplete) return;
    this.#pending = new Set(EVERYTHING);
    this.#wakeIn(RETRY_MS);
  }

  #wakeIn(delayMs: number): void {
    const at = performance.now() + delayMs;
    if (this.#isClosed || (this.#wake !== undefined && this.#wake.at <= at)) return;
    clearTimeout(this.#wake?.timer);
    const timer = setTimeout(() => {
      this.#wake = undefined;
      const changed = this.#pending;
      this.#pending = new Set();
      this.#running = this.#running.then(() => this.run(changed));
    }, delayMs);
    this.#wake = { timer, at };
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  /** Nothing starts any more; what is under way ends. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#wake?.timer);
  }

  async #removeLost(): Promise<boolean> {
    const { locks, registry, datapath } = this.#parts;
    const { lost, againInMs } = await this.#lost.look();
    let isComplete = true;
    for (const endpoint of lost) {
      const remove = async () => {
        if (registry.findEndpoint(endpoint.endpointId) === undefined || !(await isOutOfUse(datapath, endpoint))) return;
        await this.#removal.lostEndpoint(endpoint);
        this.#log.info(
          { networkId: endpoint.networkId, endpointId: endpoint.endpointId },
          "forgotten endpoint removed",
        );
      };
      const task = () => locks.endpoint(endpoint, remove);
      isComplete = (await this.#attempt("endpoint", endpoint.endpointId, task)) && isComplete;
      await this.#attempt("network", endpoint.networkId, () => this.#removal.finishNetworkOf(endpoint.networkId));
    }
    if (againInMs !== undefined) {
      this.#pending.add("links");
      this.#wakeIn(againInMs);
    }
    return isComplete;
  }

  async #finishRemovals(): Promise<boolean> {
    const { registry, locks } = this.#parts;
    let isComplete = true;
    for (const { endpoint, state } of registry.endpoints()) {
      const isLeftOver = state === "created" && registry.findNetwork(endpoint.networkId)?.state === "removing";
      if (state !== "removing" && !isLeftOver) continue;
      const task = () => locks.endpoint(endpoint, () => this.#removal.endpoint(endpoint));
      isComplete = (await this.#attempt("endpoint", endpoint.endpointId, task)) && isComplete;
    }
    for (const { network, state } of registry.networks()) {
      if (state !== "removing") continue;
      isComplete =
        (await this.#attempt("network", network.id, () => this.#removal.finishNetworkOf(network.id))) && isComplete;
    }
    return isComplete;
  }

  /** The switch with its addresses, and the ports of the joined endpoints that still exist. */
  async #ensureNetwork(id: NetworkId): Promise<void> {
    const { registry, locks, datapath } = this.#parts;
    await locks.networks(async () => {
      const record = registry.findNetwork(id);
      if (record?.state !== "ready") return;
      await datapath.ensureNetwork(record.network);
      for (const { endpoint } of registry.endpointsOf(id)) {
        await locks.endpoint(endpoint, async () => {
          const known = registry.findEndpoint(endpoint.endpointId);
          if (known?.state === "joined") await datapath.reattach(record.network, known.endpoint);
        });
      }
    });
  }

  async #ensureRules(): Promise<void> {
    const { registry, locks, firewall } = this.#parts;
    const hasRepaired = await locks.networks(() => firewall.apply(registry.live()));
    if (hasRepaired) this.#log.info({ networks: registry.live().length }, "firewall rules put in place");
  }

  async #attempt(kind: string, id: string, task: () => Promise<void>): Promise<boolean> {
    try {
      await task();
      return true;
    } catch (failure) {
      this.#log.error({ kind, id: short(id), err: messageOf(failure) }, "reconciliation failed, will be tried again");
      return false;
    }
  }
}

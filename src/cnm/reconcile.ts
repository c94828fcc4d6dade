// Makes the host be as the records say: at start, and whenever somebody changed links or rules. What was being made or
// removed when the daemon died is removed; what should be there is put back. It is the same code as creation, so where
// nothing is wrong nothing is written.
import { TsnetError, codeOf, messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { finishChange } from "./change-network.ts";
import { type ChangedLinks, concernsNetwork, concernsPort, union } from "./changed-links.ts";
import { type RepairWatch, UNWATCHED } from "./repairs.ts";
import { Lost } from "./lost.ts";
import type { CnmParts } from "./parts.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Backend, Network, NetworkId } from "./network.ts";
import { Publishing, needsHairpin } from "./publishing.ts";
import { type EndpointRecord, short } from "./registry.ts";
import { Removal } from "./removal.ts";

/** How long after a change on the host it is looked at: one look for a burst of changes. What is lost of the rules opens doors. */
const SETTLE_MS = { links: 300, firewall: 50 } as const satisfies Record<Changed, number>;

/** How often removals that could not be finished, and ports that are taken, are tried again. */
const RETRY_MS = 15_000;

/** What may have changed on the host. Rules cost processes to look at, links do not. */
export type Changed = "links" | "firewall";

const EVERYTHING: ReadonlySet<Changed> = new Set(["links", "firewall"]);

/** See the top of this file. */
export class Reconciler {
  readonly #parts: CnmParts;
  readonly #log: Log;
  readonly #watch: RepairWatch;
  readonly #removal: Removal;
  readonly #lost: Lost;
  readonly #publishing: Publishing;
  #wake: { readonly timer: NodeJS.Timeout; readonly at: number } | undefined;
  /** When ports that were taken are tried again, by performance.now(). */
  #holdAt = 0;
  #pending = new Set<Changed>();
  #changedLinks: ChangedLinks = new Set();
  #isClosed = false;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: CnmParts, log: Log, watch = UNWATCHED) {
    this.#parts = parts;
    this.#log = log;
    this.#watch = watch;
    this.#removal = new Removal(parts);
    this.#publishing = new Publishing(parts);
    this.#lost = new Lost(parts, log, watch);
  }

  /**
   * Recovery at start. A single network that cannot be brought back is logged and does not keep the others away.
   * @param isNewBoot - whether the host was started anew since the records were written: no link survives that.
   */
  async recover(isNewBoot: boolean): Promise<void> {
    const { registry } = this.#parts;
    for (const record of registry.endpoints()) {
      if (!isNewBoot && record.state !== "removing") continue;
      // Its rules go when they are applied below: what is there now is not known.
      await this.#attempt("endpoint", record.endpoint.endpointId, () => this.#removal.vanished(record));
    }
    if (isNewBoot) registry.damage.noteNewBoot();
    for (const id of isNewBoot ? registry.damage.idsOf("endpoint") : [])
      await this.#attempt("endpoint", id, () => registry.damage.remove("endpoint", id));
    for (const { network, state } of registry.networks()) {
      if (state === "creating") await this.#attempt("network", network.id, () => this.#removal.network(network));
    }
    await this.run();
  }

  /** Looks soon at what changed, once for a burst of calls. @param names - of the links that changed; absent: any. */
  schedule(changed: Changed, names?: ChangedLinks): void {
    this.#pending.add(changed);
    if (changed === "links") this.#changedLinks = union(this.#changedLinks, names);
    this.#wakeIn(SETTLE_MS[changed]);
  }

  /**
   * Looks now. The rules come first: a switch that is made again has them from its first frame on, and what is being
   * removed has no place in them. Failures are logged; those of removals and repairs are tried again later.
   */
  async run(changed: ReadonlySet<Changed> = EVERYTHING, links?: ChangedLinks): Promise<void> {
    let isComplete = await this.#attempt("firewall", "", async () => {
      if (this.#mustLookAtRules(changed)) await this.#ensureRules();
    });
    isComplete = (await this.#finishRemovals()) && isComplete;
    await this.#holdPorts();
    if (changed.has("links")) {
      isComplete = (await this.#ensureNetworks(links)) && isComplete;
      isComplete = (await this.#removeLost()) && isComplete;
    }
    if (isComplete) return;
    this.#pending = new Set(EVERYTHING);
    this.#changedLinks = undefined;
    this.#wakeIn(RETRY_MS);
  }

  #mustLookAtRules(changed: ReadonlySet<Changed>): boolean {
    const { registry, firewall } = this.#parts;
    if (changed.has("firewall") || registry.endpoints().some((record) => this.#isLeftOver(record))) return true;
    return changed.has("links") && firewall.goesByLinks();
  }

  #wakeIn(delayMs: number): void {
    const at = performance.now() + delayMs;
    if (this.#isClosed || (this.#wake !== undefined && this.#wake.at <= at)) return;
    clearTimeout(this.#wake?.timer);
    const timer = setTimeout(() => {
      this.#wake = undefined;
      const [changed, links] = [this.#pending, this.#changedLinks];
      [this.#pending, this.#changedLinks] = [new Set(), new Set()];
      this.#running = this.#running.then(() => this.run(changed, links));
    }, delayMs);
    this.#wake = { timer, at };
  }

  /** Resolves when nothing is under way. */
  idle = (): Promise<void> => this.#running;

  /** Nothing starts any more; what is under way ends. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#wake?.timer);
  }

  async #removeLost(): Promise<boolean> {
    const { isComplete, againInMs } = await this.#lost.remove((kind, id, task) => this.#attempt(kind, id, task));
    if (againInMs !== undefined) this.#lookAgain(againInMs);
    return isComplete;
  }

  /** Whether an endpoint's removal was begun, and nobody is at it. */
  #isLeftOver({ endpoint, state }: EndpointRecord): boolean {
    return state === "removing" && !this.#parts.locks.isBusy(endpoint);
  }

  /** Looks again though nothing may change. */
  #lookAgain(delayMs: number): void {
    this.#pending.add("links");
    this.#wakeIn(delayMs);
  }

  async #finishRemovals(): Promise<boolean> {
    const { registry, locks } = this.#parts;
    let isComplete = true;
    for (const record of registry.endpoints()) {
      const { endpoint, state } = record;
      if (state === "removing" && locks.isBusy(endpoint)) this.#lookAgain(RETRY_MS);
      const hasNoNetwork = state === "created" && registry.findNetwork(endpoint.networkId)?.state === "removing";
      if (!this.#isLeftOver(record) && !hasNoNetwork) continue;
      const task = () => locks.endpoint(endpoint, () => this.#removal.endpointWithoutRules(endpoint));
      isComplete = (await this.#attempt("endpoint", endpoint.endpointId, task)) && isComplete;
    }
    for (const { network, state } of registry.networks()) {
      if (state !== "removing") continue;
      const finish = async () => {
        await registry.putNetwork(network, "removing"); // if that could not be recorded
        await this.#removal.finishNetworkOf(network.id);
      };
      isComplete = (await this.#attempt("network", network.id, finish)) && isComplete;
    }
    return isComplete;
  }

  /** All networks; those of one kind of switch, once that is found to be away, wait for the next time without delaying others. */
  async #ensureNetworks(links: ChangedLinks): Promise<boolean> {
    const away = new Set<Backend>();
    let isComplete = true;
    const networks = this.#parts.registry.live();
    const switches: ReadonlySet<string> = new Set(networks.map(({ switchName }) => switchName));
    for (const network of networks) {
      const { id, backend } = network;
      const isConcerned = concernsNetwork(links, network, switches);
      if (!isConcerned && this.#portsOf(network, links).length === 0) continue;
      const task = () =>
        this.#ensureNetwork(id, isConcerned, links).catch((failure: unknown) => {
          if (failure instanceof TsnetError && failure.code === "unavailable") away.add(backend);
          throw failure;
        });
      isComplete = !away.has(backend) && (await this.#attempt("network", id, task)) && isComplete;
    }
    return isComplete;
  }

  /** The switch with its addresses, and the ports of the joined endpoints that still exist. */
  async #ensureNetwork(id: NetworkId, isConcerned: boolean, links: ChangedLinks): Promise<void> {
    const { registry, locks, datapaths } = this.#parts;
    await locks.networks(async () => {
      const record = registry.findNetwork(id);
      if (record?.state !== "ready" || registry.damage.mayShare(record.network)) return;
      const datapath = datapaths[record.network.backend];
      await finishChange(record, this.#parts);
      const ensure = () => datapath.ensureNetwork(record.network, registry.sharersOf(record.network));
      if (isConcerned && (await ensure())) this.#watch.noteRepair("network", { networkId: id });
      for (const endpoint of this.#portsOf(record.network, links)) {
        await locks.endpoint(endpoint, async () => {
          const known = registry.findEndpoint(endpoint.endpointId);
          if (known?.state !== "joined") return;
          const isHairpin = needsHairpin(record.network, known);
          const isRepaired = await datapath.reattach(record.network, known.endpoint, isHairpin);
          if (isRepaired) this.#watch.noteRepair("endpoint", endpoint);
        });
      }
    });
  }

  /** The endpoints whose ports may have changed. */
  #portsOf(network: Network, links: ChangedLinks): readonly Endpoint[] {
    const endpoints = this.#parts.registry.endpointsOf(network.id).map(({ endpoint }) => endpoint);
    return endpoints.filter((endpoint) => concernsPort(links, network, endpoint));
  }

  /** Reserves published ports that are not: after a start all of them. One that is taken meanwhile keeps its rules. */
  async #holdPorts(): Promise<void> {
    const { registry, locks } = this.#parts;
    const unheld = registry.endpoints().filter(({ endpoint }) => this.#publishing.findUnheld(endpoint.endpointId));
    if (unheld.length === 0) return;
    let isComplete = true;
    if (performance.now() >= this.#holdAt) {
      for (const { endpoint } of unheld) {
        const task = () => locks.endpoint(endpoint, () => this.#publishing.holdAgain(endpoint.endpointId));
        isComplete = (await this.#attempt("published ports of endpoint", endpoint.endpointId, task)) && isComplete;
      }
      if (isComplete) return;
      this.#holdAt = performance.now() + RETRY_MS;
    }
    this.#wakeIn(this.#holdAt - performance.now());
  }

  async #ensureRules(): Promise<void> {
    const { registry, locks, firewall } = this.#parts;
    if (!(await locks.networks(() => firewall.apply(registry.firewallState())))) return;
    this.#watch.noteRepair("rules");
    this.#log.info({ networks: registry.live().length }, "firewall rules put in place");
  }

  async #attempt(kind: string, id: string, task: () => Promise<void>): Promise<boolean> {
    try {
      await task();
      return true;
    } catch (failure) {
      this.#watch.noteFault(codeOf(failure), `${kind} ${short(id)}: ${messageOf(failure)}`);
      this.#log.error({ kind, id: short(id), err: messageOf(failure) }, "reconciliation failed, will be tried again");
      return false;
    }
  }
}

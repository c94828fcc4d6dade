// Counts what happens, and tells Prometheus of it and of how things are. Counting costs next to nothing and is on from the
// first call; what writes it down is loaded for the first who asks. Calls of before wait for it, up to a limit.
import type { Repair, RepairWatch } from "../cnm/repairs.ts";
import type { CnmStatus } from "../cnm/requests.ts";
import type { ErrorCode } from "../errors.ts";
import type { PoolUsage } from "../ipam/requests.ts";
import type { LinkCounters } from "./measures.ts";
import type { AnsweredCall, MetricRegistry } from "./metric-registry.ts";

/** Where the numbers come from. None of them changes anything. */
export interface MetricSources {
  /** All networks and endpoints. */
  status(): CnmStatus;
  pools(): readonly PoolUsage[];
  /** Of all links of this host, by name. */
  linkCounters(): Promise<ReadonlyMap<string, LinkCounters>>;
}

/** So many calls wait to be counted in detail: some 100 kB, hundreds of containers. */
const WAITING_LIMIT = 1000;

/** The numbers of one daemon. */
export class Metrics implements RepairWatch {
  readonly #sources: MetricSources;
  readonly #repairs: Record<Repair, number> = {
    rules: 0,
    network: 0,
    endpoint: 0,
    "forgotten-endpoint": 0,
    "forgotten-network": 0,
    "forgotten-address": 0,
  };
  readonly #faults: Record<ErrorCode, number> = {
    invalid: 0,
    "not-found": 0,
    conflict: 0,
    exhausted: 0,
    unsupported: 0,
    unavailable: 0,
    host: 0,
    internal: 0,
  };
  #waiting: AnsweredCall[] = [];
  #registry: MetricRegistry | undefined;
  #loading: Promise<MetricRegistry> | undefined;
  #scrape: Promise<string> | undefined;

  constructor(sources: MetricSources) {
    this.#sources = sources;
  }

  /** A call was answered. @param verb - `NetworkDriver.Join`. */
  noteCall(verb: string, outcome: "ok" | ErrorCode, durationMs: number): void {
    if (outcome !== "ok") this.noteFault(outcome);
    const call = { verb, outcome, seconds: durationMs / 1000 };
    if (this.#registry !== undefined) return this.#registry.observe(call);
    this.#waiting.push(call);
    if (this.#waiting.length === WAITING_LIMIT) this.#load().catch(() => {}); // it says why to whoever asks
  }

  noteRepair(what: Repair): void {
    this.#repairs[what] += 1;
  }

  noteFault(code: ErrorCode): void {
    this.#faults[code] += 1;
  }

  /**
   * All numbers as they are now, in Prometheus' text format. Who asks while another answer is being made gets the same.
   *
   * @throws TsnetError `host` if the links' counters cannot be read.
   */
  async format(): Promise<string> {
    this.#scrape ??= this.#format().finally(() => (this.#scrape = undefined));
    return this.#scrape;
  }

  async #format(): Promise<string> {
    const [registry, links] = await Promise.all([this.#load(), this.#sources.linkCounters()]);
    const [status, pools] = [this.#sources.status(), this.#sources.pools()];
    return registry.format({ status, pools, links, repairs: this.#repairs, faults: this.#faults });
  }

  #load(): Promise<MetricRegistry> {
    this.#loading ??= import("./metric-registry.ts").then((module) => {
      const registry = new module.MetricRegistry();
      for (const call of this.#waiting) registry.observe(call);
      this.#waiting = [];
      return (this.#registry = registry);
    });
    return this.#loading;
  }
}

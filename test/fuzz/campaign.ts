// A run of the fuzzers: groups of a thousand inputs, each with a seed of its own that repeats it, and between them the canary,
// the records and the memory.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as fc from "fast-check";
import { byteInputs } from "./bytes.ts";
import { fieldInputs } from "./fields.ts";
import { FuzzHost } from "./host.ts";
import { Oracle, type Tally } from "./oracle.ts";

/** What is fuzzed. */
export type Kind = "fields" | "bytes";

/** Inputs of one group. */
export const GROUP = 1000;
/** What the heap may be larger than it was after the first groups. */
const HEAP_GROWTH_MAX = 16 << 20;
/** Until then code is compiled and caches are filled. */
const WARM_GROUPS = 5;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void; // V8 puts it there

/** From the environment, else `otherwise`. */
export function chooseSeed(otherwise: number): number {
  const given = Number(process.env["TSNET_FUZZ_SEED"] ?? Number.NaN);
  return Number.isSafeInteger(given) ? given : otherwise;
}

/** One kind of fuzzing on one host that lives from the first group to the last. */
export class Campaign {
  readonly #kind: Kind;
  #host: FuzzHost;
  #oracle: Oracle;
  /** Hosts of failures, which take their time to end. */
  readonly #former: Promise<void>[] = [];
  #groups = 0;
  #heapBefore = 0;
  heapGrowth = 0;

  private constructor(kind: Kind, host: FuzzHost) {
    this.#kind = kind;
    this.#host = host;
    this.#oracle = new Oracle(host);
  }

  static async open(kind: Kind): Promise<Campaign> {
    return new Campaign(kind, await FuzzHost.open());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#oracle[Symbol.dispose]();
    await Promise.all([...this.#former, this.#host[Symbol.asyncDispose]()]);
  }

  get tally(): Tally {
    return this.#oracle.tally;
  }

  /** @throws Error with the smallest input that was found, and the seed that leads to it. */
  async runGroup(seed: number, numRuns = GROUP): Promise<void> {
    const property =
      this.#kind === "fields"
        ? fc.asyncProperty(fieldInputs, async (input) => this.#judge((oracle) => oracle.judgeFields(input)))
        : fc.asyncProperty(byteInputs, async (input) => this.#judge((oracle) => oracle.judgeBytes(input)));
    const details = await fc.check(property as fc.IAsyncProperty<[unknown]>, { seed, numRuns });
    if (details.failed) {
      const repeat = `TSNET_FUZZ_SEED=${seed} (${this.#kind}, group ${this.#groups})`;
      throw new Error(`${repeat}\n${fc.defaultReportMessage(details)}`, { cause: details.errorInstance });
    }
    await this.#oracle.checkpoint();
    this.#groups += 1;
    this.#watchMemory();
  }

  /** A failure leaves a host that may be anything: what comes after it, such as smaller inputs, gets a new one. */
  async #judge(judgement: (oracle: Oracle) => Promise<void>): Promise<void> {
    try {
      await judgement(this.#oracle);
    } catch (failure) {
      const { tally } = this.#oracle;
      this.#oracle[Symbol.dispose]();
      this.#former.push(this.#host[Symbol.asyncDispose]().catch(() => {}));
      this.#host = await FuzzHost.open();
      this.#oracle = new Oracle(this.#host);
      Object.assign(this.#oracle.tally, tally);
      throw failure;
    }
  }

  #watchMemory(): void {
    collectGarbage();
    const { heapUsed } = process.memoryUsage();
    if (this.#groups <= WARM_GROUPS) {
      this.#heapBefore = heapUsed;
      return;
    }
    this.heapGrowth = heapUsed - this.#heapBefore;
    if (this.heapGrowth > HEAP_GROWTH_MAX)
      throw new Error(`the heap has grown by ${this.heapGrowth} bytes, of which ${HEAP_GROWTH_MAX} are permitted`);
  }
}

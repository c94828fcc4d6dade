// Random life of one pool against a model that is too simple to be wrong: a set of what is in use and a list of what was
// released. Some commits fail, some calls come together, and the records are read anew in between.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Subnet, formatAddress, lastOf, parseSubnet } from "../../../src/cidr.ts";
import type { Ipam } from "../../../src/ipam/driver.ts";
import { ipamWith, makePool, requestAddress } from "../../support/ipam-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

type Step =
  | { readonly kind: "next" | "reload" }
  | { readonly kind: "ask" | "release"; readonly index: number }
  | { readonly kind: "together"; readonly count: number }
  | { readonly kind: "failing"; readonly index: number | undefined };

const index = fc.nat({ max: 17 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.constant({ kind: "next" } as const) },
  { weight: 2, arbitrary: index.map((n) => ({ kind: "ask", index: n }) as const) },
  { weight: 5, arbitrary: index.map((n) => ({ kind: "release", index: n }) as const) },
  { weight: 1, arbitrary: fc.constant({ kind: "reload" } as const) },
  { weight: 1, arbitrary: fc.integer({ min: 2, max: 6 }).map((count) => ({ kind: "together", count }) as const) },
  { weight: 1, arbitrary: fc.option(index, { nil: undefined }).map((n) => ({ kind: "failing", index: n }) as const) },
);

/** What should hold, by plain lists of addresses. */
class Model {
  readonly usable: readonly string[];
  readonly automatic: readonly string[];
  readonly inUse = new Set<string>();
  released: string[] = [];

  constructor(usable: readonly string[], automatic: readonly string[]) {
    this.usable = usable;
    this.automatic = automatic;
  }

  next(): string | undefined {
    const fresh = this.automatic.find((address) => !this.inUse.has(address) && !this.released.includes(address));
    return fresh ?? this.released[0];
  }

  take(address: string): void {
    this.inUse.add(address);
    this.released = this.released.filter((other) => other !== address);
  }

  release(address: string): void {
    if (this.inUse.delete(address) && this.automatic.includes(address)) this.released.push(address);
  }
}

/** An Ipam with one pool, beside its model; each step is done to both and compared. */
class Comparison {
  #records = new MemoryStore();
  readonly #length: number;
  readonly model: Model;
  #ipam: Ipam = ipamWith({ records: this.#records });
  #poolId = "";

  constructor(subnet: Subnet, model: Model) {
    this.#length = subnet.prefixLength;
    this.model = model;
  }

  async makePool(subnet: string, range: string | undefined): Promise<void> {
    this.#poolId = await makePool(this.#ipam, subnet, range === undefined ? {} : { range });
  }

  async run(action: Step): Promise<void> {
    if (action.kind === "next") await this.#next();
    else if (action.kind === "ask") await this.#ask(this.#addressAt(action.index));
    else if (action.kind === "release") await this.#release(this.#addressAt(action.index));
    else if (action.kind === "together") await this.#together(action.count);
    else if (action.kind === "failing") await this.#failing(action.index);
    else this.#reload();
    this.#compareRecords();
  }

  #reload(): void {
    this.#records = this.#records.reopened();
    this.#ipam = ipamWith({ records: this.#records });
  }

  async #next(): Promise<void> {
    const expected = this.model.next();
    const outcome = await this.#outcome(requestAddress(this.#ipam, this.#poolId));
    expect(outcome).toBe(expected ?? "exhausted");
    if (expected !== undefined) this.model.take(expected);
  }

  async #ask(address: string): Promise<void> {
    const outcome = await this.#outcome(requestAddress(this.#ipam, this.#poolId, address));
    expect(outcome).toBe(this.model.inUse.has(address) ? "conflict" : address);
    this.model.take(address);
  }

  async #release(address: string): Promise<void> {
    await this.#ipam.releaseAddress(this.#poolId, address);
    this.model.release(address);
  }

  async #together(count: number): Promise<void> {
    const calls = Array.from({ length: count }, () => this.#outcome(requestAddress(this.#ipam, this.#poolId)));
    for (const outcome of await Promise.all(calls)) {
      const expected = this.model.next();
      expect(outcome).toBe(expected ?? "exhausted");
      if (expected !== undefined) this.model.take(expected);
    }
  }

  /** A release or a request whose commit fails changes nothing. */
  async #failing(at: number | undefined): Promise<void> {
    this.#records.isFailing = () => true;
    const call =
      at === undefined
        ? requestAddress(this.#ipam, this.#poolId)
        : this.#ipam.releaseAddress(this.#poolId, this.#addressAt(at));
    await Promise.allSettled([call]);
    this.#records.isFailing = () => false;
  }

  #compareRecords(): void {
    const recorded = Array.from(this.#records.list("address").keys(), (id) => id.replace(/^.*#/, ""));
    expect(recorded.sort()).toEqual([...this.model.inUse, ...this.model.released].sort());
  }

  #addressAt(at: number): string {
    return this.model.usable[at % this.model.usable.length] ?? "";
  }

  async #outcome(call: Promise<string>): Promise<string> {
    try {
      return (await call).replace(`/${this.#length}`, "");
    } catch (failure) {
      return (failure as { code: string }).code; // the interface promises a TsnetError
    }
  }
}

function addressesOf({ family, first, prefixLength }: Subnet, skipFirst: number, skipLast: number): string[] {
  const last = lastOf({ family, first, prefixLength });
  const found: string[] = [];
  for (let value = first + BigInt(skipFirst); value <= last - BigInt(skipLast); value++) {
    found.push(formatAddress({ family, value }));
  }
  return found;
}

describe("a pool through any life", () => {
  it.each([
    { subnet: "10.1.2.0/28", range: undefined, skipped: [1, 1] },
    { subnet: "10.1.2.0/30", range: undefined, skipped: [1, 1] },
    { subnet: "10.1.2.0/31", range: undefined, skipped: [0, 0] },
    { subnet: "10.1.2.0/28", range: "10.1.2.4/30", skipped: [1, 1] },
    { subnet: "fd00::/125", range: undefined, skipped: [1, 0] },
  ] as const)("gives out what a simple model of $subnet with range $range says", async ({ subnet, range, skipped }) => {
    const parsed = parseSubnet(subnet);
    const usable = addressesOf(parsed, skipped[0], skipped[1]);
    const automatic = range === undefined ? usable : addressesOf(parseSubnet(range), 0, 0);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const comparison = new Comparison(parsed, new Model(usable, automatic));
        await comparison.makePool(subnet, range);
        for (const action of steps) await comparison.run(action);
      }),
      { numRuns: 60 },
    );
  });
});

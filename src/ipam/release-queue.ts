// The released addresses of one pool, by the order of their release: whoever was released first is given out first. A linked
// list beside a map, since every step must be quick with 65,536 entries; a Map alone is slow as a queue in V8.

interface Entry {
  readonly value: bigint;
  readonly order: number;
  older: Entry | undefined;
  newer: Entry | undefined;
}

/** Addresses that rest after their release. */
export class ReleaseQueue {
  readonly #entries = new Map<bigint, Entry>();
  #oldest: Entry | undefined;
  #newest: Entry | undefined;

  get size(): number {
    return this.#entries.size;
  }

  /** The address that has rested the longest. */
  get oldest(): bigint | undefined {
    return this.#oldest?.value;
  }

  has(value: bigint): boolean {
    return this.#entries.has(value);
  }

  /** In no particular order. */
  values(): Iterable<bigint> {
    return this.#entries.keys();
  }

  /** Puts `value` behind all that have a lower `order`. Quick when `order` is among the highest, as it is for a release. */
  add(value: bigint, order: number): void {
    let older = this.#newest;
    while (older !== undefined && older.order > order) older = older.older;
    const newer = older === undefined ? this.#oldest : older.newer;
    const entry: Entry = { value, order, older, newer };
    this.#join(older, entry);
    this.#join(entry, newer);
    this.#entries.set(value, entry);
  }

  /** @returns the order that `value` had; undefined when it was not here. */
  remove(value: bigint): number | undefined {
    const entry = this.#entries.get(value);
    if (entry === undefined) return undefined;
    this.#entries.delete(value);
    this.#join(entry.older, entry.newer);
    return entry.order;
  }

  #join(older: Entry | undefined, newer: Entry | undefined): void {
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
  }
}

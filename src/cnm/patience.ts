// For how long something has been found to be so, look after look: a judgement on one look would hit what is just under way.

/** What one look found. */
export interface Judgement<Id> {
  /** Found at every look for the whole time of grace. */
  readonly overdue: readonly Id[];
  /** In how many milliseconds the next of the others is; absent if there is none. */
  readonly againInMs?: number;
}

/** Remembers since when. */
export class Patience<Id> {
  #since: ReadonlyMap<Id, number> = new Map();

  /** @param found - all that is so now, with its time of grace in milliseconds; what is not among it begins anew when it is found again. */
  judge(found: ReadonlyMap<Id, number>): Judgement<Id> {
    const now = performance.now();
    this.#since = new Map(Array.from(found.keys(), (id) => [id, this.#since.get(id) ?? now]));
    const waitOf = ([id, graceMs]: readonly [Id, number]) => (this.#since.get(id) ?? now) + graceMs - now;
    const overdue = [...found].filter((one) => waitOf(one) <= 0).map(([id]) => id);
    const waits = [...found].map(waitOf).filter((wait) => wait > 0);
    return { overdue, ...(waits.length > 0 && { againInMs: Math.ceil(Math.min(...waits)) + 1 }) }; // a timer may be early by one
  }
}

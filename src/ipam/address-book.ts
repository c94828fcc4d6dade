// Which addresses of one pool are in use, which rest after their release, and which come next. In memory only: `pool.ts` makes
// each change durable. Nothing is enumerated: what was never used costs nothing, whatever the size of the pool.
import { ReleaseQueue } from "./release-queue.ts";
import type { Span } from "../usable-addresses.ts";

/** What an address is used for. Auxiliary addresses count as endpoints, the engine does not tell them apart. */
export type AddressUse = "endpoint" | "gateway";

/** An address in use. */
export interface Holding {
  readonly use: AddressUse;
  /** By performance.now(); of one that was in use before this start, the start. */
  readonly takenAt: number;
  /** The order of its last release, if it had rested until it was taken. */
  readonly restedSince: number | undefined;
  isReleasing: boolean;
  /** The change that is on its way to the disk. */
  pending: Promise<void> | undefined;
}

/**
 * With so many addresses at rest the oldest of them goes out before one that was never used, which bounds what a pool of
 * any size remembers. An address has then rested through as many releases: any neighbour has forgotten its last owner.
 */
const RESTING_LIMIT = 65_536;

/** The addresses of one pool. */
export class AddressBook {
  readonly #automatic: Span;
  readonly #restingLimit: number;
  readonly #inUse = new Map<bigint, Holding>();
  readonly #resting = new ReleaseQueue();
  /** No address of the span below this one is fresh: each is in use or at rest. */
  #nextFresh: bigint;
  #nextOrder = 1;

  /** @param automatic - what may be chosen from; other addresses come in by name only. */
  constructor(automatic: Span, restingLimit = RESTING_LIMIT) {
    this.#automatic = automatic;
    this.#restingLimit = restingLimit;
    this.#nextFresh = automatic.first;
  }

  /** How many addresses can be chosen from, in use or not. */
  get capacity(): bigint {
    return this.#automatic.last - this.#automatic.first + 1n;
  }

  /** The holding of an address in use; undefined for one that is at rest or was never used. */
  find(value: bigint): Holding | undefined {
    return this.#inUse.get(value);
  }

  /** Whether none is in use. */
  get isUnused(): boolean {
    return this.#inUse.size === 0;
  }

  /** The addresses in use with what for, lowest first. */
  holdings(): readonly (readonly [bigint, Holding])[] {
    return [...this.#inUse].sort(([a], [b]) => Number(a > b) - Number(a < b));
  }

  /** How many addresses can be chosen that are not in use. */
  get free(): bigint {
    const taken = Array.from(this.#inUse.keys()).filter((value) => this.#isAutomatic(value));
    return this.capacity - BigInt(taken.length);
  }

  /** Every address that has a record: in use and at rest. */
  *recorded(): Iterable<bigint> {
    yield* this.#inUse.keys();
    yield* this.#resting.values();
  }

  /** The changes that are on their way to the disk. */
  pending(): Promise<void>[] {
    return [...this.#inUse.values()].flatMap((holding) => holding.pending ?? []);
  }

  /** The next address: the lowest that was never used, then the one released the longest ago; undefined when all are in use. */
  chooseFree(): bigint | undefined {
    const fresh = this.#resting.size < this.#restingLimit ? this.#findFresh() : undefined;
    return fresh ?? this.#resting.oldest;
  }

  /** Puts an address that is not in use into use. */
  take(value: bigint, use: AddressUse): Holding {
    const restedSince = this.#resting.remove(value);
    const holding: Holding = { use, takenAt: performance.now(), restedSince, isReleasing: false, pending: undefined };
    this.#inUse.set(value, holding);
    return holding;
  }

  /** Undoes `take`, to the same place in the order. */
  giveBack(value: bigint, holding: Holding): void {
    if (holding.restedSince === undefined) this.forget(value);
    else this.rest(value, holding.restedSince);
  }

  /**
   * What to remember of an address that is about to be released.
   *
   * @returns its place in the order of releases, or undefined if it shall count as never used: because tsnet does not choose it
   * anyway, or because enough addresses are at rest already and this one's turn has not come yet.
   */
  nextRestOrder(value: bigint): number | undefined {
    if (!this.#isAutomatic(value)) return undefined;
    if (value >= this.#nextFresh && this.#resting.size >= this.#restingLimit) return undefined;
    return this.#nextOrder++;
  }

  /** The address is no longer in use and may be given out again when its turn comes. */
  rest(value: bigint, order: number): void {
    this.#inUse.delete(value);
    this.#resting.add(value, order);
    if (order >= this.#nextOrder) this.#nextOrder = order + 1;
  }

  /** The address is no longer in use and counts as never used. */
  forget(value: bigint): void {
    this.#inUse.delete(value);
    if (value >= this.#automatic.first && value < this.#nextFresh) this.#nextFresh = value;
  }

  #isAutomatic(value: bigint): boolean {
    return value >= this.#automatic.first && value <= this.#automatic.last;
  }

  #findFresh(): bigint | undefined {
    while (this.#inUse.has(this.#nextFresh) || this.#resting.has(this.#nextFresh)) this.#nextFresh++;
    return this.#nextFresh <= this.#automatic.last ? this.#nextFresh : undefined;
  }
}

// One pool: gives out its addresses and takes them back. A change is made in memory first, so that no other call gets the same
// address, then recorded; calls that come together share one write to the disk. What could not be recorded is undone.
import { type Address, contains, formatAddress, formatSubnet, parseAddress } from "../cidr.ts";
import { TsnetError, inContext } from "../errors.ts";
import type { CommitPurpose, RecordChange, RecordStore } from "../state/record-store.ts";
import { AddressBook, type AddressUse, type Holding } from "./address-book.ts";
import { addressRecordId } from "./pool-id.ts";
import { type AddressCaller, hasGone } from "./caller.ts";
import {
  type AddressInUse,
  type AddressState,
  type PoolDescription,
  type RecordedAddress,
  poolBody,
} from "./pool-records.ts";
import { addressInUse, requireWithin, unknownPool } from "./pool-errors.ts";
import { automaticSpan, findObstacle } from "../usable-addresses.ts";

/** A pool that was given out, with its addresses. */
export class Pool {
  readonly description: PoolDescription;
  readonly #records: RecordStore;
  readonly #book: AddressBook;
  /** Endpoints' addresses that were in use when this start began, and are still, with whether the operator's verbs took them. */
  readonly #ofFormerLife = new Map<bigint, boolean>();
  /** Whether the engine asked for the pool, or spoke of it, since this start. */
  #isHeardOf: boolean;
  /** Asked for, and no network made with it yet. */
  #isUnclaimed: boolean;
  /** Set while the pool is being removed, and from then on if that succeeds. */
  #removal: Promise<void> | undefined;

  /** @param recorded - what the records say of its addresses; absent for a new pool. */
  constructor(description: PoolDescription, records: RecordStore, recorded?: readonly RecordedAddress[]) {
    this.description = description;
    this.#records = records;
    this.#isHeardOf = recorded === undefined;
    this.#isUnclaimed = recorded === undefined;
    this.#book = new AddressBook(automaticSpan(description.subnet, description.range));
    // Sorted, since the queue of releases is quick only when it grows at its end.
    for (const { value, state } of [...(recorded ?? [])].sort((a, b) => orderOf(a) - orderOf(b))) {
      if ("use" in state) this.#book.take(value, state.use);
      else this.#book.rest(value, state.released);
      if ("use" in state && state.use === "endpoint") this.#ofFormerLife.set(value, state.isOperators ?? false);
    }
  }

  /**
   * Whether it may be a pool that the engine never learned of, or gave back in vain: it has not spoken of it since this
   * start, and none of its addresses is in use, not even a gateway's.
   */
  get isForgotten(): boolean {
    return !this.#isHeardOf && this.#book.isUnused;
  }

  /** The engine has been told of it. @param isForNew - for a network that is about to be made. */
  confirm(isForNew = false): void {
    this.#isHeardOf = true;
    this.#isUnclaimed ||= isForNew;
  }

  /** Whether it is of no network yet. */
  get isUnclaimed(): boolean {
    return this.#isUnclaimed;
  }

  /** A network was made with it. */
  claim(): void {
    this.#isUnclaimed = false;
  }

  isGateway(address: Address): boolean {
    return this.#book.find(address.value)?.use === "gateway";
  }

  /** @returns the address with its prefix length if it is in use; undefined otherwise. @param text - bare. */
  findInUse(text: string): string | undefined {
    const address = this.#parseOwn(text);
    const isInUse = this.#book.find(address.value)?.isReleasing === false;
    return isInUse ? `${formatAddress(address)}/${this.description.subnet.prefixLength}` : undefined;
  }

  /** The addresses in use with what for and since when, by performance.now(), lowest first. */
  holdings(): readonly (readonly [Address, AddressUse, takenAt: number])[] {
    return this.#book.holdings().map(([value, { use, takenAt }]) => [this.#addressOf(value), use, takenAt] as const);
  }

  /** How many addresses can be chosen still. */
  get free(): bigint {
    return this.#book.free;
  }

  /** The endpoints' addresses that were given out before this start and not released since. @param isOperators - to those only. */
  listOfFormerLife(isOperators = false): readonly Address[] {
    const found = [...this.#ofFormerLife].filter(([, isOfOperator]) => isOfOperator || !isOperators);
    return found.map(([value]) => this.#addressOf(value));
  }

  /** Makes the pool itself durable. */
  async record(): Promise<void> {
    const { id } = this.description;
    await this.#commit("record", [{ op: "put", kind: "pool", id, body: poolBody(this.description) }]);
  }

  /**
   * Gives out one address, durably.
   *
   * @param text - bare address; undefined: the next of the range, or of the subnet if the pool has no range.
   * @returns CIDR with the pool's prefix length.
   * @param caller - when its signal aborts, the address is released.
   * @throws TsnetError `invalid` if the pool cannot have that address, `conflict` if it is in use, `exhausted`.
   */
  async request(
    text: string | undefined,
    use: AddressUse,
    { signal, isOperators }: AddressCaller = {},
  ): Promise<string> {
    if (this.#removal) throw unknownPool(this.description.id);
    this.confirm();
    const address = text === undefined ? this.#chooseFree() : this.#parseOwn(text);
    const held = this.#book.find(address.value);
    const state = { use, ...(isOperators === true && { isOperators }) };
    if (held === undefined) await this.#takeUnlessAborted(address, state, signal);
    else if (use === "gateway" && held.use === "gateway" && !held.isReleasing) await held.pending;
    else throw addressInUse(this.description.subnet, address, held.use);
    return `${formatAddress(address)}/${this.description.subnet.prefixLength}`;
  }

  /** Takes one address back, durably. One that is not in use is no failure. */
  async release(address: Address): Promise<void> {
    if (!contains(this.description.subnet, address)) return;
    this.confirm();
    for (;;) {
      const held = this.#book.find(address.value);
      if (this.#removal) return this.#removal;
      if (held === undefined) return;
      if (held.pending === undefined) return this.#release(address, held);
      if (held.isReleasing) return held.pending;
      await held.pending.catch(() => {}); // being given out: release it when that is decided
    }
  }

  /** Removes the pool with all its addresses in one commit. Afterwards nobody may use it. */
  async remove(): Promise<void> {
    this.#removal = this.#remove();
    await this.#removal;
  }

  async #remove(): Promise<void> {
    try {
      // A change of an address that reached the disk after ours would leave a record without a pool.
      await Promise.allSettled(this.#book.pending());
      const { id } = this.description;
      const addresses = Array.from(this.#book.recorded(), (value) => addressRecordId(id, this.#addressOf(value)));
      const changes = addresses.map((recordId) => ({ op: "remove", kind: "address", id: recordId }) as const);
      await this.#commit("remove", [...changes, { op: "remove", kind: "pool", id }], "removal");
    } catch (failure) {
      this.#removal = undefined;
      throw failure;
    }
  }

  async #takeUnlessAborted(address: Address, state: AddressInUse, signal: AbortSignal | undefined): Promise<void> {
    await this.#take(address, state);
    if (await hasGone(signal)) await this.release(address);
    signal?.throwIfAborted();
  }

  #take(address: Address, state: AddressInUse): Promise<void> {
    const holding = this.#book.take(address.value, state.use);
    const write = async (): Promise<void> => {
      try {
        await this.#commitAddress("give out", address, state);
      } catch (failure) {
        this.#book.giveBack(address.value, holding);
        throw failure;
      } finally {
        holding.pending = undefined;
      }
    };
    return (holding.pending = write());
  }

  #release(address: Address, holding: Holding): Promise<void> {
    holding.isReleasing = true;
    const order = this.#book.nextRestOrder(address.value);
    const write = async (): Promise<void> => {
      try {
        await this.#commitAddress("release", address, order === undefined ? undefined : { released: order });
        // Only now: given out before the release is durable, it could be in use twice after a power cut.
        if (order === undefined) this.#book.forget(address.value);
        else this.#book.rest(address.value, order);
        this.#ofFormerLife.delete(address.value);
      } finally {
        holding.isReleasing = false;
        holding.pending = undefined;
      }
    };
    return (holding.pending = write());
  }

  async #commitAddress(verb: "give out" | "release", address: Address, body: AddressState | undefined): Promise<void> {
    const target = { kind: "address", id: addressRecordId(this.description.id, address) } as const;
    const change =
      body === undefined ? ({ op: "remove", ...target } as const) : ({ op: "put", ...target, body } as const);
    const purpose = verb === "release" ? "removal" : "change";
    await this.#commit(`${verb} address ${formatAddress(address)} of`, [change], purpose);
  }

  async #commit(doing: string, changes: readonly RecordChange[], purpose: CommitPurpose = "change"): Promise<void> {
    try {
      await this.#records.commit(changes, purpose);
    } catch (failure) {
      throw inContext(`cannot ${doing} pool ${formatSubnet(this.description.subnet)}`, failure);
    }
  }

  #chooseFree(): Address {
    const value = this.#book.chooseFree();
    if (value !== undefined) return this.#addressOf(value);
    const { subnet, range } = this.description;
    const where = range ? `range ${formatSubnet(range)} of ${formatSubnet(subnet)}` : formatSubnet(subnet);
    const { capacity } = this.#book;
    throw new TsnetError("exhausted", `no address left in ${where} (${capacity} of ${capacity} in use)`);
  }

  #parseOwn(text: string): Address {
    const { subnet } = this.description;
    const address = parseAddress(text);
    requireWithin(subnet, address, text);
    const obstacle = findObstacle(subnet, address.value);
    if (obstacle !== undefined) {
      throw new TsnetError("invalid", `address ${text} is ${obstacle} of subnet ${formatSubnet(subnet)}`);
    }
    return address;
  }

  #addressOf(value: bigint): Address {
    return { family: this.description.subnet.family, value };
  }
}

function orderOf({ state }: RecordedAddress): number {
  return "use" in state ? 0 : state.released;
}

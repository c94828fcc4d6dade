// One pool: gives out its addresses and takes them back. A change is made in memory first, so that no other call gets the same
// address, then recorded; calls that come together share one write to the disk. What could not be recorded is undone.
import { type Address, contains, formatAddress, formatSubnet, parseAddress } from "../cidr.ts";
import { TsnetError, inContext } from "../errors.ts";
import type { RecordChange, RecordStore } from "../state/record-store.ts";
import { AddressBook, type AddressUse, type Holding } from "./address-book.ts";
import { addressRecordId } from "./pool-id.ts";
import { type AddressState, type PoolDescription, type RecordedAddress, poolBody } from "./pool-records.ts";
import { automaticSpan, findObstacle } from "./usable-addresses.ts";

/** A pool that was given out, with its addresses. */
export class Pool {
  readonly description: PoolDescription;
  readonly #records: RecordStore;
  readonly #book: AddressBook;
  /** Set while the pool is being removed, and from then on if that succeeds. */
  #removal: Promise<void> | undefined;

  /** @param recorded - what the records say of its addresses; none for a new pool. */
  constructor(description: PoolDescription, records: RecordStore, recorded: readonly RecordedAddress[] = []) {
    this.description = description;
    this.#records = records;
    this.#book = new AddressBook(automaticSpan(description.subnet, description.range));
    // Sorted, since the queue of releases is quick only when it grows at its end.
    for (const { value, state } of [...recorded].sort((a, b) => orderOf(a) - orderOf(b))) {
      if ("use" in state) this.#book.take(value, state.use);
      else this.#book.rest(value, state.released);
    }
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
   * @throws TsnetError `invalid` if the pool cannot have that address, `conflict` if it is in use, `exhausted`.
   */
  async request(text: string | undefined, use: AddressUse): Promise<string> {
    if (this.#removal) throw unknownPool(this.description.id);
    const address = text === undefined ? this.#chooseFree() : this.#parseOwn(text);
    const held = this.#book.find(address.value);
    if (held === undefined) await this.#take(address, use);
    else if (use === "gateway" && held.use === "gateway" && !held.isReleasing) await held.pending;
    else throw this.#inUse(address, held);
    return `${formatAddress(address)}/${this.description.subnet.prefixLength}`;
  }

  /** Takes one address back, durably. One that is not in use is no failure. */
  async release(address: Address): Promise<void> {
    if (!contains(this.description.subnet, address)) return;
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
      await this.#commit("remove", [...changes, { op: "remove", kind: "pool", id }]);
    } catch (failure) {
      this.#removal = undefined;
      throw failure;
    }
  }

  #take(address: Address, use: AddressUse): Promise<void> {
    const holding = this.#book.take(address.value, use);
    const write = async (): Promise<void> => {
      try {
        await this.#commitAddress("give out", address, { use });
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
      } finally {
        holding.isReleasing = false;
        holding.pending = undefined;
      }
    };
    return (holding.pending = write());
  }

  async #commitAddress(verb: string, address: Address, body: AddressState | undefined): Promise<void> {
    const target = { kind: "address", id: addressRecordId(this.description.id, address) } as const;
    const change =
      body === undefined ? ({ op: "remove", ...target } as const) : ({ op: "put", ...target, body } as const);
    await this.#commit(`${verb} address ${formatAddress(address)} of`, [change]);
  }

  async #commit(doing: string, changes: readonly RecordChange[]): Promise<void> {
    try {
      await this.#records.commit(changes);
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
    if (address.family !== subnet.family) {
      throw new TsnetError(
        "invalid",
        `address ${text} is IPv${address.family}, but pool ${formatSubnet(subnet)} is not`,
      );
    }
    if (!contains(subnet, address)) {
      throw new TsnetError("invalid", `address ${text} is outside of subnet ${formatSubnet(subnet)}`);
    }
    const obstacle = findObstacle(subnet, address.value);
    if (obstacle !== undefined) {
      throw new TsnetError("invalid", `address ${text} is ${obstacle} of subnet ${formatSubnet(subnet)}`);
    }
    return address;
  }

  #inUse(address: Address, holding: Holding): TsnetError {
    const state = holding.use === "gateway" ? "is the gateway of" : "is already in use in";
    const pool = formatSubnet(this.description.subnet);
    return new TsnetError("conflict", `address ${formatAddress(address)} ${state} pool ${pool}`);
  }

  #addressOf(value: bigint): Address {
    return { family: this.description.subnet.family, value };
  }
}

/** The error for a pool that is not in the records, after `docker plugin rm` for example. */
export function unknownPool(poolId: string): TsnetError {
  const shown = JSON.stringify(poolId.length > 64 ? `${poolId.slice(0, 64)}...` : poolId);
  return new TsnetError(
    "not-found",
    `pool ${shown} is not in the records of tsnet; remove the network and create it again`,
  );
}

function orderOf({ state }: RecordedAddress): number {
  return "use" in state ? 0 : state.released;
}

// What the engine still has. At its start it asks anew for every pool, and for every address in it, that it believes in
// (moby daemon/libnetwork/controller.go; cnm-protocol.md 3.4): after the handshake, before anything else, and without a mark
// at the end. A pool that it does not ask for was removed while tsnet was away.
import type { PoolId } from "./pool-id.ts";

/** From the handshake to the first pool: the engine reads its containers before. */
const BEGIN_MS = 60_000;

/** Between two calls. */
const QUIET_MS = 10_000;

/** One start of the engine's, or only a handshake. */
export class Inventory {
  readonly #former: ReadonlySet<PoolId>;
  readonly #asked = new Set<PoolId>();
  /** Spoken of at any later time: then the engine has them. */
  readonly #spoken: Set<PoolId>;
  readonly #addresses = new Set<string>();
  readonly #falseClaims = new Map<PoolId, number>();
  #until = performance.now() + BEGIN_MS;
  #isProof: boolean;

  /**
   * @param former - the pools there are.
   * @param isWhole - false if the engine may have asked for some before tsnet was there.
   * @param last - that of the last handshake: the engine has one more in the middle of it when it joins a swarm.
   */
  constructor(former: Iterable<PoolId>, isWhole: boolean, last: Inventory | undefined) {
    this.#former = new Set(former);
    this.#isProof = isWhole;
    this.#spoken = new Set(last?.isOpen === true ? last.#asked : []);
  }

  /** Whether the engine may be asking anew. */
  get isOpen(): boolean {
    return performance.now() < this.#until;
  }

  /** Something is asked for that is new: the engine has ended. */
  end(): void {
    this.#until = 0;
  }

  /** A call failed: it may be that the engine has a pool and cannot say so. */
  fail(): void {
    if (this.isOpen) this.#isProof = false;
  }

  /** @returns whether a request for what is there is to be answered as the first one was: it asks anew, once for each. */
  countPool(id: PoolId): boolean {
    return this.#count(this.#asked, id);
  }

  /** The same for an address of a pool that was counted. */
  countAddress(id: PoolId, address: string): boolean {
    return this.#asked.has(id) && this.#count(this.#addresses, `${id} ${address}`);
  }

  /** The engine spoke of a pool. */
  note(id: PoolId): void {
    this.#spoken.add(id);
  }

  /**
   * What was taken for asking anew was a new network with the same subnet, which is refused: the engine gives back next what
   * it was given for it, and that is another network's. So the engine did not ask anew, and what it did not ask for it may have.
   */
  addFalseClaim(id: PoolId): void {
    if (!this.#asked.has(id)) return;
    this.#falseClaims.set(id, (this.#falseClaims.get(id) ?? 0) + 1);
    this.#isProof = false;
  }

  hasFalseClaim(id: PoolId): boolean {
    return (this.#falseClaims.get(id) ?? 0) > 0;
  }

  /** @returns whether a release of the pool is of such a network. */
  takeFalseClaim(id: PoolId): boolean {
    const count = this.#falseClaims.get(id) ?? 0;
    this.#falseClaims.set(id, Math.max(0, count - 1));
    return count > 0;
  }

  /** Whether the engine has asked for others and not for this one, and not spoken of it since. */
  lacks(id: PoolId): boolean {
    if (!this.#isProof || this.isOpen || this.#asked.size === 0) return false;
    return this.#former.has(id) && !this.#asked.has(id) && !this.#spoken.has(id);
  }

  #count<Id>(counted: Set<Id>, id: Id): boolean {
    if (!this.isOpen || counted.has(id)) return false;
    counted.add(id);
    this.#until = performance.now() + QUIET_MS;
    return true;
  }
}

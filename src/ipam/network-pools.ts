// Pools as networks know them: the engine tells a network its subnets, and not the pools that they are of. Where pools of
// several segments have one subnet it cannot be told which of them is meant.
import { formatAddress, formatSubnet, parseAddress, parseSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import type { AddressSpace } from "./address-space.ts";
import type { PoolId } from "./pool-id.ts";
import type { Pool } from "./pool.ts";
import type { LostPool } from "./recorded-pools.ts";

/** What they are found in. */
export interface NetworkPoolsParts {
  readonly spaces: readonly AddressSpace[];
  /** Pools whose records are damaged. */
  readonly lost: ReadonlyMap<string, LostPool>;
  readonly release: (id: PoolId) => Promise<void>;
  /** See `Inventory`. */
  readonly addFalseClaim: (id: PoolId) => void;
}

/** All subnets are canonical CIDRs, all addresses bare. */
export class NetworkPools {
  readonly #parts: NetworkPoolsParts;

  constructor(parts: NetworkPoolsParts) {
    this.#parts = parts;
  }

  /**
   * @returns how many networks' pools have exactly this subnet: one that was asked for and is of no network yet is not
   * counted. Undefined if the address space is not tsnet's.
   */
  count(addressSpace: string, subnet: string): number | undefined {
    const found = this.#with(addressSpace, subnet)?.filter(({ isUnclaimed }) => !isUnclaimed);
    return found && found.length + this.#lostWith(subnet).length;
  }

  /** The pool of a network that is about to be made: the only one with that subnet, or the only one that is of no network yet. */
  idForNew(addressSpace: string, subnet: string): PoolId | undefined {
    const unclaimed = this.#with(addressSpace, subnet)?.filter(({ isUnclaimed }) => isUnclaimed) ?? [];
    const pool = unclaimed.length === 1 ? unclaimed[0] : this.#only(addressSpace, subnet);
    return pool?.description.id;
  }

  /** A network was made with that pool. */
  claim(addressSpace: string, subnet: string): void {
    for (const pool of this.#with(addressSpace, subnet) ?? []) pool.claim();
  }

  /** A network was refused that has that subnet: the engine gives back next what it was given for it. */
  refuse(addressSpace: string, subnet: string): void {
    const found = this.#with(addressSpace, subnet) ?? [];
    if (found.some(({ isUnclaimed }) => isUnclaimed)) return;
    for (const { description } of found) this.#parts.addFalseClaim(description.id);
  }

  /**
   * Gives out an address, the next one if none is named. @returns CIDR. @param poolId - of those that have the subnet.
   *
   * @throws TsnetError as `Pool.request` does; `unsupported` where pools of several segments have that subnet.
   */
  async requestAddress(addressSpace: string, subnet: string, address?: string, poolId?: string): Promise<string> {
    const pool = this.#meant(addressSpace, subnet, poolId);
    if (pool !== undefined) return pool.request(address, "endpoint", { isOperators: true });
    const why = "pools of several segments, or one whose record is damaged, have this subnet";
    throw new TsnetError("unsupported", `no address of ${subnet} can be given out: ${why}`);
  }

  /** Releases an address. Where pools of several segments have that subnet, and none is named, it stays in use. */
  async releaseAddress(addressSpace: string, subnet: string, address: string, poolId?: string): Promise<void> {
    await this.#meant(addressSpace, subnet, poolId)?.release(parseAddress(address));
  }

  /** Removes a pool with all its addresses. Where pools of several segments have that subnet, they stay. */
  async release(addressSpace: string, subnet: string): Promise<void> {
    const pool = this.#only(addressSpace, subnet);
    if (pool !== undefined) await this.#parts.release(pool.description.id);
  }

  /** The endpoints' addresses that were in use before this start and are still: see `PoolKeeper`. */
  listOfFormerLife(addressSpace: string, subnet: string, isOperators?: boolean): readonly string[] {
    return this.#only(addressSpace, subnet)?.listOfFormerLife(isOperators).map(formatAddress) ?? [];
  }

  /** @returns for how long an endpoint's address has been given out; undefined if it is not, or several pools have the subnet. */
  heldForMs(addressSpace: string, subnet: string, address: string): number | undefined {
    const holdings = this.#only(addressSpace, subnet)?.holdings() ?? [];
    const found = holdings.find(([held, use]) => use === "endpoint" && formatAddress(held) === address);
    return found && performance.now() - found[2];
  }

  #meant(addressSpace: string, subnet: string, id: string | undefined): Pool | undefined {
    if (id === undefined) return this.#only(addressSpace, subnet);
    return this.#with(addressSpace, subnet)?.find(({ description }) => description.id === id);
  }

  #only(addressSpace: string, subnet: string): Pool | undefined {
    const [pool, ...others] = this.#with(addressSpace, subnet) ?? [];
    return others.length + this.#lostWith(subnet).length === 0 ? pool : undefined;
  }

  #with(addressSpace: string, subnet: string): readonly Pool[] | undefined {
    return this.#parts.spaces.find(({ name }) => name === addressSpace)?.findBySubnet(parseSubnet(subnet));
  }

  /** Which of the address spaces they are of is not known. */
  #lostWith(subnet: string): readonly LostPool[] {
    return [...this.#parts.lost.values()].filter((pool) => formatSubnet(pool.subnet) === subnet);
  }
}

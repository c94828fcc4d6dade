// The meaning of the IpamDriver verbs: finds the pool, keeps the order of pool verbs, reads the records at start. Arithmetic is
// in `address-book.ts` and `default-pools.ts`; what the engine sends and when is in moby `daemon/libnetwork/docs/ipam.md`.
import { isDeepStrictEqual } from "node:util";
import { formatSubnet, overlaps, parseAddress } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { KeyedLock } from "../keyed-lock.ts";
import type { RecordStore } from "../state/record-store.ts";
import { AddressSpace, requireSpace } from "./address-space.ts";
import { hasGone } from "./caller.ts";
import type { DefaultPool } from "./default-pools.ts";
import type { HostRoutes } from "./host-routes.ts";
import { Inventory } from "./inventory.ts";
import { createPoolId } from "./pool-id.ts";
import type { PoolDescription } from "./pool-records.ts";
import { NetworkPools } from "./network-pools.ts";
import { planPool } from "./pool-request.ts";
import { damagedPool, unknownPool } from "./pool-errors.ts";
import { Pool } from "./pool.ts";
import { type LostPool, readPools } from "./recorded-pools.ts";
import type { IpamDriver, IpamStatus, PoolUsage, RequestAddress, RequestPool, RequestedPool } from "./requests.ts";
import { statusOfPools, usageOfPools } from "./status.ts";

/** What the addresses of tsnet are built on. */
export interface IpamParts {
  readonly records: RecordStore;
  /** In the order in which they are tried. */
  readonly defaultPools: readonly DefaultPool[];
  readonly hostRoutes: HostRoutes;
  /** Whether a network has a pool with that subnet, as far as tsnet is its network driver as well. */
  readonly isOfNetwork: (addressSpace: string, subnet: string) => boolean;
  /** Whether a container is on such a network. */
  readonly isInUse: (addressSpace: string, subnet: string) => Promise<boolean>;
  /** Whether the engine starts tsnet: then it cannot have begun to ask before tsnet was there. */
  readonly isStartedByEngine: boolean;
}

type PoolWish = Pick<PoolDescription, "segment" | "subnet" | "range">;

/** For so long the engine asks an absent tsnet for a pool, and somewhat longer. */
const ABSENCE_MS = 20_000;

/** Gives out pools and addresses; what it has answered is durable. `load` comes first, other calls fail until then. */
export class Ipam implements IpamDriver {
  readonly addressSpaces = { local: "tsnet", global: "tsnet-global" } as const;
  readonly #parts: IpamParts;
  readonly #spaces = [new AddressSpace(this.addressSpaces.local), new AddressSpace(this.addressSpaces.global)];
  readonly #locks = new KeyedLock();
  /** Pools whose records are damaged, by id. */
  readonly #lost = new Map<string, LostPool>();
  /** What networks know of their pools. */
  readonly ofNetworks = new NetworkPools({
    spaces: this.#spaces,
    lost: this.#lost,
    release: (id) => this.releasePool(id),
    addFalseClaim: (id) => this.#inventory?.addFalseClaim(id),
  });
  /** Since the last handshake. */
  #inventory: Inventory | undefined;
  readonly #startedAt = performance.now();
  #isLoaded = false;

  constructor(parts: IpamParts) {
    this.#parts = parts;
  }

  /**
   * Reads pools and addresses from the records, once. What is damaged is kept from use.
   *
   * @returns which records can be read but make no sense, a line each.
   */
  load(): readonly string[] {
    if (this.#isLoaded) throw new TsnetError("internal", "the address records are loaded already");
    const { pools, lost, faults } = readPools(this.#parts.records, this.#spaces);
    for (const { space, pool } of pools) space.add(pool);
    for (const pool of lost) {
      this.#lost.set(pool.id, pool);
      for (const space of this.#spaces) space.addLost(pool.id, pool.subnet); // which of them it was of is lost, too
    }
    this.#isLoaded = true;
    return faults;
  }

  noteHandshake(): void {
    const isWhole = this.#parts.isStartedByEngine || performance.now() - this.#startedAt > ABSENCE_MS;
    const ids = this.#spaces.flatMap((space) => space.pools().map(({ description }) => description.id));
    this.#inventory = new Inventory(ids, isWhole, this.#inventory);
  }

  usage(): readonly PoolUsage[] {
    return usageOfPools(this.#spaces);
  }

  async requestPool(request: RequestPool, signal?: AbortSignal): Promise<RequestedPool> {
    return this.#requestPool(request, signal).catch((failure: unknown) => {
      this.#inventory?.fail();
      throw failure;
    });
  }

  async #requestPool(request: RequestPool, signal?: AbortSignal): Promise<RequestedPool> {
    this.#requireLoaded();
    this.#requireComplete();
    const space = requireSpace(this.#spaces, request.addressSpace);
    const { family, segment, subnet: wanted, range } = planPool(request);
    return this.#locks.run(space.name, async () => {
      const { records, defaultPools, hostRoutes } = this.#parts;
      if (wanted === undefined) this.#inventory?.end();
      const known = wanted && this.#findKnown(space, { segment, subnet: wanted, range });
      if (known !== undefined) return { poolId: known.id, subnet: formatSubnet(known.subnet) };
      const spare = this.#forgottenOf(space);
      const subnet = wanted ?? space.chooseSubnet(family, defaultPools, await hostRoutes.subnets(), spare);
      const wish = { addressSpace: space.name, segment, subnet, range };
      const same = spare.find(({ description: { id: _id, ...rest } }) => isDeepStrictEqual(rest, wish));
      if (same !== undefined) {
        same.confirm(true);
        return { poolId: same.description.id, subnet: formatSubnet(subnet) };
      }
      const isInWay = ({ description: other }: Pool) =>
        overlaps(other.subnet, subnet) && (wanted === undefined || other.segment === segment);
      for (const pool of [...spare, ...(await this.#lackingOf(space))].filter(isInWay)) {
        await pool.remove();
        space.remove(pool);
      }
      if (wanted) space.requireFree(segment, wanted);
      const pool = new Pool({ id: createPoolId(subnet), ...wish }, records);
      await pool.record();
      if (await hasGone(signal)) await pool.remove(); // before anybody else sees it
      signal?.throwIfAborted();
      space.add(pool);
      return { poolId: pool.description.id, subnet: formatSubnet(subnet) };
    });
  }

  /** A pool that the engine has, and asks for anew after its start. */
  #findKnown(space: AddressSpace, wish: PoolWish): PoolDescription | undefined {
    const pool = space.pools().find(({ description: { id: _id, addressSpace: _space, ...rest } }) => {
      return isDeepStrictEqual(rest, wish);
    });
    if (pool === undefined || this.#inventory?.countPool(pool.description.id) !== true) return undefined;
    pool.confirm();
    return pool.description;
  }

  /** Pools that the engine did not ask for when it started, on whose networks is nobody. */
  async #lackingOf(space: AddressSpace): Promise<readonly Pool[]> {
    const found: Pool[] = [];
    if (this.#hasDamage) return found;
    for (const pool of space.pools()) {
      const { id, subnet } = pool.description;
      if (this.#inventory?.lacks(id) !== true) continue;
      if (!(await this.#parts.isInUse(space.name, formatSubnet(subnet)))) found.push(pool);
    }
    return found;
  }

  /** They keep nobody from their subnets. One that is somebody's all the same is spoken of sooner or later, or has a network. */
  #forgottenOf(space: AddressSpace): readonly Pool[] {
    if (this.#hasDamage) return [];
    const { isOfNetwork } = this.#parts;
    return space.forgotten().filter(({ description }) => !isOfNetwork(space.name, formatSubnet(description.subnet)));
  }

  /** Whose a pool is may stand in a record that cannot be read. */
  get #hasDamage(): boolean {
    const { fault } = this.#parts.records;
    return fault !== undefined || this.#parts.records.damaged().length > 0;
  }

  async releasePool(poolId: string): Promise<void> {
    this.#requireLoaded();
    const lost = this.#lost.get(poolId);
    if (lost !== undefined) return this.#releaseLost(lost);
    const space = this.#spaces.find((candidate) => candidate.find(poolId));
    if (space === undefined) return;
    await this.#locks.run(space.name, async () => {
      const pool = space.find(poolId);
      if (pool === undefined || this.#inventory?.takeFalseClaim(pool.description.id) === true) return;
      await pool.remove();
      space.remove(pool);
    });
  }

  async requestAddress(request: RequestAddress, signal?: AbortSignal): Promise<string> {
    this.#requireLoaded();
    this.#requireComplete();
    const lost = this.#lost.get(request.poolId);
    if (lost !== undefined) throw damagedPool(lost);
    const pool = this.#findPool(request.poolId);
    if (pool === undefined) throw unknownPool(request.poolId);
    return this.#requestAddress(pool, request, signal).catch((failure: unknown) => {
      // Without its gateway there is no network: the pool is given back next.
      if (request.isGateway && this.#inventory?.isOpen === true) this.#inventory.addFalseClaim(pool.description.id);
      this.#inventory?.fail();
      throw failure;
    });
  }

  async #requestAddress(pool: Pool, request: RequestAddress, signal?: AbortSignal): Promise<string> {
    const { address, isGateway } = request;
    const { id } = pool.description;
    const inUse = address === undefined ? undefined : pool.findInUse(address);
    if (inUse !== undefined && this.#inventory?.countAddress(id, inUse) === true) return inUse;
    if (address === undefined && !isGateway) this.#inventory?.end();
    this.#inventory?.note(id);
    const given = await pool.request(address, isGateway ? "gateway" : "endpoint", { signal });
    this.#inventory?.countAddress(id, given); // the engine has it from now on
    return given;
  }

  async releaseAddress(poolId: string, address: string): Promise<void> {
    this.#requireLoaded();
    const parsed = parseAddress(address);
    const pool = this.#findPool(poolId);
    if (pool === undefined) return;
    const { id } = pool.description;
    if (this.#inventory?.hasFalseClaim(id) === true && pool.isGateway(parsed)) return;
    this.#inventory?.note(id);
    await pool.release(parsed);
  }

  describe(): IpamStatus {
    return statusOfPools(this.#spaces);
  }

  async #releaseLost({ id, addressIds }: LostPool): Promise<void> {
    const changes = addressIds.map((addressId) => ({ op: "remove", kind: "address", id: addressId }) as const);
    await this.#parts.records.commit([...changes, { op: "remove", kind: "pool", id }], "removal");
    this.#lost.delete(id);
    for (const space of this.#spaces) space.removeLost(id);
  }

  #findPool(poolId: string): Pool | undefined {
    return this.#spaces.map((space) => space.find(poolId)).find((pool) => pool !== undefined);
  }

  /** What is given out may be in use where records are missing. */
  #requireComplete(): void {
    if (this.#parts.records.fault !== undefined) throw this.#parts.records.fault;
  }

  /** An Ipam that has not read its records would give out what is in use. */
  #requireLoaded(): void {
    if (!this.#isLoaded) throw new TsnetError("unavailable", "the address records are not loaded yet");
  }
}

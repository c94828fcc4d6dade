// The meaning of the IpamDriver verbs: finds the pool, keeps the order of pool verbs, reads the records at start. Arithmetic is
// in `address-book.ts` and `default-pools.ts`; what the engine sends and when is in moby `daemon/libnetwork/docs/ipam.md`.
import { formatSubnet, parseAddress, parseSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { KeyedLock } from "../keyed-lock.ts";
import type { RecordStore } from "../state/record-store.ts";
import { AddressSpace } from "./address-space.ts";
import type { DefaultPool } from "./default-pools.ts";
import type { HostRoutes } from "./host-routes.ts";
import { createPoolId, splitAddressRecordId } from "./pool-id.ts";
import { type RecordedAddress, damaged, parseAddressRecord, parsePoolRecord } from "./pool-records.ts";
import { planPool } from "./pool-request.ts";
import { Pool, unknownPool } from "./pool.ts";
import type { IpamDriver, RequestAddress, RequestPool, RequestedPool } from "./requests.ts";

/** What the addresses of tsnet are built on. */
export interface IpamParts {
  readonly records: RecordStore;
  /** In the order in which they are tried. */
  readonly defaultPools: readonly DefaultPool[];
  readonly hostRoutes: HostRoutes;
}

/** Gives out pools and addresses; what it has answered is durable. `load` comes first, other calls fail until then. */
export class Ipam implements IpamDriver {
  readonly addressSpaces = { local: "tsnet", global: "tsnet-global" } as const;
  readonly #parts: IpamParts;
  readonly #spaces = [new AddressSpace(this.addressSpaces.local), new AddressSpace(this.addressSpaces.global)];
  readonly #locks = new KeyedLock();
  #isLoaded = false;

  constructor(parts: IpamParts) {
    this.#parts = parts;
  }

  /**
   * Reads pools and addresses from the records, once.
   *
   * @throws TsnetError `internal` that names the first record that cannot be understood; then nothing was loaded.
   */
  load(): void {
    if (this.#isLoaded) throw new TsnetError("internal", "the address records are loaded already");
    const pools = this.#readPools();
    for (const { space, pool } of pools) space.add(pool);
    this.#isLoaded = true;
  }

  async requestPool(request: RequestPool): Promise<RequestedPool> {
    this.#requireLoaded();
    const space = this.#requireSpace(request.addressSpace);
    const { family, segment, subnet: wanted, range } = planPool(request);
    return this.#locks.run(space.name, async () => {
      const { records, defaultPools, hostRoutes } = this.#parts;
      if (wanted) space.requireFree(segment, wanted);
      const subnet = wanted ?? space.chooseSubnet(family, defaultPools, await hostRoutes.subnets());
      const pool = new Pool({ id: createPoolId(subnet), addressSpace: space.name, segment, subnet, range }, records);
      await pool.record();
      space.add(pool);
      return { poolId: pool.description.id, subnet: formatSubnet(subnet) };
    });
  }

  async releasePool(poolId: string): Promise<void> {
    this.#requireLoaded();
    const space = this.#spaces.find((candidate) => candidate.find(poolId));
    if (space === undefined) return;
    await this.#locks.run(space.name, async () => {
      const pool = space.find(poolId);
      if (pool === undefined) return;
      await pool.remove();
      space.remove(pool);
    });
  }

  async requestAddress(request: RequestAddress): Promise<string> {
    this.#requireLoaded();
    const pool = this.#findPool(request.poolId);
    if (pool === undefined) throw unknownPool(request.poolId);
    return pool.request(request.address, request.isGateway ? "gateway" : "endpoint");
  }

  async releaseAddress(poolId: string, address: string): Promise<void> {
    this.#requireLoaded();
    const parsed = parseAddress(address);
    await this.#findPool(poolId)?.release(parsed);
  }

  /**
   * Releases an address of a network whose pool is known by its subnet only. Where pools of several segments have that
   * subnet it stays in use, since it cannot be told whose it is.
   *
   * @param subnet - canonical CIDR. @param address - bare.
   */
  async releaseLost(addressSpace: string, subnet: string, address: string): Promise<void> {
    const space = this.#spaces.find(({ name }) => name === addressSpace);
    const [pool, ...others] = space?.findBySubnet(parseSubnet(subnet)) ?? [];
    if (pool !== undefined && others.length === 0) await pool.release(parseAddress(address));
  }

  #findPool(poolId: string): Pool | undefined {
    return this.#spaces.map((space) => space.find(poolId)).find((pool) => pool !== undefined);
  }

  #requireSpace(name: string): AddressSpace {
    const space = this.#spaces.find((candidate) => candidate.name === name);
    if (space) return space;
    const known = this.#spaces.map((candidate) => candidate.name).join(", ");
    throw new TsnetError("invalid", `address space ${JSON.stringify(name.slice(0, 64))} is none of ${known}`);
  }

  /** An Ipam that has not read its records would give out what is in use. */
  #requireLoaded(): void {
    if (!this.#isLoaded) throw new TsnetError("unavailable", "the address records are not loaded yet");
  }

  #readPools(): { readonly space: AddressSpace; readonly pool: Pool }[] {
    const { records } = this.#parts;
    const found = new Map(
      Array.from(records.list("pool"), ([id, body]) => {
        const description = parsePoolRecord(id, body);
        const space = this.#spaces.find((candidate) => candidate.name === description.addressSpace);
        if (space === undefined) throw damaged("pool", id, `unknown address space ${description.addressSpace}`);
        return [id, { description, space, addresses: new Array<RecordedAddress>() }];
      }),
    );
    for (const [recordId, body] of records.list("address")) {
      const { poolId, address } = splitAddressRecordId(recordId);
      const owner = found.get(poolId);
      if (owner === undefined) throw damaged("address", recordId, "there is no such pool");
      owner.addresses.push(parseAddressRecord(owner.description, address, body));
    }
    return Array.from(found.values(), ({ description, space, addresses }) => {
      return { space, pool: new Pool(description, records, addresses) };
    });
  }
}

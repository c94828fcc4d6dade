// One address space: the pools that were given out from it, and what a new pool must not overlap. Address spaces know nothing of
// each other: on a swarm node the manager takes a subnet from the global one and the node the same from the local one.
import { type Family, type Subnet, formatSubnet, overlaps } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { type DefaultPool, countOccupied, countSubnets, findFreeSubnet, formatDefaultPool } from "./default-pools.ts";
import type { Pool } from "./pool.ts";

/** The pools of one address space, by id. */
export class AddressSpace {
  readonly name: string;
  readonly #pools = new Map<string, Pool>();
  /** Subnets of pools of which nothing else is known, by the pool's id. */
  readonly #lost = new Map<string, Subnet>();

  constructor(name: string) {
    this.name = name;
  }

  find(poolId: string): Pool | undefined {
    return this.#pools.get(poolId);
  }

  /** The pools of all segments that have exactly this subnet. */
  findBySubnet(subnet: Subnet): readonly Pool[] {
    const text = formatSubnet(subnet);
    return Array.from(this.#pools.values()).filter(({ description }) => formatSubnet(description.subnet) === text);
  }

  /** Pools that the engine may never have learned of, or gave back in vain. */
  forgotten(): readonly Pool[] {
    return Array.from(this.#pools.values()).filter(({ isForgotten }) => isForgotten);
  }

  pools(): readonly Pool[] {
    return [...this.#pools.values()];
  }

  add(pool: Pool): void {
    this.#pools.set(pool.description.id, pool);
  }

  remove(pool: Pool): void {
    this.#pools.delete(pool.description.id);
  }

  /** Keeps the subnet of a pool whose record is damaged from all others, whatever their segment. */
  addLost(poolId: string, subnet: Subnet): void {
    this.#lost.set(poolId, subnet);
  }

  removeLost(poolId: string): void {
    this.#lost.delete(poolId);
  }

  /** @throws TsnetError `conflict` if `subnet` overlaps a pool of the same segment; pools of other segments do not matter. */
  requireFree(segment: string, subnet: Subnet): void {
    for (const lost of this.#lost.values()) {
      if (!overlaps(lost, subnet)) continue;
      const why = `overlaps pool ${formatSubnet(lost)}, whose record is damaged: remove the network that has it`;
      throw new TsnetError("conflict", `subnet ${formatSubnet(subnet)} ${why}`);
    }
    for (const { description } of this.#pools.values()) {
      if (description.segment !== segment || !overlaps(description.subnet, subnet)) continue;
      const where = segment === "" ? "the default segment" : `segment ${JSON.stringify(segment)}`;
      const other = formatSubnet(description.subnet);
      throw new TsnetError("conflict", `subnet ${formatSubnet(subnet)} overlaps pool ${other} in ${where}`);
    }
  }

  /**
   * The lowest subnet of the first default pool with room that overlaps no pool of any segment and no route of this host.
   *
   * @param routes - of this host; default routes are not counted.
   * @param spare - pools that it may overlap.
   * @throws TsnetError `exhausted` that says for each default pool how many of how many are in use.
   */
  chooseSubnet(
    family: Family,
    defaultPools: readonly DefaultPool[],
    routes: readonly Subnet[],
    spare: readonly Pool[] = [],
  ): Subnet {
    const candidates = defaultPools.filter(({ base }) => base.family === family);
    const counted = Array.from(this.#pools.values()).filter((pool) => !spare.includes(pool));
    const pools = [...counted.map(({ description }) => description.subnet), ...this.#lost.values()];
    const occupied = [...pools, ...routes.filter((route) => route.prefixLength > 0)];
    for (const candidate of candidates) {
      const free = findFreeSubnet(candidate, occupied);
      if (free) return free;
    }
    const usage = candidates.map((candidate) => describeUsage(candidate, pools, occupied)).join("; ");
    const why = usage === "" ? "TSNET_POOLS has none" : `${usage} (setting TSNET_POOLS)`;
    throw new TsnetError("exhausted", `no IPv${family} pool left to choose, give --subnet: ${why}`);
  }
}

/** The one of that name. @throws TsnetError `invalid` that names all there are. */
export function requireSpace(spaces: readonly AddressSpace[], name: string): AddressSpace {
  const space = spaces.find((candidate) => candidate.name === name);
  if (space) return space;
  const known = spaces.map((candidate) => candidate.name).join(", ");
  throw new TsnetError("invalid", `address space ${JSON.stringify(name.slice(0, 64))} is none of ${known}`);
}

function describeUsage(candidate: DefaultPool, pools: readonly Subnet[], occupied: readonly Subnet[]): string {
  const inUse = countOccupied(candidate, pools);
  const blocked = countOccupied(candidate, occupied) - inUse;
  const rest = blocked === 0n ? "" : `, ${blocked} overlap routes of this host`;
  return `${formatDefaultPool(candidate)}: ${inUse} of ${countSubnets(candidate)} in use${rest}`;
}

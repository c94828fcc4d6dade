// Reads pools and addresses from the records at start. Whatever cannot be read or makes no sense is kept from use: the subnet
// of such a pool is given to nobody, such an address counts as in use.
import { type Subnet, parseSubnet } from "../cidr.ts";
import { messageOf } from "../errors.ts";
import type { RecordStore } from "../state/record-store.ts";
import type { AddressSpace } from "./address-space.ts";
import { parsePoolId, splitAddressRecordId } from "./pool-id.ts";
import { type PoolDescription, type RecordedAddress, parseAddressRecord, parsePoolRecord } from "./pool-records.ts";
import { Pool } from "./pool.ts";

/** A pool of which the id is all that is known. */
export interface LostPool {
  readonly id: string;
  readonly subnet: Subnet;
  /** Ids of the records of its addresses. */
  readonly addressIds: readonly string[];
}

/** What the records say. */
export interface RecordedPools {
  readonly pools: readonly { readonly space: AddressSpace; readonly pool: Pool }[];
  readonly lost: readonly LostPool[];
  /** Records that can be read and make no sense, a line each. */
  readonly faults: readonly string[];
}

/** What an address is taken for whose record cannot be read. */
const IN_USE = { use: "endpoint" };

/** @param spaces - all there are. */
export function readPools(records: RecordStore, spaces: readonly AddressSpace[]): RecordedPools {
  const faults: string[] = [];
  const attempt = <T>(parse: () => T): T | undefined => {
    try {
      return parse();
    } catch (fault) {
      faults.push(messageOf(fault));
    }
  };
  const addresses = bodiesByPool(records);
  const pools: { space: AddressSpace; pool: Pool }[] = [];
  const lost: LostPool[] = [];
  const lose = (id: string) => {
    if (parsePoolId(id) === undefined) return;
    const subnet = attempt(() => parseSubnet(id.replace(/\+.*/, "")));
    const addressIds = Array.from(addresses.get(id)?.keys() ?? [], (address) => `${id}#${address}`);
    if (subnet !== undefined) lost.push({ id, subnet, addressIds });
  };
  for (const [id, body] of records.list("pool")) {
    const description = attempt(() => parsePoolRecord(id, body));
    const space = spaces.find(({ name }) => name === description?.addressSpace);
    if (description === undefined || space === undefined) {
      if (description !== undefined) faults.push(`pool record ${JSON.stringify(id)} is of no known address space`);
      lose(id);
      continue;
    }
    const recorded = Array.from(
      addresses.get(id) ?? [],
      ([address, state]) =>
        attempt(() => parseAddressRecord(description, address, state)) ?? takenFor(description, address),
    );
    pools.push({
      space,
      pool: new Pool(
        description,
        records,
        recorded.flatMap((one) => one ?? []),
      ),
    });
  }
  for (const { kind, id } of records.damaged()) if (kind === "pool") lose(id);
  const known = new Set([...pools.map(({ pool }) => String(pool.description.id)), ...lost.map(({ id }) => id)]);
  for (const id of addresses.keys())
    if (!known.has(id)) faults.push(`addresses of ${JSON.stringify(id)}: there is no such pool`);
  return { pools, lost, faults };
}

/** Undefined for an address that the pool cannot have. */
function takenFor(pool: PoolDescription, address: string): RecordedAddress | undefined {
  try {
    return parseAddressRecord(pool, address, IN_USE);
  } catch {
    return undefined;
  }
}

function bodiesByPool(records: RecordStore): ReadonlyMap<string, ReadonlyMap<string, unknown>> {
  const damaged = records.damaged().flatMap(({ kind, id }) => (kind === "address" ? [[id, IN_USE] as const] : []));
  const found = new Map<string, Map<string, unknown>>();
  for (const [recordId, body] of [...records.list("address"), ...damaged]) {
    const { poolId, address } = splitAddressRecordId(recordId);
    const own = found.get(poolId) ?? new Map<string, unknown>();
    found.set(poolId, own.set(address, body));
  }
  return found;
}

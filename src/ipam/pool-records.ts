// Pools and addresses as records.
//
//   kind     id                                  body
//   pool     10.1.2.0/24+9f3a61c2                {"space":"tsnet","subnet":"10.1.2.0/24","segment":"","range":"10.1.2.128/25"}
//   address  10.1.2.0/24+9f3a61c2#10.1.2.7       {"use":"endpoint"} or {"use":"gateway"} in use, {"released":17} at rest
//
// `"isOperators":true` beside `use` says that not the engine asked for it, but one of the operator's verbs. `range` is left out
// if there is none. `released` counts the releases of a pool, the lowest was first. An address without a record was never used.
import { type Subnet, contains, formatAddress, formatSubnet, parseAddress, parseSubnet } from "../cidr.ts";
import { TsnetError, messageOf } from "../errors.ts";
import type { AddressUse } from "./address-book.ts";
import { type PoolId, parsePoolId } from "./pool-id.ts";

/** What a pool is, without its addresses. */
export interface PoolDescription {
  readonly id: PoolId;
  readonly addressSpace: string;
  /** Empty for the default segment. */
  readonly segment: string;
  readonly subnet: Subnet;
  readonly range: Subnet | undefined;
}

/** What the record of an address says. */
export type AddressState = AddressInUse | { readonly released: number };

/** What it says while the address is in use. */
export interface AddressInUse {
  readonly use: AddressUse;
  readonly isOperators?: boolean;
}

/** One address that a pool has a record of. */
export interface RecordedAddress {
  readonly value: bigint;
  readonly state: AddressState;
}

/** The body of a pool's record. */
export function poolBody(pool: PoolDescription): object {
  const range = pool.range && { range: formatSubnet(pool.range) };
  return { space: pool.addressSpace, subnet: formatSubnet(pool.subnet), segment: pool.segment, ...range };
}

/** @throws TsnetError `internal` that names the record, if `poolBody` could not have written it. */
export function parsePoolRecord(recordId: string, body: unknown): PoolDescription {
  try {
    const id = parsePoolId(recordId);
    if (id === undefined) throw new Error("id is none of tsnet's");
    const fields = objectOf(body);
    const range = fields["range"] === undefined ? undefined : parseSubnet(textOf(fields, "range"));
    const subnet = parseSubnet(textOf(fields, "subnet"));
    return { id, addressSpace: textOf(fields, "space"), segment: textOf(fields, "segment"), subnet, range };
  } catch (fault) {
    throw damaged("pool", recordId, messageOf(fault), fault);
  }
}

/**
 * Reads the record of one address of `pool`.
 *
 * @param address - the address part of the record's id.
 * @throws TsnetError `internal` that names the record, if it could not have come from this pool.
 */
export function parseAddressRecord(pool: PoolDescription, address: string, body: unknown): RecordedAddress {
  try {
    const parsed = parseAddress(address);
    if (formatAddress(parsed) !== address) throw new Error(`${address} is not how tsnet writes it`);
    if (!contains(pool.subnet, parsed)) throw new Error(`outside ${formatSubnet(pool.subnet)}`);
    return { value: parsed.value, state: stateOf(objectOf(body)) };
  } catch (fault) {
    throw damaged("address", `${pool.id}#${address}`, messageOf(fault), fault);
  }
}

/** The error for a record that cannot be understood. It is never left out instead: its address would be given out twice. */
function damaged(kind: "pool" | "address", recordId: string, why: string, cause?: unknown): TsnetError {
  return new TsnetError("internal", `${kind} record ${JSON.stringify(recordId)} is damaged: ${why}`, { cause });
}

function stateOf(fields: Readonly<Record<string, unknown>>): AddressState {
  const { use, released, isOperators } = fields;
  if ((use === "endpoint" || use === "gateway") && released === undefined)
    return { use, ...(isOperators === true && { isOperators }) };
  if (typeof released === "number" && Number.isSafeInteger(released) && released > 0 && use === undefined) {
    return { released };
  }
  throw new Error("neither in use nor released");
}

function objectOf(body: unknown): Readonly<Record<string, unknown>> {
  if (typeof body !== "object" || body === null) throw new Error("no object");
  return body as Record<string, unknown>; // any object can be read by key
}

function textOf(fields: Readonly<Record<string, unknown>>, key: string): string {
  const value = fields[key];
  if (typeof value !== "string") throw new Error(`${key} is no text`);
  return value;
}

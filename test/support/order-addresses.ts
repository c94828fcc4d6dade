// Who has which address of a network in a history, by the records: no two have the same one, tsnet's own IPAM knows of each,
// and none is in use that nobody has.
import type { EndpointRecord, NetworkRecord } from "../../src/cnm/registry.ts";
import type { RecordStore } from "../../src/state/record-store.ts";
import { networkId } from "./cnm-builder.ts";
import { OWN_NETWORK, bare } from "./order-engine.ts";

/** What is wrong, in lines. */
export function addressFaults(records: RecordStore): readonly string[] {
  const endpoints = endpointsOf(records);
  const changed = endpoints.filter(
    ({ endpoint, attachment }) => attachment !== undefined || endpoint.given !== undefined,
  );
  const shared = changed.flatMap((one) =>
    endpoints.flatMap((other) => (one !== other && doMeet(one, other) ? [`${one.endpoint.address} is had twice`] : [])),
  );
  if (stateOfOwn(records) !== "ready") return shared;
  const inUse = inUseOfOwn(records);
  const unknown = ofOwn(changed).filter((address) => !inUse.includes(address));
  return [...shared, ...unknown.map((address) => `${address} is an endpoint's, and not in use`)];
}

/** Addresses that are in use and nobody's. @param held - the engine's. */
export function addressesOfNobody(records: RecordStore, held: ReadonlySet<string>): readonly string[] {
  if (stateOfOwn(records) !== "ready") return [];
  const own = [...ofOwn(endpointsOf(records)), ...[...held].map(bare)];
  return inUseOfOwn(records).filter((address) => !own.includes(address));
}

function endpointsOf(records: RecordStore): readonly EndpointRecord[] {
  return [...records.list("endpoint").values()] as EndpointRecord[]; // written by the registry
}

function doMeet({ endpoint: one }: EndpointRecord, { endpoint: other }: EndpointRecord): boolean {
  return one.networkId === other.networkId && one.address !== undefined && one.address === other.address;
}

function ofOwn(list: readonly EndpointRecord[]): readonly string[] {
  const own = list.filter(({ endpoint }) => endpoint.networkId === networkId(OWN_NETWORK));
  return own.flatMap(({ endpoint: { address, given } }) =>
    [address, given?.address].flatMap((text) => (text === undefined ? [] : [bare(text)])),
  );
}

function stateOfOwn(records: RecordStore): string | undefined {
  const record = records.list("network").get(networkId(OWN_NETWORK)) as NetworkRecord | undefined; // written by the registry
  return record?.state;
}

function inUseOfOwn(records: RecordStore): readonly string[] {
  const ids = [...records.list("address")].flatMap(([id, body]) => (isUse(body) ? [id.split("#")] : []));
  return ids.flatMap(([poolId = "", address = ""]) => (poolId.startsWith(`10.1.${OWN_NETWORK}.`) ? [address] : []));
}

/** @param body - of the record of an address. */
export function isUse(body: unknown): boolean {
  return typeof body === "object" && body !== null && "use" in body;
}

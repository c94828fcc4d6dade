// How tsnet knows its own rows in Open vSwitch's database again: by their `external_ids`, set in the transaction that makes
// the row. A bridge, the host's link and an uplink say for which network they were made; an endpoint's port also whose it is.
import type { StringMap } from "../../host/ovsdb-values.ts";

const NETWORK = "tsnet-network";
const ENDPOINT = "tsnet-endpoint";

interface Marked {
  readonly external_ids: StringMap;
}

/** Of a bridge, a host link or an uplink. */
export function networkMark(networkId: string): StringMap {
  return { [NETWORK]: networkId };
}

/** Of an endpoint's port. */
export function endpointMark(networkId: string, endpointId: string): StringMap {
  return { [NETWORK]: networkId, [ENDPOINT]: endpointId };
}

/** The network for which a row was made; undefined for rows of others. */
export function networkOf({ external_ids }: Marked): string | undefined {
  return external_ids[NETWORK];
}

/** The endpoint whose port a row is; undefined for all other rows. */
export function endpointOf({ external_ids }: Marked): string | undefined {
  return external_ids[ENDPOINT];
}

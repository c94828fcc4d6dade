// What must be known of an uplink after a crash: how it was before its addresses went to a switch. Implemented by
// `state/uplink-store.ts`.
import type { IfName } from "../../cnm/network.ts";

/** Plain data by the uplink's name, of this boot of the host only; durable when the promise resolves. */
export interface UplinkRecords {
  find(parent: IfName): unknown;
  put(parent: IfName, body: object): Promise<void>;
  remove(parent: IfName): Promise<void>;
}

// What must be known of an uplink after a crash: how it was before its addresses went to a switch.
import type { IfName } from "../../cnm/network.ts";

/** Plain data by the uplink's name; durable when the promise resolves. */
export interface UplinkRecords {
  find(parent: IfName): unknown;
  put(parent: IfName, body: object): Promise<void>;
  remove(parent: IfName): Promise<void>;
}

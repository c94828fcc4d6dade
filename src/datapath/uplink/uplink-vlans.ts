// What an uplink carries: exactly what the networks that use it need, never all.
import type { IfName, Network } from "../../cnm/network.ts";
import { allVlans } from "../../vlan.ts";

/** What a switch's port to the world carries. */
export interface UplinkVlans {
  /** Tagged, ascending. */
  readonly tagged: readonly number[];
  /** Whether untagged frames pass: those of the networks without a VLAN, and of the host where its addresses were moved. */
  readonly isUntagged: boolean;
}

/** @param networks - all networks of the switch. */
export function uplinkVlans(parent: IfName, networks: readonly Network[]): UplinkVlans {
  const users = networks.filter(({ uplink }) => uplink?.parent === parent);
  const lists = users.map(({ vlans }) => allVlans(vlans));
  return {
    tagged: [...new Set(lists.flat())].sort((a, b) => a - b),
    isUntagged: lists.some((ids) => ids.length === 0) || users.some(({ uplink }) => uplink?.isAddressMoved),
  };
}

/** The uplinks of a switch, each once. @param networks - all networks of the switch. */
export function uplinksOf(networks: readonly Network[]): readonly IfName[] {
  return [...new Set(networks.flatMap(({ uplink }) => (uplink === undefined ? [] : [uplink.parent])))];
}

// What an uplink carries: exactly what the networks that use it need, never all.
import type { IfName, Network } from "../../cnm/network.ts";
import { allVlans, hasUntagged } from "../../vlan.ts";

/** What a switch's port to the world carries. */
export interface UplinkVlans {
  /** Tagged, ascending. */
  readonly tagged: readonly number[];
  /** Whether untagged frames pass. */
  readonly isUntagged: boolean;
}

/** @param networks - all networks of the switch. */
export function uplinkVlans(parent: IfName, networks: readonly Network[]): UplinkVlans {
  const users = networks.filter(({ uplink }) => uplink?.parent === parent);
  const tagged = new Set(users.flatMap(({ vlans }) => allVlans(vlans)));
  return { tagged: [...tagged].sort((a, b) => a - b), isUntagged: users.some(hasUntagged) };
}

/** The uplinks of a switch, each once. @param networks - all networks of the switch. */
export function uplinksOf(networks: readonly Network[]): readonly IfName[] {
  return [...new Set(networks.flatMap(({ uplink }) => (uplink === undefined ? [] : [uplink.parent])))];
}

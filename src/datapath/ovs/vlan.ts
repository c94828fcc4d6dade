// VLANs of ports as Open vSwitch's database says them. A port with neither tag nor trunks carries every VLAN, and so does a
// trunk with an empty list: neither is ever written. VLAN 0 stands for untagged frames.
// Source: ovs-vswitchd.conf.db(5), table Port, columns vlan_mode, tag and trunks.
import type { Values } from "../../host/ovsdb-schema.ts";
import type { PortVlans } from "../../vlan.ts";
import type { UplinkVlans } from "../uplink/uplink-vlans.ts";

type VlanColumns = Required<Pick<Values<"Port">, "trunks">> & Pick<Values<"Port">, "tag" | "vlan_mode">;

/** Of untagged frames. */
const UNTAGGED = 0;

/** What no frame of an access port, of a trunk of ours or of the wire can have (IEEE 802.1Q, table 9-2). */
const NO_VLAN = 4095;

/** Columns of an endpoint's port, or of the host's link, which gets no `trunk`. */
export function vlanColumns({ vlan, trunk }: PortVlans): VlanColumns {
  if (trunk === undefined) return { tag: vlan ?? UNTAGGED, trunks: [], vlan_mode: "access" };
  if (vlan === undefined) return { tag: undefined, trunks: trunk, vlan_mode: "trunk" };
  return { tag: vlan, trunks: trunk, vlan_mode: "native-untagged" };
}

/** Columns of an uplink. */
export function uplinkColumns({ tagged, isUntagged }: UplinkVlans): VlanColumns {
  return { tag: undefined, trunks: isUntagged ? [UNTAGGED, ...tagged] : tagged, vlan_mode: "trunk" };
}

/** Columns of the switch's own link: it is in no network. */
export function inertColumns(): VlanColumns {
  return { tag: NO_VLAN, trunks: [], vlan_mode: "access" };
}

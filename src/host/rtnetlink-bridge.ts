// The settings of a bridge itself, as rtnetlink says them. They travel with the description of its link, also in the
// message that makes it: the kernel makes a bridge with all of them or none (br_dev_newlink). Follows
// include/uapi/linux/if_link.h (IFLA_BR_*) and net/bridge/br_netlink.c (br_changelink, br_fill_info).
import { parseAttributes, u16Attribute, u32Attribute, u8Attribute } from "./netlink.ts";

const IFLA_BR = {
  FORWARD_DELAY: 1,
  HELLO_TIME: 2,
  MAX_AGE: 3,
  AGEING_TIME: 4,
  STP_STATE: 5,
  PRIORITY: 6,
  VLAN_FILTERING: 7,
  ROOT_PORT: 12,
  TOPOLOGY_CHANGE: 14,
  MCAST_SNOOPING: 23,
  VLAN_DEFAULT_PVID: 39,
} as const;

/** USER_HZ, in which the kernel tells times to programs (time(7)). It keeps them in its own ticks: whole seconds stay exact. */
const TICKS_PER_SECOND = 100;

/** The settings of a bridge; one that this kernel does not know, or does not tell now, is absent. Source: ip-link(8), "Bridge Type Support". */
export interface BridgeSettings {
  /** Ports take in and give out only frames of their own VLANs. A kernel that cannot refuses any value (EOPNOTSUPP). */
  readonly vlanFiltering?: boolean;
  /**
   * The VLAN that the bridge and every port that comes has untagged, 0 to 4094; 0: none. The kernel's default is 1. A
   * kernel that cannot filter VLANs ignores it.
   */
  readonly defaultPvid?: number;
  /** The kernel's own spanning tree, IEEE 802.1D. With it, the three times are refused outside their ranges (ERANGE). */
  readonly stp?: boolean;
  /** 0 to 65535; the bridge with the lowest becomes the root. */
  readonly priority?: number;
  /** Seconds, 2 to 30 with `stp`. */
  readonly forwardDelay?: number;
  /** Seconds, 1 to 10. */
  readonly helloTime?: number;
  /** Seconds, 6 to 40. */
  readonly maxAge?: number;
  /** Seconds until an address that was learned is forgotten; 0 forgets it at once. */
  readonly ageingTime?: number;
  readonly multicastSnooping?: boolean;
}

/**
 * The attributes of a new bridge or a change. The kernel takes them in an order of its own: filtering is on before the
 * default VLAN changes, and for as long, under its lock, the ports have the old one.
 */
export function bridgeAttributes(settings: BridgeSettings): Buffer[] {
  const { vlanFiltering, defaultPvid, stp, priority, multicastSnooping } = settings;
  const attributes: Buffer[] = [];
  const addTime = (type: number, seconds: number | undefined) => {
    if (seconds !== undefined) attributes.push(u32Attribute(type, Math.round(seconds * TICKS_PER_SECOND)));
  };
  addTime(IFLA_BR.FORWARD_DELAY, settings.forwardDelay);
  addTime(IFLA_BR.HELLO_TIME, settings.helloTime);
  addTime(IFLA_BR.MAX_AGE, settings.maxAge);
  addTime(IFLA_BR.AGEING_TIME, settings.ageingTime);
  if (stp !== undefined) attributes.push(u32Attribute(IFLA_BR.STP_STATE, stp ? 1 : 0));
  if (priority !== undefined) attributes.push(u16Attribute(IFLA_BR.PRIORITY, priority));
  if (vlanFiltering !== undefined) attributes.push(u8Attribute(IFLA_BR.VLAN_FILTERING, vlanFiltering ? 1 : 0));
  if (defaultPvid !== undefined) attributes.push(u16Attribute(IFLA_BR.VLAN_DEFAULT_PVID, defaultPvid));
  if (multicastSnooping !== undefined) attributes.push(u8Attribute(IFLA_BR.MCAST_SNOOPING, multicastSnooping ? 1 : 0));
  return attributes;
}

/** Reads the attributes that describe a bridge. */
export function parseBridge(bytes: Buffer): BridgeSettings {
  const attributes = parseAttributes(bytes);
  const isRoot = attributes.get(IFLA_BR.ROOT_PORT)?.readUInt16LE() === 0;
  const isChanging = attributes.get(IFLA_BR.TOPOLOGY_CHANGE)?.readUInt8() === 1;
  const seconds = (type: number) => (attributes.get(type)?.readUInt32LE() ?? 0) / TICKS_PER_SECOND;
  const defaultPvid = attributes.get(IFLA_BR.VLAN_DEFAULT_PVID)?.readUInt16LE();
  const snooping = attributes.get(IFLA_BR.MCAST_SNOOPING)?.readUInt8();
  return {
    // A kernel that cannot filter tells that it does not, and no default VLAN.
    ...(defaultPvid !== undefined && {
      vlanFiltering: attributes.get(IFLA_BR.VLAN_FILTERING)?.readUInt8() === 1,
      defaultPvid,
    }),
    stp: attributes.get(IFLA_BR.STP_STATE)?.readUInt32LE() !== 0,
    priority: attributes.get(IFLA_BR.PRIORITY)?.readUInt16LE() ?? 0,
    // What the kernel tells is what holds now: the times of the root, and a short ageing while the tree changes.
    ...(isRoot && {
      forwardDelay: seconds(IFLA_BR.FORWARD_DELAY),
      helloTime: seconds(IFLA_BR.HELLO_TIME),
      maxAge: seconds(IFLA_BR.MAX_AGE),
    }),
    ...(!isChanging && { ageingTime: seconds(IFLA_BR.AGEING_TIME) }),
    ...(snooping !== undefined && { multicastSnooping: snooping !== 0 }),
  };
}

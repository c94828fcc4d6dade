// How a bridge treats one of its ports. The settings travel with the description of the port's link: they are read with
// it, and set in the request that sets the link up, before it is up (net/core/rtnetlink.c, rtnl_changelink). Follows
// include/uapi/linux/if_link.h (IFLA_BRPORT_*) and net/bridge/br_netlink.c (br_setport, br_port_fill_attrs).
import { bytesAttribute, parseAttributes, u16Attribute, u32Attribute, u8Attribute } from "./netlink.ts";

/** The settings that are on or off: our names and the kernel's numbers. All of them are one byte, 0 or 1; of the multicast router 0 to 3. */
const IFLA_BRPORT = {
  isHairpin: 4,
  isLearning: 8,
  isFlooding: 9,
  isRouterAllowed: 25,
  isIsolated: 33,
  isLocked: 39,
} as const;
const IFLA_BRPORT_STATE = 1;
const IFLA_BRPORT_PRIORITY = 2;
const IFLA_BRPORT_COST = 3;
const IFLA_BRPORT_FLUSH = 24;
const IFLA_BRPORT_GROUP_FWD_MASK = 31;

/** All of 01:80:c2:00:00:0X but 01, pause frames, which the kernel keeps (BR_GROUPFWD_MACPAUSE). */
const RESERVED_GROUPS = 0xfffd;

/** In the order of the kernel's numbers (include/uapi/linux/if_bridge.h, BR_STATE_*). */
const STP_STATES = ["disabled", "listening", "learning", "forwarding", "blocking"] as const;

type SettingName = keyof typeof IFLA_BRPORT;
const NAMES = Object.keys(IFLA_BRPORT) as SettingName[]; // keys of a constant: exactly these names

/** The settings of a port; one that this kernel does not know is absent. Source: bridge(8), `bridge link set`. */
export interface BridgePort {
  /** Frames may leave by the port by which they came. */
  readonly isHairpin?: boolean;
  /** Source addresses seen on the port go into the forwarding table. */
  readonly isLearning?: boolean;
  /** Unicast frames to addresses not in the forwarding table leave by this port too. */
  readonly isFlooding?: boolean;
  /** Whoever sends multicast queries by this port gets the multicast of all groups (`mcast_router` 1, else 0). */
  readonly isRouterAllowed?: boolean;
  /** Isolated ports exchange no frames with each other. */
  readonly isIsolated?: boolean;
  /** Frames come in only from the addresses whose forwarding entry names this port. Since Linux 5.18. */
  readonly isLocked?: boolean;
  /**
   * Frames to the reserved addresses 01:80:c2:00:00:0X pass as any other multicast. Else the bridge takes them out before
   * the packet filter, learns from them, and gives them to the host as if they were for the port itself (br_handle_frame).
   */
  readonly passesReserved?: boolean;
  /** What the way by this port costs in the spanning tree, 1 to 65535; the kernel's default follows the link's speed. */
  readonly pathCost?: number;
  /** Of ports that lead to the same bridge, the spanning tree takes that with the lowest: 0 to 63, default 32. */
  readonly priority?: number;
}

/** The settings of a port and what became of it. */
export interface BridgePortState extends BridgePort {
  /** `disabled` without a carrier; without a spanning tree else `forwarding`. */
  readonly stpState?: (typeof STP_STATES)[number];
}

/** What to change about a port; what is absent stays, and what this kernel does not know it ignores. */
export interface BridgePortChange extends BridgePort {
  /** Addresses that were learned on the port are forgotten, after the other changes. */
  readonly forgetsLearned?: true;
}

/** The attributes of a change. */
export function bridgePortAttributes(change: BridgePortChange): Buffer[] {
  const settings = NAMES.flatMap((name) =>
    change[name] === undefined ? [] : [u8Attribute(IFLA_BRPORT[name], change[name] ? 1 : 0)],
  );
  const { passesReserved, pathCost, priority } = change;
  if (passesReserved !== undefined) {
    settings.push(u16Attribute(IFLA_BRPORT_GROUP_FWD_MASK, passesReserved ? RESERVED_GROUPS : 0));
  }
  if (pathCost !== undefined) settings.push(u32Attribute(IFLA_BRPORT_COST, pathCost));
  if (priority !== undefined) settings.push(u16Attribute(IFLA_BRPORT_PRIORITY, priority));
  return change.forgetsLearned ? [...settings, bytesAttribute(IFLA_BRPORT_FLUSH, Buffer.alloc(0))] : settings;
}

/** Reads the attributes that describe a port. */
export function parseBridgePort(bytes: Buffer): BridgePortState {
  const attributes = parseAttributes(bytes);
  const known = NAMES.flatMap((name) => {
    const value = attributes.get(IFLA_BRPORT[name]);
    return value === undefined ? [] : [[name, value.readUInt8(0) !== 0] as const];
  });
  const mask = attributes.get(IFLA_BRPORT_GROUP_FWD_MASK)?.readUInt16LE(0);
  const pathCost = attributes.get(IFLA_BRPORT_COST)?.readUInt32LE();
  const priority = attributes.get(IFLA_BRPORT_PRIORITY)?.readUInt16LE();
  const stpState = STP_STATES[attributes.get(IFLA_BRPORT_STATE)?.readUInt8() ?? -1];
  return {
    ...Object.fromEntries(known),
    ...(mask !== undefined && { passesReserved: mask === RESERVED_GROUPS }),
    ...(pathCost !== undefined && { pathCost }),
    ...(priority !== undefined && { priority }),
    ...(stpState !== undefined && { stpState }),
  };
}

/** Whether a port is as it shall be, as far as this kernel knows the settings. */
export function isPortAs(wanted: BridgePort, port: BridgePort): boolean {
  return [...NAMES, "passesReserved" as const, "pathCost" as const, "priority" as const].every(
    (name) => wanted[name] === undefined || port[name] === undefined || wanted[name] === port[name],
  );
}

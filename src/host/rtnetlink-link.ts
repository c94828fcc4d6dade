// Links as rtnetlink says them: a link as it is read, and the parts of the requests that make and change links.
// Follows rtnetlink(7), include/uapi/linux/if_link.h and, for what the kernel takes in one message,
// net/core/rtnetlink.c (rtnl_newlink, do_setlink) and drivers/net/veth.c (veth_newlink).
import { formatMac, parseMac } from "./mac.ts";
import {
  bytesAttribute,
  nestedAttribute,
  parseAttributeList,
  parseAttributes,
  textAttribute,
  textOf,
  u16Attribute,
  u32Attribute,
} from "./netlink.ts";
import { type BridgeSettings, bridgeAttributes, parseBridge } from "./rtnetlink-bridge.ts";
import {
  type BridgePortChange,
  type BridgePortState,
  bridgePortAttributes,
  parseBridgePort,
} from "./rtnetlink-bridge-port.ts";
import { type NewTunnel, type Tunnel, parseTunnel, tunnelAttributes } from "./rtnetlink-tunnel.ts";

/** Attributes of a link (if_link.h, IFLA_*). */
export const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  LINKINFO: 18,
  IFALIAS: 20,
  AF_SPEC: 26,
  GROUP: 27,
  EXT_MASK: 29,
  LINK_NETNSID: 37,
  PROP_LIST: 52,
  ALT_IFNAME: 53,
} as const;

/** Attributes within IFLA_LINKINFO. */
export const IFLA_INFO = { KIND: 1, DATA: 2, SLAVE_KIND: 4, SLAVE_DATA: 5 } as const;
const VETH_INFO_PEER = 1;
const IFLA_VLAN_ID = 1;
const IFF_UP = 1;
/** Of the `struct ifinfomsg` in front of a link's attributes. */
export const LINK_HEADER_LENGTH = 16;

/** A network device of this namespace. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** `bridge`, `veth`, ...; absent for hardware and the loopback device. */
  readonly kind?: string;
  readonly alias?: string;
  /** 0 is the default group. */
  readonly group: number;
  /** Lower case with colons; empty for a link without hardware address. */
  readonly mac: string;
  readonly mtu: number;
  /** The administrative state (IFF_UP), not whether there is a carrier. */
  readonly isUp: boolean;
  /** The bridge, or other master, of which it is a port. */
  readonly masterIndex?: number;
  /** How its bridge treats it; absent for a link that is no port of one. */
  readonly bridgePort?: BridgePortState;
  /** The settings of a bridge itself; absent for any other link. */
  readonly bridge?: BridgeSettings;
  /** The tag of a VLAN link, 802.1Q or 802.1ad. */
  readonly vlanId?: number;
  /** The settings of a tunnel; absent for any other link. */
  readonly tunnel?: Tunnel;
  /** The other end of a veth pair, or the link below a VLAN; absent when that is in another namespace. */
  readonly peerIndex?: number;
  readonly altNames: readonly string[];
}

/** A bridge to make. */
export interface BridgeSpec {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly group: number;
  /** What is absent is as the kernel has it. */
  readonly bridge?: BridgeSettings;
}

/** A VLAN link (802.1Q) to make: it has the frames of its parent that carry its tag, without the tag. */
export interface VlanSpec {
  readonly name: string;
  readonly parentIndex: number;
  /** 1 to 4094. */
  readonly vlanId: number;
  /** That of the parent unless given. */
  readonly mac?: string;
  /** At most that of the parent. */
  readonly mtu: number;
  readonly group: number;
  /** The parent must be up for this (ENETDOWN). */
  readonly isUp: boolean;
}

/** A tunnel link to make. */
export interface TunnelSpec {
  readonly name: string;
  readonly mac?: string;
  /** What the path to each peer has, less the overhead. */
  readonly mtu: number;
  readonly group: number;
  readonly masterIndex?: number;
  readonly isUp: boolean;
  readonly tunnel: NewTunnel;
}

/** A veth pair to make. Both ends get the same group; only the near one gets a master and is set up. */
export interface VethSpec {
  readonly name: string;
  readonly mac?: string;
  readonly mtu: number;
  readonly group: number;
  readonly masterIndex?: number;
  readonly isUp: boolean;
  /** `mtu` is that of the near end unless said otherwise. */
  readonly peer: { readonly name: string; readonly mac?: string; readonly mtu?: number };
}

/** What to change about a link; what is absent stays. */
export interface LinkChange {
  readonly isUp?: boolean;
  readonly mtu?: number;
  /** 0 takes the link out of its master. */
  readonly masterIndex?: number;
  /** Empty removes it; up to 255 bytes. */
  readonly alias?: string;
  readonly mac?: string;
  readonly group?: number;
  /** The link may have to be down for this: kernels before 6.2 rename no link that is up. */
  readonly name?: string;
  /** Of a port: done before it is set up. A link that is no port refuses it (EOPNOTSUPP). */
  readonly bridgePort?: BridgePortChange;
  /** Of a bridge: done before all else. Any other link refuses it (EOPNOTSUPP). */
  readonly bridge?: BridgeSettings;
}

/** Reads the payload of an RTM_NEWLINK message. */
export function parseLink(payload: Buffer): Link {
  const attributes = parseAttributes(payload.subarray(LINK_HEADER_LENGTH));
  const info = parseAttributes(attributes.get(IFLA.LINKINFO) ?? Buffer.alloc(0));
  const kind = textOf(info.get(IFLA_INFO.KIND) ?? Buffer.alloc(0));
  const data = info.get(IFLA_INFO.DATA) ?? Buffer.alloc(0);
  const vlanId = kind === "vlan" ? parseAttributes(data).get(IFLA_VLAN_ID) : undefined;
  const tunnel = parseTunnel(kind, data);
  const isPort = textOf(info.get(IFLA_INFO.SLAVE_KIND) ?? Buffer.alloc(0)) === "bridge";
  const alias = attributes.get(IFLA.IFALIAS);
  const master = attributes.get(IFLA.MASTER);
  const peer = attributes.has(IFLA.LINK_NETNSID) ? undefined : attributes.get(IFLA.LINK);
  return {
    index: payload.readInt32LE(4),
    name: textOf(attributes.get(IFLA.IFNAME) ?? Buffer.alloc(0)),
    ...(kind !== "" && { kind }),
    ...(alias && { alias: textOf(alias) }),
    group: attributes.get(IFLA.GROUP)?.readUInt32LE() ?? 0,
    mac: formatMac(attributes.get(IFLA.ADDRESS) ?? Buffer.alloc(0)),
    mtu: attributes.get(IFLA.MTU)?.readUInt32LE() ?? 0,
    isUp: (payload.readUInt32LE(8) & IFF_UP) !== 0,
    ...(master && { masterIndex: master.readUInt32LE() }),
    ...(isPort && { bridgePort: parseBridgePort(info.get(IFLA_INFO.SLAVE_DATA) ?? Buffer.alloc(0)) }),
    ...(kind === "bridge" && { bridge: parseBridge(data) }),
    ...(vlanId && { vlanId: vlanId.readUInt16LE() }),
    ...(tunnel && { tunnel }),
    ...(peer && { peerIndex: peer.readUInt32LE() }),
    altNames: parseAttributeList(attributes.get(IFLA.PROP_LIST) ?? Buffer.alloc(0))
      .filter(({ type }) => type === IFLA.ALT_IFNAME)
      .map(({ value }) => textOf(value)),
  };
}

/** A `struct ifinfomsg`. @param isUp - the administrative state to set; without it that stays as it is. */
export function linkHeader(index: number, options: { readonly family?: number; readonly isUp?: boolean } = {}): Buffer {
  const header = Buffer.alloc(LINK_HEADER_LENGTH);
  header.writeUInt8(options.family ?? 0, 0);
  header.writeInt32LE(index, 4);
  if (options.isUp !== undefined) {
    header.writeUInt32LE(options.isUp ? IFF_UP : 0, 8); // ifi_flags
    header.writeUInt32LE(IFF_UP, 12); // ifi_change
  }
  return header;
}

/** RTM_NEWLINK for a new bridge. */
export function bridgeParts({ bridge = {}, ...spec }: BridgeSpec): Buffer[] {
  const info = kindAttributes("bridge", bridgeAttributes(bridge));
  return [linkHeader(0), ...changeAttributes(spec), nestedAttribute(IFLA.LINKINFO, info)];
}

/** RTM_NEWLINK for a new VLAN link. */
export function vlanParts({ parentIndex, vlanId, isUp, ...spec }: VlanSpec): Buffer[] {
  const info = kindAttributes("vlan", [u16Attribute(IFLA_VLAN_ID, vlanId)]);
  const parent = u32Attribute(IFLA.LINK, parentIndex);
  return [linkHeader(0, { isUp }), ...changeAttributes(spec), parent, nestedAttribute(IFLA.LINKINFO, info)];
}

/** RTM_NEWLINK for a new tunnel link. @throws TsnetError `internal` for an address of the wrong family. */
export function tunnelParts({ tunnel, isUp, ...spec }: TunnelSpec): Buffer[] {
  const info = kindAttributes(tunnel.kind, tunnelAttributes(tunnel));
  return [linkHeader(0, { isUp }), ...changeAttributes(spec), nestedAttribute(IFLA.LINKINFO, info)];
}

/** RTM_NEWLINK for a new veth pair, complete: the kernel makes all of it or nothing. */
export function vethParts({ peer, isUp, ...near }: VethSpec): Buffer[] {
  const far = [linkHeader(0), ...changeAttributes({ mtu: near.mtu, group: near.group, ...peer })];
  const info = kindAttributes("veth", [bytesAttribute(VETH_INFO_PEER, Buffer.concat(far))]);
  return [linkHeader(0, { isUp }), ...changeAttributes(near), nestedAttribute(IFLA.LINKINFO, info)];
}

/** RTM_NEWLINK for changes of an existing link. */
export function changeParts(index: number, change: LinkChange): Buffer[] {
  const { bridge, bridgePort } = change;
  const info: Buffer[] = [];
  if (bridge !== undefined) info.push(...kindAttributes("bridge", bridgeAttributes(bridge)));
  if (bridgePort !== undefined) info.push(nestedAttribute(IFLA_INFO.SLAVE_DATA, bridgePortAttributes(bridgePort)));
  const parts = [linkHeader(index, change), ...changeAttributes(change)];
  return info.length === 0 ? parts : [...parts, nestedAttribute(IFLA.LINKINFO, info)];
}

/** What stands in IFLA_LINKINFO: the kind of a link, and what only that kind has. */
function kindAttributes(kind: string, data: readonly Buffer[]): Buffer[] {
  return [textAttribute(IFLA_INFO.KIND, kind), nestedAttribute(IFLA_INFO.DATA, data)];
}

function changeAttributes(change: LinkChange): Buffer[] {
  const { name, mac, mtu, group, masterIndex, alias } = change;
  const attributes: Buffer[] = [];
  if (name !== undefined) attributes.push(textAttribute(IFLA.IFNAME, name));
  if (mac !== undefined) attributes.push(bytesAttribute(IFLA.ADDRESS, parseMac(mac)));
  if (mtu !== undefined) attributes.push(u32Attribute(IFLA.MTU, mtu));
  if (group !== undefined) attributes.push(u32Attribute(IFLA.GROUP, group));
  if (masterIndex !== undefined) attributes.push(u32Attribute(IFLA.MASTER, masterIndex));
  // Without a zero byte at its end, which the kernel would store as part of the alias.
  if (alias !== undefined) attributes.push(bytesAttribute(IFLA.IFALIAS, Buffer.from(alias)));
  return attributes;
}

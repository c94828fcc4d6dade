// Tunnels as rtnetlink says them: links that carry Ethernet frames in UDP (VXLAN, RFC 7348; Geneve, RFC 8926) or in GRE
// (RFC 2784, with keys RFC 2890) to other hosts. The settings travel with the description of the link and in the message
// that makes it. Follows ip-link(8), include/uapi/linux/if_link.h (IFLA_VXLAN_*, IFLA_GENEVE_*) and if_tunnel.h (IFLA_GRE_*).
//
// No outer IPv4 packet has the mark "don't fragment": the MTU of such a link is computed so that all fit, and behind a router
// that has less for once they arrive in pieces instead of not at all. In IPv6 routers say what fits (ICMPv6), and so does the kernel then.
import { type Address, bytesOfAddress, formatAddress } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import {
  bytesAttribute,
  parseAttributes,
  u16NetAttribute,
  u32Attribute,
  u32NetAttribute,
  u8Attribute,
} from "./netlink.ts";
import { addressOf } from "./rtnetlink-address.ts";

/** What Linux calls the group here is the remote address, if it is no multicast address. */
const IFLA_VXLAN = {
  ID: 1,
  REMOTE: 2,
  LOCAL: 4,
  TTL: 5,
  LEARNING: 7,
  PORT: 15,
  REMOTE6: 16,
  LOCAL6: 17,
  UDP_CSUM: 18,
} as const;
const IFLA_GENEVE = { ID: 1, REMOTE: 2, TTL: 3, PORT: 5, REMOTE6: 7, UDP_CSUM: 8 } as const;
const IFLA_GRE = {
  IFLAGS: 2,
  OFLAGS: 3,
  IKEY: 4,
  OKEY: 5,
  LOCAL: 6,
  REMOTE: 7,
  TTL: 8,
  PMTUDISC: 10,
  FLAGS: 13,
  IGNORE_DF: 19,
} as const;
const GRE_KEY = 0x2000;
const IP6_TNL_F_IGN_ENCAP_LIMIT = 1;

/** Of outer packets, whatever the packets inside have. */
const TTL = 64;

/** The kernel's names of the kinds. `gretap` goes over IPv4, `ip6gretap` over IPv6, the others over either. */
export type TunnelKind = "vxlan" | "geneve" | "gretap" | "ip6gretap";

/** The settings of a tunnel link that make it one tunnel and not another; what it does not have is absent. */
export interface Tunnel {
  readonly kind: TunnelKind;
  /** VXLAN and Geneve: 24 bits. */
  readonly vni?: number;
  /** GRE: 32 bits. */
  readonly key?: number;
  /** From where its packets go out, and the only address to which they may come; Geneve has none. */
  readonly local?: Address;
  readonly remote?: Address;
  /** The UDP port of VXLAN and Geneve: to there packets go, and there they come in. */
  readonly port?: number;
}

/**
 * VXLAN without a remote address: it sends where its forwarding table says, see `setFloodPeers`, and learns what comes from
 * where. It takes frames from any host that knows VNI and port, whoever it floods to: keeping others out is left to a firewall.
 */
export interface VxlanTunnel extends Tunnel {
  readonly kind: "vxlan";
  /** 1 to 16777215. */
  readonly vni: number;
  /** Its family is that of all peers. */
  readonly local: Address;
  readonly remote?: never;
  readonly port: number;
}

/** Geneve to one other host; what comes from another one is for none of its links. */
export interface GeneveTunnel extends Tunnel {
  readonly kind: "geneve";
  /** 1 to 16777214: Linux takes no 16777215 here (drivers/net/geneve.c, geneve_validate). */
  readonly vni: number;
  readonly remote: Address;
  readonly local?: never;
  readonly port: number;
}

/** Ethernet in GRE to one other host. Both addresses are of the family of the kind. */
export interface GreTunnel extends Tunnel {
  readonly kind: "gretap" | "ip6gretap";
  /** The same in both directions. */
  readonly key?: number;
  readonly local: Address;
  readonly remote: Address;
}

/** A tunnel that can be made. */
export type NewTunnel = VxlanTunnel | GeneveTunnel | GreTunnel;

/** What stands in IFLA_INFO_DATA of a new tunnel link. @throws TsnetError `internal` for an address of the wrong family. */
export function tunnelAttributes(tunnel: NewTunnel): Buffer[] {
  if (tunnel.kind === "vxlan") return vxlanAttributes(tunnel);
  return tunnel.kind === "geneve" ? geneveAttributes(tunnel) : greAttributes(tunnel);
}

/**
 * Reads IFLA_INFO_DATA.
 *
 * @returns undefined for a link of another kind, and for a GRE tunnel with a key in one direction only or two different ones.
 */
export function parseTunnel(kind: string, data: Buffer): Tunnel | undefined {
  const attributes = parseAttributes(data);
  if (kind === "vxlan") return parseUdpTunnel(kind, attributes, IFLA_VXLAN);
  if (kind === "geneve") return parseUdpTunnel(kind, attributes, { ...IFLA_GENEVE, LOCAL: -1, LOCAL6: -1 });
  return kind === "gretap" || kind === "ip6gretap" ? parseGre(kind, attributes) : undefined;
}

/** Whether two tunnels have the same settings. */
export function isSameTunnel(a: Tunnel, b: Tunnel): boolean {
  return identityOf(a) === identityOf(b);
}

function vxlanAttributes({ vni, local, port }: VxlanTunnel): Buffer[] {
  return [
    u32Attribute(IFLA_VXLAN.ID, vni),
    bytesAttribute(local.family === 4 ? IFLA_VXLAN.LOCAL : IFLA_VXLAN.LOCAL6, bytesOfAddress(local)),
    u8Attribute(IFLA_VXLAN.TTL, TTL),
    u8Attribute(IFLA_VXLAN.LEARNING, 1),
    u16NetAttribute(IFLA_VXLAN.PORT, port),
    ...udpChecksum(IFLA_VXLAN.UDP_CSUM, local),
  ];
}

function geneveAttributes({ vni, remote, port }: GeneveTunnel): Buffer[] {
  return [
    u32Attribute(IFLA_GENEVE.ID, vni),
    bytesAttribute(remote.family === 4 ? IFLA_GENEVE.REMOTE : IFLA_GENEVE.REMOTE6, bytesOfAddress(remote)),
    u8Attribute(IFLA_GENEVE.TTL, TTL),
    u16NetAttribute(IFLA_GENEVE.PORT, port),
    ...udpChecksum(IFLA_GENEVE.UDP_CSUM, remote),
  ];
}

/** Over IPv6 the kernel sends checksums, and takes nothing without, unless told otherwise (RFC 8200 8.1). Over IPv4 kinds differ. */
function udpChecksum(type: number, { family }: Address): Buffer[] {
  return family === 4 ? [u8Attribute(type, 1)] : [];
}

function greAttributes({ kind, key, local, remote }: GreTunnel): Buffer[] {
  const family = kind === "gretap" ? 4 : 6;
  const misfit = [local, remote].find((address) => address.family !== family);
  if (misfit) throw new TsnetError("internal", `${formatAddress(misfit)} is no IPv${family} address, as ${kind} needs`);
  const keys = [u16NetAttribute(IFLA_GRE.IFLAGS, GRE_KEY), u16NetAttribute(IFLA_GRE.OFLAGS, GRE_KEY)];
  if (key !== undefined) keys.push(u32NetAttribute(IFLA_GRE.IKEY, key), u32NetAttribute(IFLA_GRE.OKEY, key));
  return [
    ...(key === undefined ? [] : keys),
    bytesAttribute(IFLA_GRE.LOCAL, bytesOfAddress(local)),
    bytesAttribute(IFLA_GRE.REMOTE, bytesOfAddress(remote)),
    u8Attribute(IFLA_GRE.TTL, TTL),
    ...(kind === "gretap"
      ? [u8Attribute(IFLA_GRE.PMTUDISC, 0), u8Attribute(IFLA_GRE.IGNORE_DF, 1)] // the mark of a packet inside is not copied either
      : [u32Attribute(IFLA_GRE.FLAGS, IP6_TNL_F_IGN_ENCAP_LIMIT)]), // else eight bytes more (RFC 2473 4.1.1)
  ];
}

type Attributes = ReadonlyMap<number, Buffer>;
type UdpNumbers = Readonly<Record<"ID" | "PORT" | "LOCAL" | "LOCAL6" | "REMOTE" | "REMOTE6", number>>;

function parseUdpTunnel(kind: TunnelKind, attributes: Attributes, numbers: UdpNumbers): Tunnel {
  const vni = attributes.get(numbers.ID)?.readUInt32LE();
  const port = attributes.get(numbers.PORT)?.readUInt16BE();
  const local = attributes.get(numbers.LOCAL) ?? attributes.get(numbers.LOCAL6);
  const remote = attributes.get(numbers.REMOTE) ?? attributes.get(numbers.REMOTE6);
  return {
    kind,
    ...(vni !== undefined && { vni }),
    ...addresses(local, remote),
    ...(port !== undefined && { port }),
  };
}

function parseGre(kind: TunnelKind, attributes: Attributes): Tunnel | undefined {
  const keyOf = (flags: number, key: number) =>
    ((attributes.get(flags)?.readUInt16BE() ?? 0) & GRE_KEY) !== 0 ? attributes.get(key)?.readUInt32BE() : undefined;
  const key = keyOf(IFLA_GRE.IFLAGS, IFLA_GRE.IKEY);
  if (key !== keyOf(IFLA_GRE.OFLAGS, IFLA_GRE.OKEY)) return undefined;
  const ends = addresses(attributes.get(IFLA_GRE.LOCAL), attributes.get(IFLA_GRE.REMOTE));
  return { kind, ...(key !== undefined && { key }), ...ends };
}

/** An address of zeros is none. */
function addresses(local: Buffer | undefined, remote: Buffer | undefined): Pick<Tunnel, "local" | "remote"> {
  const isSome = (bytes: Buffer | undefined): bytes is Buffer =>
    bytes !== undefined && bytes.some((byte) => byte !== 0);
  const address = (bytes: Buffer) => addressOf(bytes.length === 4 ? 4 : 6, bytes);
  return { ...(isSome(local) && { local: address(local) }), ...(isSome(remote) && { remote: address(remote) }) };
}

function identityOf({ kind, vni, key, local, remote, port }: Tunnel): string {
  return JSON.stringify([kind, vni, key, local && formatAddress(local), remote && formatAddress(remote), port]);
}

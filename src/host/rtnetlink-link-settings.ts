// A link's settings per address family, which otherwise are files below /proc/sys/net: IPv4's "devconf" values and how
// IPv6 makes link-local addresses. By netlink they need neither a writable /proc/sys nor the link's name in a path.
// Follows include/uapi/linux/ip.h (IPV4_DEVCONF_*), net/ipv4/devinet.c (inet_set_link_af) and
// net/ipv6/addrconf.c (inet6_set_link_af). What the values mean: Documentation/networking/ip-sysctl.rst.
import { AF_INET, AF_INET6 } from "./libc.ts";
import { nestedAttribute, parseAttributes, u32Attribute, u8Attribute } from "./netlink.ts";
import { IFLA, LINK_HEADER_LENGTH, linkHeader } from "./rtnetlink-link.ts";

const IFLA_INET_CONF = 1;
const IFLA_INET6_CONF = 2;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const DEVCONF_MTU6 = 2; // include/uapi/linux/ipv6.h
const IN6_ADDR_GEN_MODE = { eui64: 0, none: 1 } as const;
const NOTHING = Buffer.alloc(0);

/** Our names and the kernel's numbers (include/uapi/linux/ip.h). */
const IPV4_DEVCONF = {
  forwarding: 1,
  proxyArp: 3,
  acceptRedirects: 4,
  sendRedirects: 6,
  rpFilter: 8,
  acceptSourceRoute: 9,
  arpAnnounce: 18,
  arpIgnore: 19,
  acceptLocal: 23,
  routeLocalnet: 26,
} as const;

type Ipv4ConfName = keyof typeof IPV4_DEVCONF;

/**
 * IPv4 settings of one link, with the numbers of the sysctl files of the same names (`arp_ignore` 0 to 8,
 * `arp_announce` and `rp_filter` 0 to 2, the others 0 or 1). Source: ip-sysctl.rst, section "/proc/sys/net/ipv4/conf".
 */
export type Ipv4Conf = { readonly [Name in Ipv4ConfName]: number };

/** How IPv6 makes the link-local address of a link when it is set up: from its MAC address, or not at all. */
export type AddressGeneration = keyof typeof IN6_ADDR_GEN_MODE;

/** RTM_NEWLINK that sets the given values; what is absent stays. */
export function ipv4ConfParts(index: number, conf: Partial<Ipv4Conf>): Buffer[] {
  const names = Object.keys(IPV4_DEVCONF) as Ipv4ConfName[]; // keys of a constant: exactly these names
  const values = names.flatMap((name) =>
    conf[name] === undefined ? [] : [u32Attribute(IPV4_DEVCONF[name], conf[name])],
  );
  return familyParts(index, AF_INET, nestedAttribute(IFLA_INET_CONF, values));
}

/** RTM_NEWLINK that sets the way of making link-local addresses. */
export function addressGenerationParts(index: number, mode: AddressGeneration): Buffer[] {
  return familyParts(index, AF_INET6, u8Attribute(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE[mode]));
}

/** Reads the values out of an RTM_NEWLINK payload: there they are one array of u32. @returns undefined without IPv4. */
export function parseIpv4Conf(payload: Buffer): Ipv4Conf | undefined {
  const link = parseAttributes(payload.subarray(LINK_HEADER_LENGTH));
  const families = parseAttributes(link.get(IFLA.AF_SPEC) ?? NOTHING);
  const values = parseAttributes(families.get(AF_INET) ?? NOTHING).get(IFLA_INET_CONF);
  if (values === undefined) return undefined;
  const entries = Object.entries(IPV4_DEVCONF).map(([name, number]) => [name, values.readInt32LE(4 * (number - 1))]);
  return Object.fromEntries(entries) as Ipv4Conf; // every name of the constant has an entry
}

/** Reads the largest IPv6 packet, which a router may have announced, out of an RTM_NEWLINK payload. @returns undefined without IPv6. */
export function parseIpv6Mtu(payload: Buffer): number | undefined {
  const families = parseAttributes(parseAttributes(payload.subarray(LINK_HEADER_LENGTH)).get(IFLA.AF_SPEC) ?? NOTHING);
  return parseAttributes(families.get(AF_INET6) ?? NOTHING)
    .get(IFLA_INET6_CONF)
    ?.readInt32LE(4 * DEVCONF_MTU6);
}

function familyParts(index: number, family: number, setting: Buffer): Buffer[] {
  return [linkHeader(index), nestedAttribute(IFLA.AF_SPEC, [nestedAttribute(family, [setting])])];
}

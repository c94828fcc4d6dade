// Who sends: the checks that a guarded endpoint's frames pass, tables 240 to 243. They say what the table `bridge tsnet` says
// for Linux bridges (nat/table-bridge.ts), as far as Open vSwitch can tell:
// - it reads extension headers to the end, so that a message is seen for what it is behind them; what it cannot read has
//   protocol 0. Of fragments only the first one shows its message, and only with `fragments=matched` (openflow.ts).
// - it reads the addresses in ARP and in neighbour discovery only where they are complete and of the usual layout; where an
//   option comes twice, it takes the target for `::`.
// - it does not tell kinds of IGMP apart: general queries are known by the address to which they go, those for a group not.
import { formatAddress, parseAddress } from "../../cidr.ts";
import type { Flow } from "../../host/openflow-flow.ts";
import type { Match } from "../../host/openflow-match.ts";
import { SWITCH_COOKIE, endpointCookie } from "./flows-cookie.ts";
import { ETHERTYPE, FLAG, REGISTER, TABLE, flagged } from "./flows-pipeline.ts";

/** Numbers in IPv4 and IPv6 (iana.org, Protocol Numbers). */
const PROTOCOL = { igmp: 2, udp: 17, icmpv6: 58, none: 59 } as const;

/** Types of ICMPv6 (iana.org, ICMPv6 Parameters). */
const ICMPV6 = {
  echoRequest: 128,
  echoReply: 129,
  mldQuery: 130,
  mldReport: 131,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighbourSolicitation: 135,
  neighbourAdvertisement: 136,
  redirect: 137,
  mld2Report: 143,
} as const;

const FIRST_FRAGMENT = 1;
const NO_FRAGMENT = 0;
/** Of who has no address yet (RFC 4291, section 2.5.2). */
export const UNSPECIFIED = "::";
const NO_MAC = "00:00:00:00:00:00";

/** The protocol, or ARP's operation, of what Open vSwitch cannot read. */
export const UNREADABLE = 0;

/** What a frame carries, as conditions of a flow. */
export const IPV4 = { ethType: ETHERTYPE.ipv4 } as const;
export const IPV6 = { ethType: ETHERTYPE.ipv6 } as const;
export const ARP = { ethType: ETHERTYPE.arp } as const;
export const ARP_REQUEST = { ...ARP, arpOp: 1 } as const;
const icmpv6 = (type: keyof typeof ICMPV6) => ({ ...IPV6, ipProto: PROTOCOL.icmpv6, icmpv6Type: ICMPV6[type] });
/**
 * A packet whose header behind all extensions is not in it. The kernel then says that there is none (net/openvswitch/flow.c,
 * parse_ipv6hdr), userspace says nothing.
 */
export const UNREADABLE_IPV6: readonly Match[] = [UNREADABLE, PROTOCOL.none].map((ipProto) => ({ ...IPV6, ipProto }));
/**
 * Messages of neighbour discovery, as conditions of a flow. Their code is 0 (RFC 4861, sections 4.3 and 4.4), and that must be
 * said: the kernel's datapath has no word for what is in them without it, and would remember one of them for all.
 */
export const SOLICITATION = { ...icmpv6("neighbourSolicitation"), icmpv6Code: 0 } as const;
export const ADVERTISEMENT = { ...icmpv6("neighbourAdvertisement"), icmpv6Code: 0 } as const;

/** Who an endpoint is. */
export interface Identity {
  readonly ofport: number;
  readonly endpointId: string;
  readonly mac: string;
  /** `10.1.2.3/24`. Without any address the MAC address decides alone. */
  readonly address?: string;
  readonly addressIpv6?: string;
}

/** Flags of a guarded endpoint's frames. */
export function identityFlags({ address, addressIpv6 }: Identity): readonly (keyof typeof FLAG)[] {
  if (address === undefined && addressIpv6 === undefined) return ["anyAddress"];
  return addressIpv6 === undefined ? [] : ["ipv6"];
}

/**
 * The part of the checks that is the same for all.
 *
 * @param areFragmentsMatched - where they are not, all fragments of UDP pass: from a port that is not known.
 */
export function guardFlows(areFragmentsMatched: boolean): readonly Flow[] {
  const at = (table: number) => (priority: number, match: Match, goTo?: number) =>
    ({
      table,
      priority,
      cookie: SWITCH_COOKIE,
      match,
      actions: [],
      ...(goTo !== undefined && { goTo }),
    }) satisfies Flow;
  return [
    ...cleanFlows(at(TABLE.clean), areFragmentsMatched),
    ...sourceFlows(at(TABLE.source)),
    ...discoveryFlows(at(TABLE.ndOption), at(TABLE.ndTarget)),
  ];
}

/** A flow that goes on in another table, or drops. */
type Rule = (priority: number, match: Match, goTo?: number) => Flow;

function cleanFlows(rule: Rule, areFragmentsMatched: boolean): readonly Flow[] {
  const servers = [67, 547].flatMap((udpSrc) => [IPV4, IPV6].map((ip) => ({ ...ip, ipProto: PROTOCOL.udp, udpSrc })));
  const portless = [IPV4, IPV6].map((ip) => ({
    ...ip,
    ipProto: PROTOCOL.udp,
    ipFrag: FIRST_FRAGMENT,
    udpSrc: 0,
    udpDst: 0,
  }));
  const forbidden: readonly Match[] = [
    ...servers,
    ...(areFragmentsMatched ? portless : []),
    ...(["mldQuery", "routerAdvertisement", "redirect"] as const).map(icmpv6),
    { ...IPV4, ipProto: PROTOCOL.igmp, ipv4Dst: "224.0.0.1" },
    ...UNREADABLE_IPV6,
  ];
  const discover = {
    ...IPV4,
    ipProto: PROTOCOL.udp,
    ethDst: "ff:ff:ff:ff:ff:ff",
    ipFrag: NO_FRAGMENT,
    ipv4Src: "0.0.0.0",
    ipv4Dst: "255.255.255.255",
    udpSrc: 68,
    udpDst: 67,
  };
  const echo = (["echoRequest", "echoReply"] as const).map((type) => ({ ...icmpv6(type), ipFrag: FIRST_FRAGMENT }));
  return [
    ...forbidden.map((match) => rule(300, match)),
    ...echo.map((match) => rule(200, match, TABLE.source)),
    rule(190, { ...IPV6, ipProto: PROTOCOL.icmpv6, ipFrag: FIRST_FRAGMENT }),
    rule(200, { ...IPV4, ipProto: PROTOCOL.igmp, ipv4Dst: { value: "224.0.0.0", mask: "240.0.0.0" } }, TABLE.source),
    rule(190, { ...IPV4, ipProto: PROTOCOL.igmp }),
    rule(200, discover, TABLE.learn),
    ...[ARP, IPV4, IPV6].map((match) => rule(100, match, TABLE.source)),
    rule(0, {}),
  ];
}

function sourceFlows(rule: Rule): readonly Flow[] {
  const isNobody = { ...IPV6, [REGISTER.flags]: flagged("ipv6"), ipv6Src: UNSPECIFIED } as const;
  const mayBeNobody = (["mldReport", "mld2Report", "routerSolicitation"] as const).map((type) => ({
    ...icmpv6(type),
    ...isNobody,
  }));
  return [
    rule(200, { [REGISTER.flags]: flagged("anyAddress") }, TABLE.learn),
    ...mayBeNobody.map((match) => rule(150, match, TABLE.learn)),
    rule(150, { ...SOLICITATION, ...isNobody }, TABLE.ndOption),
    rule(0, {}),
  ];
}

function discoveryFlows(option: Rule, target: Rule): readonly Flow[] {
  const isNobody = { ipv6Src: UNSPECIFIED } as const;
  return [
    option(200, { ...SOLICITATION, ...isNobody, ndSll: NO_MAC }, TABLE.ndTarget),
    option(190, { ...SOLICITATION, ...isNobody }),
    option(150, { ...SOLICITATION, ndSll: NO_MAC }, TABLE.ndTarget),
    option(150, { ...ADVERTISEMENT, ndTll: NO_MAC }, TABLE.ndTarget),
    option(50, SOLICITATION),
    option(50, ADVERTISEMENT),
    option(40, icmpv6("neighbourSolicitation")),
    option(40, icmpv6("neighbourAdvertisement")),
    option(0, {}, TABLE.learn),
    target(200, { ...SOLICITATION, ndTarget: UNSPECIFIED }),
    target(60, { ...SOLICITATION, ...isNobody }),
    target(50, SOLICITATION, TABLE.learn),
    target(0, {}),
  ];
}

/** The part of the checks that knows one endpoint: at most 11 flows. */
export function identityFlows(identity: Identity): readonly Flow[] {
  const { ofport, endpointId, mac, address, addressIpv6 } = identity;
  const cookie = endpointCookie(endpointId);
  const own = (table: number, goTo: number) => (match: Match) =>
    ({ table, priority: 100, cookie, match: { inPort: ofport, ...match }, actions: [], goTo }) satisfies Flow;
  const flows: Flow[] = [];
  if (address !== undefined) {
    const ipv4 = bare(address);
    const probe = { ...ARP_REQUEST, arpSpa: "0.0.0.0", arpTpa: ipv4, arpSha: mac };
    const matches = [{ ...IPV4, ipv4Src: ipv4 }, { ...ARP, arpSpa: ipv4, arpSha: mac }, probe];
    flows.push(...matches.map(own(TABLE.source, TABLE.learn)));
  }
  if (addressIpv6 !== undefined) {
    const both = [bare(addressIpv6), linkLocalOf(mac)];
    const targets = both.flatMap((ndTarget) => [
      { ...ADVERTISEMENT, ndTarget },
      { ...SOLICITATION, ipv6Src: UNSPECIFIED, ndTarget },
    ]);
    const options = [
      { ...SOLICITATION, ndSll: mac },
      { ...ADVERTISEMENT, ndTll: mac },
    ];
    flows.push(
      ...both.map((ipv6Src) => ({ ...IPV6, ipv6Src })).map(own(TABLE.source, TABLE.ndOption)),
      ...options.map(own(TABLE.ndOption, TABLE.ndTarget)),
      ...targets.map(own(TABLE.ndTarget, TABLE.learn)),
    );
  }
  return flows;
}

/** The link-local address that a MAC address leads to (RFC 4291 appendix A): `fe80::` and the modified EUI-64. */
function linkLocalOf(mac: string): string {
  const [first = 0, ...rest] = Buffer.from(mac.replaceAll(":", ""), "hex");
  const identifier = Buffer.from([first ^ 0x02, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)]);
  return formatAddress({ family: 6, value: (0xfe80n << 112n) | identifier.readBigUInt64BE(0) });
}

/** Without its prefix length, in the form in which a switch tells it. */
function bare(address: string): string {
  return formatAddress(parseAddress(address.split("/")[0] ?? ""));
}

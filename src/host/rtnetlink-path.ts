// By which way packets to one address leave this host: what `ip route get` asks. Follows rtnetlink(7), ip-route(8),
// net/ipv4/route.c (inet_rtm_getroute, rt_fill_info) and net/ipv6/route.c (inet6_rtm_getroute, rt6_fill_node).
import { type Address, bitsOf, bytesOfAddress, formatAddress } from "../cidr.ts";
import { bytesAttribute, parseAttributes } from "./netlink.ts";
import { addressOf, kernelFamily } from "./rtnetlink-address.ts";
import { linkHeader, parseLink } from "./rtnetlink-link.ts";
import { parseIpv6Mtu } from "./rtnetlink-link-settings.ts";
import { type LinkRequests, RTM } from "./rtnetlink-requests.ts";

const RTA = { DST: 1, OIF: 4, PREFSRC: 7, METRICS: 8 } as const;
const RTAX_MTU = 2;
const RTN = { UNICAST: 1, LOCAL: 2 } as const;
const HEADER_LENGTH = 12;
const IPV6_LOOPBACK = Buffer.from("00000000000000000000000000000001", "hex");

/**
 * What it says when there is no way: no route, or one of the types unreachable, prohibit (EACCES) and blackhole (EINVAL;
 * fib_props in net/ipv4/fib_semantics.c, ip6_rt_type_to_error in net/ipv6/route.c), or no such family in this kernel.
 */
const NO_WAY = ["ENETUNREACH", "EHOSTUNREACH", "EACCES", "EINVAL", "EOPNOTSUPP", "EAFNOSUPPORT"];

/** The way of packets to one address. */
export interface Path {
  /** By which they leave. */
  readonly linkIndex: number;
  /** From which address they go unless their sender says otherwise. */
  readonly source: Address;
  /**
   * The largest packet: that of the route if it has one, be it configured or learned from a router on the way, at most that
   * of the link.
   */
  readonly mtu: number;
  /** The address is this host's own, and `linkIndex` the loopback link or, in IPv6, the link that has it. */
  readonly isLocal: boolean;
}

/** The way to an address, see `Rtnetlink.routeTo`. */
export async function findPath(requests: LinkRequests, destination: Address): Promise<Path | undefined> {
  const header = Buffer.alloc(HEADER_LENGTH); // struct rtmsg
  header.writeUInt8(kernelFamily(destination.family), 0);
  header.writeUInt8(bitsOf(destination.family), 1);
  const parts = [header, bytesAttribute(RTA.DST, bytesOfAddress(destination))];
  const doing = `look up the route to ${formatAddress(destination)}`;
  const payload = await requests.ask(doing, { type: RTM.GETROUTE, parts }, NO_WAY);
  const route = payload && parsePath(payload, destination);
  if (route === undefined) return undefined;
  const link = await requests.get(doing, [linkHeader(route.linkIndex)]);
  if (link === undefined) return undefined; // went meanwhile, and the route with it
  const limits = [parseLink(link).mtu, destination.family === 6 ? parseIpv6Mtu(link) : undefined, route.mtu];
  return { ...route, mtu: Math.min(...limits.filter((limit) => limit !== undefined)) };
}

/** Reads the payload of an RTM_NEWROUTE message. @returns undefined for multicast and the like, and without a source address. */
function parsePath(
  payload: Buffer,
  { family }: Address,
): (Omit<Path, "mtu"> & { mtu: number | undefined }) | undefined {
  const type = payload.readUInt8(7);
  const attributes = parseAttributes(payload.subarray(HEADER_LENGTH));
  const [oif, source] = [attributes.get(RTA.OIF), attributes.get(RTA.PREFSRC)];
  if ((type !== RTN.UNICAST && type !== RTN.LOCAL) || oif === undefined || source === undefined) return undefined;
  if (type === RTN.UNICAST && source.equals(IPV6_LOOPBACK)) return undefined; // the kernel's choice where there is no other
  return {
    linkIndex: oif.readUInt32LE(),
    source: addressOf(family, source),
    mtu: parseAttributes(attributes.get(RTA.METRICS) ?? Buffer.alloc(0))
      .get(RTAX_MTU)
      ?.readUInt32LE(),
    isLocal: type === RTN.LOCAL,
  };
}

// The host's link into a network, on whichever switch: IPv4 and IPv6 as a gateway needs them, and the gateway addresses.
// It trusts no container, and answers for its own addresses only.
import { type Address, formatAddress, parseAddress, parseSubnet } from "../cidr.ts";
import type { Network } from "../cnm/network.ts";
import { TsnetError } from "../errors.ts";
import type { Ipv4Conf } from "../host/rtnetlink-link-settings.ts";
import type { Rtnetlink } from "../host/rtnetlink.ts";
import type { Sysctl } from "../host/sysctl.ts";

/** The host as all switches need it. */
export interface HostOfLinks {
  readonly links: Rtnetlink;
  readonly sysctl: Sysctl;
}

/** What of a link is named to the kernel: files by its name, messages by its index. */
interface NamedLink {
  readonly name: string;
  readonly index: number;
}

/** What the host is on a link. */
export type HostRole = Pick<Network, "isHostOnSwitch" | "isInternal" | "hasIpv6">;

/** The host is no party on the link. */
export const NO_ROLE: HostRole = { isHostOnSwitch: false, isInternal: false, hasIpv6: false };

/** ARP is answered for no address at all, only for addresses of the link itself, or for any (ip-sysctl.rst, arp_ignore). */
export const ARP_IGNORE = { never: 8, ofTheLink: 1, any: 0 } as const;

/**
 * No container tells the host other routes, or has it follow a route that the packet brings along. The host's `conf/all`
 * has a say too: it sends redirects unless both are 0, and while it forwards nothing it takes them unless both are 0
 * (include/linux/inetdevice.h, IN_DEV_TX_REDIRECTS and IN_DEV_RX_REDIRECTS).
 */
export const TRUSTS_NOBODY = {
  acceptRedirects: 0,
  sendRedirects: 0,
  acceptSourceRoute: 0,
} as const satisfies Partial<Ipv4Conf>;

/**
 * Makes IPv4 and IPv6 on the link be as the host's role there needs them, before it is set up. What is so already is not
 * written.
 */
export async function ensureHostSettings(host: HostOfLinks, role: HostRole, link: NamedLink): Promise<void> {
  await ensureIpv6(host, link.name, role.isHostOnSwitch && role.hasIpv6);
  const present = await host.links.ipv4Conf(link.index);
  await setDiffering(host, link.index, present, { ...TRUSTS_NOBODY, arpIgnore: arpIgnoreFor(role, present.arpIgnore) });
}

/** Sets those IPv4 settings of a link that differ. */
export async function ensureIpv4(host: HostOfLinks, index: number, wanted: Partial<Ipv4Conf>): Promise<void> {
  await setDiffering(host, index, await host.links.ipv4Conf(index), wanted);
}

async function setDiffering(
  host: HostOfLinks,
  index: number,
  present: Ipv4Conf,
  wanted: Partial<Ipv4Conf>,
): Promise<void> {
  const isRight = Object.entries(wanted).every(([name, value]) => Reflect.get(present, name) === value);
  if (!isRight) await host.links.setIpv4Conf(index, wanted);
}

/** A router answers as the host does elsewhere, unless the link was one on which the host had no part. */
function arpIgnoreFor({ isHostOnSwitch, isInternal }: HostRole, present: number): number {
  if (!isHostOnSwitch) return ARP_IGNORE.never;
  if (isInternal) return ARP_IGNORE.ofTheLink;
  return present === ARP_IGNORE.never ? ARP_IGNORE.any : present;
}

/** IPv6 only where the host has IPv6 addresses on the link; routers among the containers are never believed. */
export async function ensureIpv6(host: HostOfLinks, linkName: string, isWanted: boolean): Promise<void> {
  const folder = `ipv6/conf/${linkName}`;
  if ((await host.sysctl.read(`${folder}/disable_ipv6`)) === undefined) {
    if (!isWanted) return;
    throw new TsnetError("unsupported", `this host has no IPv6; create network ${linkName} without --ipv6`);
  }
  if (isWanted) {
    await host.sysctl.ensure(`${folder}/accept_ra`, "0");
    await host.sysctl.ensure(`${folder}/accept_redirects`, "0");
  }
  await host.sysctl.ensure(`${folder}/disable_ipv6`, isWanted ? "0" : "1");
}

/** Gives the link the network's gateway addresses, in the modes in which the host has them. */
export async function ensureGateways(host: HostOfLinks, network: Network, index: number): Promise<void> {
  if (!network.isHostOnSwitch) return;
  for (const address of gatewayAddresses(network)) await host.links.addAddress(index, address);
}

/** Takes them again, but for those that were there before. */
export async function removeGateways(host: HostOfLinks, network: Network, index: number): Promise<void> {
  if (!network.isHostOnSwitch) return;
  const kept = new Set(network.keptAddresses);
  for (const address of gatewayAddresses(network)) {
    if (!kept.has(formatAddress(address.address))) await host.links.deleteAddress(index, address);
  }
}

function gatewayAddresses(network: Network): { address: Address; prefixLength: number }[] {
  return network.pools.flatMap(({ subnet, gateway }) =>
    gateway === undefined ? [] : [{ address: parseAddress(gateway), prefixLength: parseSubnet(subnet).prefixLength }],
  );
}

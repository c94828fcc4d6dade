// The host's own link into a network, on whatever switch: what the kernel is told about it for each address family, and the
// gateway addresses. IPv6 is on only where the network has it, and nothing that a container says changes the host's routes.
import { type Address, formatAddress, parseAddress, parseSubnet } from "../cidr.ts";
import type { Network } from "../cnm/network.ts";
import { TsnetError } from "../errors.ts";
import type { Ipv4Conf } from "../host/rtnetlink-link-settings.ts";
import type { Link } from "../host/rtnetlink-link.ts";
import type { Rtnetlink } from "../host/rtnetlink.ts";
import type { Sysctl } from "../host/sysctl.ts";

/** The host as this file needs it. */
export interface LinkHost {
  readonly links: Pick<Rtnetlink, "ipv4Conf" | "setIpv4Conf" | "addAddress" | "deleteAddress">;
  readonly sysctl: Sysctl;
}

/** What the host is on a link. */
export type HostRole = Pick<Network, "isHostOnSwitch" | "isInternal" | "hasIpv6">;

/** The host is no party on the link. */
export const NO_ROLE: HostRole = { isHostOnSwitch: false, isInternal: false, hasIpv6: false };

/** ARP is answered for no address at all, for addresses of the link itself, or for any (ip-sysctl.rst, arp_ignore). */
const ARP_IGNORE = { never: 8, ofTheLink: 1, notAtAll: 0 } as const;

/**
 * No container tells the host other routes, or has it follow a route that the packet brings along. The host's `conf/all`
 * has a say too: it sends redirects unless both are 0, and while it forwards nothing it takes them unless both are 0
 * (include/linux/inetdevice.h, IN_DEV_TX_REDIRECTS and IN_DEV_RX_REDIRECTS).
 */
const TRUSTS_NOBODY = {
  acceptRedirects: 0,
  sendRedirects: 0,
  acceptSourceRoute: 0,
} as const satisfies Partial<Ipv4Conf>;

/**
 * Makes IPv4 and IPv6 on a link of tsnet's be as the host's role there needs them; writes only what differs.
 *
 * @throws TsnetError `unsupported` for IPv6 on a host that has none, `host`.
 */
export async function ensureHostRole(
  host: LinkHost,
  link: Pick<Link, "index" | "name">,
  role: HostRole,
): Promise<void> {
  await ensureIpv6(host, link.name, role);
  await ensureIpv4(host, link.index, role);
}

/** Gives the link the network's gateway addresses. */
export async function ensureGateways(host: LinkHost, index: number, network: Network): Promise<void> {
  if (!network.isHostOnSwitch) return;
  for (const address of gatewayAddresses(network)) await host.links.addAddress(index, address);
}

/** Takes the network's gateway addresses from the link, except those that were on it before the network. */
export async function removeGateways(host: LinkHost, index: number, network: Network): Promise<void> {
  if (!network.isHostOnSwitch) return;
  const kept = new Set(network.keptAddresses);
  for (const address of gatewayAddresses(network)) {
    if (!kept.has(formatAddress(address.address))) await host.links.deleteAddress(index, address);
  }
}

async function ensureIpv4(host: LinkHost, index: number, role: HostRole): Promise<void> {
  const present = await host.links.ipv4Conf(index);
  const wanted: Partial<Ipv4Conf> = { ...TRUSTS_NOBODY, arpIgnore: arpIgnoreFor(role, present.arpIgnore) };
  const isRight = Object.entries(wanted).every(([name, value]) => Reflect.get(present, name) === value);
  if (!isRight) await host.links.setIpv4Conf(index, wanted);
}

/** A router answers as the host does elsewhere, unless the link was one on which the host had no part. */
function arpIgnoreFor({ isHostOnSwitch, isInternal }: HostRole, present: number): number {
  if (!isHostOnSwitch) return ARP_IGNORE.never;
  if (isInternal) return ARP_IGNORE.ofTheLink;
  return present === ARP_IGNORE.never ? ARP_IGNORE.notAtAll : present;
}

/** IPv6 only where the host has IPv6 addresses on the link; routers among the containers are never believed. */
async function ensureIpv6({ sysctl }: LinkHost, name: string, role: HostRole): Promise<void> {
  const folder = `ipv6/conf/${name}`;
  const isWanted = role.isHostOnSwitch && role.hasIpv6;
  if ((await sysctl.read(`${folder}/disable_ipv6`)) === undefined) {
    if (!isWanted) return;
    throw new TsnetError("unsupported", `this host has no IPv6; create the network of link ${name} without --ipv6`);
  }
  if (isWanted) {
    await sysctl.ensure(`${folder}/accept_ra`, "0");
    await sysctl.ensure(`${folder}/accept_redirects`, "0");
  }
  await sysctl.ensure(`${folder}/disable_ipv6`, isWanted ? "0" : "1");
}

function gatewayAddresses(network: Network): { address: Address; prefixLength: number }[] {
  return network.pools.flatMap(({ subnet, gateway }) =>
    gateway === undefined ? [] : [{ address: parseAddress(gateway), prefixLength: parseSubnet(subnet).prefixLength }],
  );
}

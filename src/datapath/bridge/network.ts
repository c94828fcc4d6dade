// A network's bridge: made with a MAC address of its own (else it would change with every port, ip-link(8)), with IPv6
// only where the network has it, and with the host's addresses in the modes that have a gateway on the host. A bridge
// that somebody else made gets the addresses and nothing else.
import { type Address, formatAddress, parseAddress, parseSubnet } from "../../cidr.ts";
import type { Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { isErrno } from "../../host/netlink.ts";
import type { Ipv4Conf } from "../../host/rtnetlink-link-settings.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import { LINK_GROUP } from "../../link-group.ts";
import { formatMark, isHalfMade, readMark } from "../mark.ts";
import type { BridgeHost } from "./datapath.ts";

/** ARP is answered for no address at all, or only for addresses of the link itself (ip-sysctl.rst, arp_ignore). */
const ARP_IGNORE = { never: 8, ofTheLink: 1 } as const;

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

/** Refuses a link that is no Linux bridge. @throws TsnetError `conflict`. */
export function requireBridge(link: Link): void {
  if (link.kind === "bridge") return;
  throw new TsnetError("conflict", `link ${link.name} is no Linux bridge (it is ${link.kind ?? "a network card"})`);
}

/** Makes the bridge, its settings and the host's addresses be as the network needs them. */
export async function ensureNetwork(host: BridgeHost, network: Network): Promise<void> {
  const found = await host.links.findLink(network.switchName);
  const bridge = found ?? (await addBridge(host, network));
  requireBridge(bridge);
  if (network.isSwitchOurs) await ensureOwnSettings(host, network, bridge);
  if (network.isHostOnSwitch) {
    for (const address of gatewayAddresses(network)) await host.links.addAddress(bridge.index, address);
  }
  if (network.isSwitchOurs && !bridge.isUp) await host.links.setLink(bridge.index, { isUp: true });
}

async function addBridge(host: BridgeHost, network: Network): Promise<Link> {
  const { switchName: name, mtu } = network;
  if (!network.isSwitchOurs) {
    throw new TsnetError("host", `bridge ${name} does not exist any more; tsnet did not make it and will not make it`);
  }
  // A bridge keeps an MTU that was changed after its creation; one that it was made with follows its ports.
  const firstMtu = mtu < 65_535 ? mtu + 1 : mtu - 1;
  try {
    const index = await host.links.addBridge({ name, mac: network.switchMac, mtu: firstMtu, group: LINK_GROUP });
    await host.links.setLink(index, { mtu, alias: formatMark("network", network.id) });
  } catch (failure) {
    if (!isErrno(failure, "EEXIST")) throw failure; // else somebody was faster: whose it is, is looked at below
  }
  return host.links.requireLink(name);
}

async function ensureOwnSettings(host: BridgeHost, network: Network, bridge: Link): Promise<void> {
  if (readMark("network", bridge) === undefined) {
    if (!isHalfMade(bridge)) {
      throw new TsnetError("conflict", `bridge ${bridge.name} exists and was not made by tsnet; choose another name`);
    }
    await host.links.setLink(bridge.index, { alias: formatMark("network", network.id) });
  }
  if (bridge.mtu !== network.mtu) await host.links.setLink(bridge.index, { mtu: network.mtu });
  await ensureIpv6(host, network);
  await ensureIpv4(host, network, bridge.index);
}

async function ensureIpv4(host: BridgeHost, network: Network, index: number): Promise<void> {
  const present = await host.links.ipv4Conf(index);
  const arpIgnore = network.isHostOnSwitch ? ARP_IGNORE.ofTheLink : ARP_IGNORE.never;
  const isRouter = network.isHostOnSwitch && !network.isInternal;
  const wanted: Partial<Ipv4Conf> = { ...TRUSTS_NOBODY, ...(!isRouter && { arpIgnore }) };
  const isRight = Object.entries(wanted).every(([name, value]) => Reflect.get(present, name) === value);
  if (!isRight) await host.links.setIpv4Conf(index, wanted);
}

/** IPv6 only where the host has IPv6 addresses on the bridge; routers among the containers are never believed. */
async function ensureIpv6(host: BridgeHost, network: Network): Promise<void> {
  const folder = `ipv6/conf/${network.switchName}`;
  const isWanted = network.isHostOnSwitch && network.hasIpv6;
  if ((await host.sysctl.read(`${folder}/disable_ipv6`)) === undefined) {
    if (!isWanted) return;
    throw new TsnetError("unsupported", `this host has no IPv6; create network ${network.switchName} without --ipv6`);
  }
  if (isWanted) {
    await host.sysctl.ensure(`${folder}/accept_ra`, "0");
    await host.sysctl.ensure(`${folder}/accept_redirects`, "0");
  }
  await host.sysctl.ensure(`${folder}/disable_ipv6`, isWanted ? "0" : "1");
}

/** Removes what `ensureNetwork` made, as far as it carries our mark and nobody else needs it. */
export async function removeNetwork(host: BridgeHost, network: Network, others: readonly Network[]): Promise<void> {
  const bridge = await host.links.findLink(network.switchName);
  if (bridge === undefined) return;
  const isMarked = readMark("network", bridge) !== undefined || isHalfMade(bridge);
  if (network.isSwitchOurs && isMarked && others.length === 0) return host.links.deleteLink(bridge.index);
  if (network.isSwitchOurs && !isMarked) return; // somebody else's by now
  if (!network.isHostOnSwitch) return;
  const kept = new Set(network.keptAddresses);
  for (const address of gatewayAddresses(network)) {
    if (!kept.has(formatAddress(address.address))) await host.links.deleteAddress(bridge.index, address);
  }
}

/** Removes the bridges that carry our mark for this network, except those whose names are in use. */
export async function removeStrayBridges(
  host: BridgeHost,
  networkId: string,
  inUse: ReadonlySet<string>,
): Promise<void> {
  for (const link of await host.links.listLinks()) {
    const isStray = link.kind === "bridge" && readMark("network", link) === networkId && !inUse.has(link.name);
    if (isStray) await host.links.deleteLink(link.index);
  }
}

function gatewayAddresses(network: Network): { address: Address; prefixLength: number }[] {
  return network.pools.flatMap(({ subnet, gateway }) =>
    gateway === undefined ? [] : [{ address: parseAddress(gateway), prefixLength: parseSubnet(subnet).prefixLength }],
  );
}

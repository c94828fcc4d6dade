// A network's bridge: made with a MAC address of its own (else it would change with every port, ip-link(8)), with IPv6
// only where the network has it, and with the host's addresses in the modes that have a gateway on the host. A bridge
// that somebody else made gets the addresses, the VLAN links and the uplinks of its networks, and nothing else.
import type { Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { isErrno } from "../../host/netlink.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import { HOST_GROUP, LINK_GROUP } from "../../link-group.ts";
import { runAll } from "../../undo.ts";
import { NO_ROLE, ensureGateways, ensureHostSettings, removeGateways } from "../host-link.ts";
import { formatMark, isHalfMade, readMark } from "../mark.ts";
import { hasMovedAddresses, originOf } from "../uplink/moved-uplinks.ts";
import { uplinksOf } from "../uplink/uplink-vlans.ts";
import type { BridgeHost } from "./datapath.ts";
import { bridgeSettingsOf, differingSettings } from "./settings.ts";
import { ensureTunnels, removeTunnel } from "./tunnel.ts";
import { ensureUplinks, releaseUplink } from "./uplink.ts";
import { ensureVlanLink, removeVlanLink } from "./vlan-link.ts";
import { ensureVlans, hasVlans, needsVlans } from "./vlan.ts";

/** Refuses a link that is no Linux bridge. @throws TsnetError `conflict`. */
export function requireBridge(link: Link): void {
  if (link.kind === "bridge") return;
  throw new TsnetError("conflict", `link ${link.name} is no Linux bridge (it is ${link.kind ?? "a network card"})`);
}

/** Makes the bridge, its settings, its uplinks and the host's addresses be as the network needs them. */
export async function ensureNetwork(host: BridgeHost, network: Network, others: readonly Network[]): Promise<void> {
  const networks = [network, ...others];
  const { switchName, hostLink, vlans, isSwitchOurs } = network;
  const found = (await host.links.findLink(switchName)) ?? (await addBridge(host, network, networks));
  requireBridge(found);
  if (isSwitchOurs) await ensureOwnBridge(host, found, networks);
  else if (needsVlans([network])) requireFiltering(found);
  const made = await host.links.requireLink(switchName);
  if (hostLink === switchName) await ensureGateways(host, network, made.index);
  await ensureUplinks(host, { bridge: made, isOurs: isSwitchOurs, networks });
  await ensureTunnels(host, { bridge: made, isOurs: isSwitchOurs, networks });
  const bridge = await host.links.requireLink(switchName); // perhaps with the uplink's MAC address by now
  if (isSwitchOurs && !bridge.isUp) await host.links.setLink(bridge.index, { isUp: true });
  if (network.isHostOnSwitch && vlans.vlan !== undefined) await ensureVlanLink(host, bridge, network, vlans.vlan);
}

/** Refuses VLANs on a foreign bridge that does not tell them apart. @throws TsnetError `conflict`. */
export function requireFiltering(bridge: Link): void {
  if (hasVlans(bridge)) return;
  const remedy = `ip link set ${bridge.name} type bridge vlan_filtering 1`;
  const why = "tsnet did not make it, and it does not tell VLANs apart";
  throw new TsnetError(
    "conflict",
    `bridge ${bridge.name} cannot be used with VLANs: ${why}; run on the host: ${remedy}`,
  );
}

async function addBridge(host: BridgeHost, network: Network, networks: readonly Network[]): Promise<Link> {
  const { switchName: name, mtu } = network;
  if (!network.isSwitchOurs) {
    throw new TsnetError("host", `bridge ${name} does not exist any more; tsnet did not make it and will not make it`);
  }
  // A bridge keeps an MTU that was changed after its creation; one that it was made with follows its ports.
  const firstMtu = mtu < 65_535 ? mtu + 1 : mtu - 1;
  const filtering = needsVlans(networks) ? { vlanFiltering: true } : {};
  const bridge = { ...bridgeSettingsOf(networks), ...filtering, defaultPvid: 0 };
  try {
    const spec = { name, mac: network.switchMac, mtu: firstMtu, group: LINK_GROUP, bridge };
    const index = await host.links.addBridge(spec);
    await host.links.setLink(index, { mtu, alias: formatMark("network", network.id) });
  } catch (failure) {
    if (!isErrno(failure, "EEXIST")) throw failure; // else somebody was faster: whose it is, is looked at below
  }
  return host.links.requireLink(name);
}

async function ensureOwnBridge(host: BridgeHost, bridge: Link, networks: readonly Network[]): Promise<void> {
  const [network] = networks;
  if (network === undefined) return;
  if (readMark("network", bridge) === undefined) {
    if (!isHalfMade(bridge)) {
      throw new TsnetError("conflict", `bridge ${bridge.name} exists and was not made by tsnet; choose another name`);
    }
    await host.links.setLink(bridge.index, { alias: formatMark("network", network.id) });
  }
  await ensureGroup(host, bridge, networks);
  if (bridge.mtu !== network.mtu && !hasMovedAddresses(networks))
    await host.links.setLink(bridge.index, { mtu: network.mtu });
  const settings = differingSettings(bridgeSettingsOf(networks), bridge.bridge);
  if (Object.keys(settings).length > 0) await host.links.setLink(bridge.index, { bridge: settings });
  await ensureVlans(host, bridge, networks);
  await ensureRoleOf(host, bridge, networks);
}

/** Rules keep from links of our group what they do not know. With the host's own addresses a bridge is the host's link. */
async function ensureGroup({ links }: BridgeHost, bridge: Link, networks: readonly Network[]): Promise<void> {
  const group = hasMovedAddresses(networks) ? HOST_GROUP : LINK_GROUP;
  if (bridge.group !== group) await links.setLink(bridge.index, { group });
}

/** What the host is on the bridge itself say the networks without a VLAN, which agree; moved addresses bring their own. */
async function ensureRoleOf(host: BridgeHost, bridge: Link, networks: readonly Network[]): Promise<void> {
  if (hasMovedAddresses(networks)) return;
  const role = networks.find(({ hostLink }) => hostLink === bridge.name) ?? NO_ROLE;
  await ensureHostSettings(host, role, bridge);
}

/** Removes what `ensureNetwork` made, as far as it carries our mark and nobody else needs it. */
export async function removeNetwork(host: BridgeHost, network: Network, others: readonly Network[]): Promise<void> {
  const bridge = await host.links.findLink(network.switchName);
  // First of all: a bridge that is deleted takes the host's addresses along.
  if (hasMovedAddresses([network])) await removeUplink(host, bridge, network, others);
  await removeTunnel(host, network, others);
  if (bridge === undefined) return;
  const isMarked = readMark("network", bridge) !== undefined || isHalfMade(bridge);
  if (network.isSwitchOurs && isMarked && others.length === 0) return host.links.deleteLink(bridge.index);
  if (network.isSwitchOurs && !isMarked) return; // somebody else's by now
  await runAll(`remove network from bridge ${bridge.name}`, [
    () => removeHostLink(host, bridge, network, others),
    () => removeUplink(host, bridge, network, others),
    () => narrow(host, bridge, network, others),
  ]);
}

async function removeHostLink(
  host: BridgeHost,
  bridge: Link,
  network: Network,
  others: readonly Network[],
): Promise<void> {
  const { hostLink, switchName, vlans, isHostOnSwitch } = network;
  if (!isHostOnSwitch) return;
  const isShared = others.some((other) => other.isHostOnSwitch && other.hostLink === hostLink);
  if (!isShared && vlans.vlan !== undefined) return removeVlanLink(host, bridge, network, vlans.vlan);
  const link = hostLink === switchName ? bridge : await host.links.findLink(hostLink);
  if (link !== undefined) await removeGateways(host, network, link.index);
}

async function removeUplink(
  host: BridgeHost,
  bridge: Link | undefined,
  { uplink }: Network,
  others: readonly Network[],
): Promise<void> {
  if (uplink === undefined || uplinksOf(others).includes(uplink.parent)) return;
  const { parent, isAddressMoved } = uplink;
  const release = async () => {
    if (bridge !== undefined) await releaseUplink(host, bridge, parent);
  };
  await (isAddressMoved ? host.moved.giveBack(parent, release) : release());
}

/** What the network alone needed goes: its VLANs, and what the host was by it. */
async function narrow(host: BridgeHost, bridge: Link, network: Network, others: readonly Network[]): Promise<void> {
  if (network.isSwitchOurs) {
    await ensureVlans(host, bridge, others);
    await ensureGroup(host, bridge, others);
    await ensureRoleOf(host, bridge, others);
  }
  await ensureUplinks(host, { bridge, isOurs: network.isSwitchOurs, networks: others });
}

/**
 * Removes the bridges that carry our mark for this network, except those whose names are in use, and its VLAN links and
 * the links of its tunnel on bridges that are no one's of ours. A link of the host's that is a port is taken out first.
 */
export async function removeStrayBridges(
  host: BridgeHost,
  networkId: string,
  inUse: ReadonlySet<string>,
): Promise<void> {
  const links = await host.links.listLinks();
  const nameOf = new Map(links.map(({ index, name }) => [index, name]));
  for (const link of links) {
    if (readMark("network", link) !== networkId) continue;
    const [isBridge, isVlan, isTunnel] = [link.kind === "bridge", link.kind === "vlan", link.tunnel !== undefined];
    const switchName = isBridge ? link.name : nameOf.get((isVlan ? link.peerIndex : link.masterIndex) ?? 0);
    if (!(isBridge || isVlan || isTunnel) || (switchName !== undefined && inUse.has(switchName))) continue;
    const ports = links.filter((port) => isBridge && port.masterIndex === link.index);
    if (ports.some((port) => readMark("endpoint", port) !== undefined)) continue; // of a network that is not known
    const uplinks = ports.filter((one) => readMark("endpoint", one) === undefined && !isHalfMade(one));
    if (isBridge && link.group === HOST_GROUP) {
      const origin = originOf(link, uplinks);
      await host.moved.rescue(link, origin, () => host.links.setLink(origin.index, { masterIndex: 0 }));
    }
    for (const port of uplinks) await host.links.setLink(port.index, { masterIndex: 0 });
    await host.links.deleteLink(link.index);
  }
}

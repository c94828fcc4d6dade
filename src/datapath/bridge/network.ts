// A network's bridge: made with a MAC address of its own (else it would change with every port, ip-link(8)), with IPv6
// only where the network has it, and with the host's addresses in the modes that have a gateway on the host. A bridge
// that somebody else made gets the addresses and nothing else.
import type { Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { isErrno } from "../../host/netlink.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import { LINK_GROUP } from "../../link-group.ts";
import { ensureGateways, ensureHostSettings, removeGateways } from "../host-link.ts";
import { formatMark, isHalfMade, readMark } from "../mark.ts";
import type { BridgeHost } from "./datapath.ts";

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
  await ensureGateways(host, network, bridge.index);
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
  await ensureHostSettings(host, network, bridge);
}

/** Removes what `ensureNetwork` made, as far as it carries our mark and nobody else needs it. */
export async function removeNetwork(host: BridgeHost, network: Network, others: readonly Network[]): Promise<void> {
  const bridge = await host.links.findLink(network.switchName);
  if (bridge === undefined) return;
  const isMarked = readMark("network", bridge) !== undefined || isHalfMade(bridge);
  if (network.isSwitchOurs && isMarked && others.length === 0) return host.links.deleteLink(bridge.index);
  if (network.isSwitchOurs && !isMarked) return; // somebody else's by now
  await removeGateways(host, network, bridge.index);
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

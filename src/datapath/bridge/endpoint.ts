// An endpoint's port: a veth pair, one end in the bridge, the other for libnetwork to move into the sandbox. The port is
// marked and has its VLANs and settings before it is set up, so that no frame passes a port that nobody would know again or
// that is still open. The settings are the kernel's own and hold whatever becomes of the firewall.
import type { Endpoint } from "../../cnm/endpoint.ts";
import type { Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { isErrno } from "../../host/netlink.ts";
import { type BridgePort, isPortAs } from "../../host/rtnetlink-bridge-port.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import { formatMark } from "../mark.ts";
import { type PortOf, addPair, isPairOf } from "../veth-pair.ts";
import type { BridgeHost } from "./datapath.ts";
import { ensureNetwork } from "./network.ts";
import { ensurePortVlans, hasVlans, needsVlans } from "./vlan.ts";

/** What the kernel answers when a bridge has 1023 ports (net/bridge/br_if.c, find_portno); Node.js has no name for it. */
const EXFULL = "E54";

/** Makes the pair anew: what an interrupted attempt left is removed. */
export async function attach(
  host: BridgeHost,
  network: Network,
  endpoint: Endpoint,
  others: readonly Network[],
): Promise<void> {
  const bridge = await requireSwitch(host, network, endpoint, others);
  const index = await addPort(host, bridge, endpoint);
  await ensurePortVlans(host, bridge, index, { ...endpoint, isBridgeOurs: network.isSwitchOurs }); // the addresses behind a port go by VLAN
  if (network.isGuarded) await host.links.ensureFdbEntry(index, endpoint.mac);
  await host.links.setAddressGeneration(index, "none"); // a port is no party on the network: it has no address
  const alias = formatMark("endpoint", endpoint.endpointId);
  await host.links.setLink(index, { bridgePort: settingsOf(network), alias, isUp: true });
}

/** Puts a port that is still there back into its bridge, and back to its settings. */
export async function reattach(
  host: BridgeHost,
  network: Network,
  endpoint: Endpoint,
  isHairpin?: boolean,
): Promise<void> {
  try {
    await putBack(host, network, endpoint, isHairpin);
  } catch (failure) {
    const hasGone = isErrno(failure, "ENODEV") && (await host.links.findLink(endpoint.hostIfName)) === undefined;
    if (!hasGone) throw failure; // else its container ended meanwhile
  }
}

async function putBack(host: BridgeHost, network: Network, endpoint: Endpoint, isHairpin?: boolean): Promise<void> {
  const port = await host.links.findLink(endpoint.hostIfName);
  if (port === undefined || !isPairOf(port, endpoint)) return;
  const bridge = await requireSwitch(host, network, endpoint, []);
  const isInBridge = port.masterIndex === bridge.index;
  if (!isInBridge) {
    await host.links.setLink(port.index, { isUp: false }); // a bridge takes ports in without any settings
    await host.links.setLink(port.index, { masterIndex: bridge.index });
  }
  await ensurePortVlans(host, bridge, port.index, { ...endpoint, isBridgeOurs: network.isSwitchOurs });
  if (network.isGuarded) await host.links.ensureFdbEntry(port.index, endpoint.mac); // what is there already is not changed
  const settings = { ...settingsOf(network), ...(isHairpin !== undefined && { isHairpin }) };
  if (port.mtu !== endpoint.mtu) await host.links.setLink(port.index, { mtu: endpoint.mtu });
  if (isInBridge && port.isUp && isPortAs(settings, port.bridgePort ?? {})) return;
  const bridgePort = network.isGuarded ? { ...settings, forgetsLearned: true as const } : settings;
  await host.links.setLink(port.index, { bridgePort, isUp: true });
}

/** Sets hairpin mode of a port, as far as it is in a bridge. */
export async function ensureHairpin(host: BridgeHost, port: PortOf, isOn: boolean): Promise<void> {
  const link = await host.links.findLink(port.hostIfName);
  if (link?.bridgePort === undefined || !isPairOf(link, port)) return;
  if (link.bridgePort.isHairpin !== isOn) await host.links.setLink(link.index, { bridgePort: { isHairpin: isOn } });
}

/**
 * How the bridge shall treat the network's ports. On a guarded one nothing is learned from what an endpoint sends: where
 * its MAC is says an entry of ours, and as every endpoint has one, no frame need go to all of them for want of it.
 */
function settingsOf({ isGuarded, isIccAllowed, switchSettings }: Network): BridgePort {
  const isOpen = !isGuarded;
  return {
    isIsolated: !isIccAllowed,
    isLearning: isOpen,
    isFlooding: isOpen,
    isLocked: isGuarded,
    isRouterAllowed: isOpen,
    passesReserved: true,
    ...(switchSettings.hairpin === true && { isHairpin: true }), // else see ensureHairpin
  };
}

async function addPort(host: BridgeHost, bridge: Link, endpoint: Endpoint): Promise<number> {
  try {
    return await addPair(host.links, endpoint, bridge.index);
  } catch (failure) {
    if (!isErrno(failure, EXFULL)) throw failure;
    throw new TsnetError("exhausted", `bridge ${bridge.name} is full: it has 1023 ports`, { cause: failure });
  }
}

/**
 * The network's bridge, made again if it was deleted by hand, and with VLANs if somebody switched them off: the networks'
 * records say how it was. An entry for the bridge's own MAC would take what is meant for the host.
 */
async function requireSwitch(
  host: BridgeHost,
  network: Network,
  { mac, vlans }: Endpoint,
  others: readonly Network[],
): Promise<Link> {
  let bridge = await host.links.findLink(network.switchName);
  if (bridge === undefined || (needsVlans([{ vlans }]) && !hasVlans(bridge))) {
    await ensureNetwork(host, network, others);
    bridge = await host.links.findLink(network.switchName);
  }
  if (bridge === undefined) {
    throw new TsnetError("host", `bridge ${network.switchName} disappears as soon as it is made`);
  }
  if (bridge.mac === mac) throw new TsnetError("conflict", `MAC address ${mac} is that of bridge ${bridge.name}`);
  return bridge;
}

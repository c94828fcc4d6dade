// What must be in each set of our tables (`skeleton.ts` says what the sets mean): for all networks, and for one endpoint.
import { parseSubnet } from "../cidr.ts";
import type { GuardedEndpoint } from "../cnm/firewall.ts";
import type { Network } from "../cnm/network.ts";
import type { PublishedPort } from "../cnm/ports.ts";
import { UNTAGGED_VID, allVlans, hasUntagged } from "../vlan.ts";
import {
  addressPart,
  ifNamePart,
  linkLocalPart,
  macPart,
  portPart,
  protocolPart,
  subnetParts,
  vlanPart,
} from "./element-key.ts";
import { Elements } from "./element-sets.ts";
import { addTunnel } from "./tunnel-elements.ts";

/** @param apart - the engine's own bridges. */
export function networkElements(networks: readonly Network[], apart: readonly string[]): Elements {
  const elements = new Elements();
  for (const name of apart) elements.add("apart", [ifNamePart(name)]);
  for (const network of networks) {
    const { isInternal, isHostOnSwitch, switchName } = network;
    const [link, ownLink] = [ifNamePart(network.hostLink), ifNamePart(switchName)];
    const isLinkOurs = network.isSwitchOurs || network.hostLink !== switchName;
    elements.add("bridged", [link, link]);
    elements.add("bridged", [ownLink, ownLink]);
    if (isHostOnSwitch && !network.isIccAllowed) elements.add("private", [link, link]);
    if (isHostOnSwitch && !isLinkOurs) elements.add("adopted", [link]);
    const isHostless = !hasHost(network) && (network.mode === "isolated" || isLinkOurs);
    if (isHostless) elements.add("hostless", [link]);
    if (isHostless || (isLinkOurs && isInternal && !hasMoved(network))) elements.add("sealed", [link]);
    if (isHostOnSwitch) addPools(elements, network, link);
    addTunnel(elements, network);
  }
  addUplinks(elements, networks);
  return elements;
}

/** What comes in by uplinks. */
function addUplinks(elements: Elements, networks: readonly Network[]): void {
  for (const { backend, uplink } of networks) {
    // One with the host's own addresses must be heard by whoever has them when the switch has gone.
    const isStrange = uplink?.isAddressMoved === false;
    if (backend === "ovs" && isStrange) elements.add("overheard", [ifNamePart(uplink.parent)]);
  }
  const users = Map.groupBy(networks, ({ backend, uplink }) => (backend === "bridge" ? uplink?.parent : undefined));
  for (const [parent, using] of users) {
    if (parent === undefined) continue;
    const link = ifNamePart(parent);
    const isTagged = ({ vlans }: Network) => allVlans(vlans).length > 0;
    elements.add("uplinks", [link]);
    if (using.some(hasUntagged)) elements.add("native", [link, vlanPart(UNTAGGED_VID)]);
    if (!using.some(isTagged)) elements.add("untagged", [link]);
  }
}

/** Whether the host itself is on the network's link: by its gateway addresses, or by those that it had on the uplink. */
function hasHost(network: Network): boolean {
  return network.isHostOnSwitch || hasMoved(network);
}

/** Whether the network's link is that of the host's own addresses: whatever the host forwards goes by it as well. */
function hasMoved({ uplink, vlans }: Network): boolean {
  return uplink?.isAddressMoved === true && vlans.vlan === undefined && vlans.trunk === undefined;
}

function addPools(elements: Elements, network: Network, link: Buffer): void {
  for (const { subnet, gateway } of network.pools) {
    const parsed = parseSubnet(subnet);
    const { first, last } = subnetParts(parsed);
    const home = [[link, first], { keyEnd: Buffer.concat([link, last]) }] as const;
    elements.add(`pools${parsed.family}`, ...home);
    if (!network.isInternal) elements.add(`open${parsed.family}`, ...home);
    if (!network.isInternal && network.isMasqueraded) elements.add(`masq${parsed.family}`, ...home);
    if (gateway !== undefined) elements.add(`gateways${parsed.family}`, [addressPart(gateway)]);
  }
}

/** Who an endpoint is, and what it publishes. */
export function endpointElements(guarded: GuardedEndpoint): Elements {
  const elements = portElements(guarded);
  if (guarded.network.backend === "bridge") addIdentity(elements, guarded);
  else elements.add("overheard", [ifNamePart(guarded.endpoint.hostIfName)]);
  return elements;
}

/** What an endpoint publishes. */
export function portElements(guarded: GuardedEndpoint): Elements {
  const elements = new Elements();
  for (const port of guarded.ports) addPort(elements, guarded, port);
  return elements;
}

function addIdentity(elements: Elements, { network, endpoint }: GuardedEndpoint): void {
  const link = ifNamePart(endpoint.hostIfName);
  if (!network.isGuarded) {
    elements.add("unguarded", [link]);
    const hasVlansAround =
      allVlans(network.vlans).length > 0 || network.uplink !== undefined || network.tunnel !== undefined;
    if (endpoint.vlans.trunk !== undefined) elements.add("trunk", [link]);
    else if (hasVlansAround) elements.add("access", [link]);
    return;
  }
  const mac = macPart(endpoint.mac);
  elements.add("own", [link, mac]);
  elements.add("nd_mac", [link, mac]);
  const { address, addressIpv6 } = bareAddresses(endpoint);
  if (address === undefined && addressIpv6 === undefined) return elements.add("any", [link]);
  if (address !== undefined) elements.add("own4", [link, mac, addressPart(address)]);
  if (addressIpv6 === undefined) return;
  elements.add("own6", [link, mac, addressPart("::")]); // without an address: duplicate address detection, MLD
  for (const own of [addressPart(addressIpv6), linkLocalPart(endpoint.mac)]) {
    elements.add("own6", [link, mac, own]);
    elements.add("nd", [link, mac, own]);
    elements.add("nd_target", [link, own]);
  }
}

function addPort(elements: Elements, { network, endpoint }: GuardedEndpoint, port: PublishedPort): void {
  const link = ifNamePart(network.hostLink);
  const protocol = protocolPart(port.protocol);
  const [hostPort, containerPort] = [portPart(port.hostPort), portPart(port.containerPort)];
  const { address, addressIpv6 } = bareAddresses(endpoint);
  for (const [family, own] of [[4, address] as const, [6, addressIpv6] as const]) {
    if (own === undefined) continue;
    const target = [link, addressPart(own), protocol, containerPort];
    if (network.mode === "routed") elements.add(`offered${family}`, target);
    if (network.mode === "routed" || !isTranslated(port, family)) continue;
    const data = Buffer.concat([addressPart(own), containerPort]);
    elements.add(`published${family}`, target);
    if (isWildcard(port)) elements.add(`any${family}`, [protocol, hostPort], { data });
    else elements.add(`at${family}`, [protocol, addressPart(port.hostAddress), hostPort], { data });
    if (network.isIccAllowed) continue;
    if (isWildcard(port)) elements.add("relayed", [link, protocol, hostPort]);
    else elements.add(`relayed${family}`, [link, protocol, addressPart(port.hostAddress), hostPort]);
  }
}

/** Whether packets to that binding are translated in that family; to a loopback address they are relayed. */
export function isTranslated({ hostAddress }: PublishedPort, family: 4 | 6): boolean {
  if (hostAddress === "") return true;
  if (hostAddress.includes(":") !== (family === 6)) return false;
  return hostAddress !== "::1" && !hostAddress.startsWith("127.");
}

/** Whether a binding is to all addresses of its family. */
export function isWildcard({ hostAddress }: PublishedPort): boolean {
  return hostAddress === "" || hostAddress === "0.0.0.0" || hostAddress === "::";
}

/** The endpoint's addresses without their prefix lengths. */
export function bareAddresses(endpoint: { readonly address?: string; readonly addressIpv6?: string }): {
  readonly address: string | undefined;
  readonly addressIpv6: string | undefined;
} {
  const [address] = endpoint.address?.split("/") ?? [];
  const [addressIpv6] = endpoint.addressIpv6?.split("/") ?? [];
  return { address, addressIpv6 };
}

// Finds the switch for a new network: the one that the user named, whoever made it, the one that has the network's uplink,
// or a new one with a free name. What the networks of one switch must agree on is in `switch-sharing.ts`.
import { isDeepStrictEqual } from "node:util";
import { contains, parseAddressWithLength, parseSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { allVlans } from "../vlan.ts";
import type { FoundSwitch, HostLinks } from "./datapath.ts";
import { hostLinkName, switchNames } from "./names.ts";
import type { IfName, Network, PlannedNetwork } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import { type Registry, short } from "./registry.ts";
import { type Placed, refuseToShare } from "./switch-sharing.ts";
import { formatTunnel } from "./tunnel.ts";
import { type PlacedTunnel, placeTunnel } from "./tunnel-place.ts";

/** Of a network without uplink whose user names none. Bytes. */
const DEFAULT_MTU = 1500;

type PlacedNetwork = Omit<Network, "isSwitchOurs" | "keptAddresses">;

/** RFC 8200, section 5. Bytes. */
const LEAST_IPV6_MTU = 1280;

/**
 * Completes a planned network with its switch. Changes nothing.
 *
 * @param present - the same network as it is, if it is: its switch stays.
 * @throws TsnetError `conflict` if that switch cannot serve this network; `not-found`, `invalid` for its uplink.
 */
export async function placeNetwork(
  planned: PlannedNetwork,
  { registry, datapaths, links }: Pick<CnmParts, "registry" | "datapaths" | "links">,
  present?: Network,
): Promise<Network> {
  const { bridge, datapath } = planned.requested;
  const named = present?.switchName ?? switchOfUplink(planned, registry) ?? bridge;
  const switchName = named ?? (await freeSwitchName(planned, links));
  const others = registry.networksOn(switchName).filter(({ id }) => id !== planned.id);
  const placedTunnel = await placeTunnel(planned, links);
  const bound = await narrowest(planned, placedTunnel, links);
  const asIs = present && { ...present, mtu: Math.min(present.mtu, bound?.mtu ?? Infinity) };
  const network = {
    ...planned,
    ...(placedTunnel && { tunnel: placedTunnel.tunnel }),
    switchName,
    hostLink: hostLinkName(planned.backend, switchName, planned.vlans),
    untaggedLink: hostLinkName(planned.backend, switchName, {}),
    mtu: mtuFor(planned, switchName, asIs ?? others[0], bound),
    datapathType: present?.datapathType ?? datapath ?? others[0]?.datapathType ?? "auto",
  };
  refuseToShare(network, others);
  refuseTunnel(network, placedTunnel, registry);
  if (named === undefined) return { ...network, isSwitchOurs: true, keptAddresses: [] };
  const found = await datapaths[planned.backend].inspectSwitch(switchName);
  const isSwitchOurs = present?.isSwitchOurs ?? others[0]?.isSwitchOurs ?? found.state !== "foreign";
  if (!isSwitchOurs) refuseSettings(network);
  const isLinkSame = present?.hostLink === network.hostLink;
  const kept = isLinkSame ? present.keptAddresses : keptAddresses(network, withoutOwn(found, present));
  return { ...network, isSwitchOurs, keptAddresses: kept };
}

/** A switch that somebody else made as it was before the network. */
function withoutOwn(found: FoundSwitch, present: Network | undefined): FoundSwitch {
  if (found.state !== "foreign" || present?.hostLink !== present?.switchName) return found;
  const gateways = (present?.pools ?? []).map(({ gateway }) => gateway);
  const isOwn = (bare: string) => gateways.includes(bare) && present?.keptAddresses.includes(bare) === false;
  return { ...found, addresses: found.addresses.filter((address) => !isOwn(address.replace(/\/.*/, ""))) };
}

/** The switch of which the uplink is a port already, by another network. */
function switchOfUplink({ id, uplink, backend, requested }: PlannedNetwork, registry: Registry): IfName | undefined {
  if (uplink === undefined) return undefined;
  const { parent } = uplink;
  const others = registry.networks().flatMap(({ network }) => (network.id === id ? [] : [network]));
  const [owner] = others.filter(({ switchName }) => switchName === parent);
  if (owner !== undefined) {
    throw new TsnetError(
      "conflict",
      `link ${parent} cannot be an uplink: it is the switch of network ${short(owner.id)}`,
    );
  }
  const user = others.find((other) => other.uplink?.parent === parent);
  if (user === undefined) return undefined;
  if (user.backend !== backend || (requested.bridge !== undefined && requested.bridge !== user.switchName)) {
    const where = `it is the uplink of ${user.switchName}, backend ${user.backend}, for network ${short(user.id)}`;
    throw new TsnetError("conflict", `link ${parent} cannot be shared: ${where}, and can be in one switch only`);
  }
  if (user.uplink?.isAddressMoved !== uplink.isAddressMoved) {
    const how = `parent-address=${user.uplink?.isAddressMoved === true ? "move" : "keep"}`;
    const why = `network ${short(user.id)} uses it with ${how}, and the networks of one uplink must have the same`;
    throw new TsnetError("conflict", `link ${parent} cannot be shared: ${why}`);
  }
  return user.switchName;
}

/** A number on the wire is one network's, and packets of a tunnel do not go by the network itself. */
function refuseTunnel(network: Placed, placed: PlacedTunnel | undefined, registry: Registry): void {
  const { tunnel, hostLink, switchName } = network;
  if (tunnel === undefined || placed === undefined) return;
  if (network.isHostOnSwitch && placed.links.has(hostLink)) {
    const why = `they are reached by ${hostLink}, the network's own link`;
    throw new TsnetError("conflict", `option peers: the tunnel cannot lead to ${tunnel.peers.join(", ")}: ${why}`);
  }
  for (const { network: other } of registry.networks()) {
    const isSame = other.tunnel !== undefined && formatTunnel(other.tunnel) === formatTunnel(tunnel);
    if (!isSame || other.id === network.id) continue;
    const isShared =
      other.switchName === switchName &&
      isDeepStrictEqual(other.vlans, network.vlans) &&
      isDeepStrictEqual(other.tunnel, tunnel);
    if (isShared) continue;
    const rule = "two networks may have one tunnel with the same switch, VLANs, peers and local address only";
    throw new TsnetError("conflict", `${formatTunnel(tunnel)} is the tunnel of network ${short(other.id)}; ${rule}`);
  }
}

/** What bounds the MTU of a network. */
interface Narrowest {
  readonly mtu: number;
  /** As messages name it: `the 1500 of eth1`. */
  readonly what: string;
}

async function narrowest(
  { uplink }: PlannedNetwork,
  placed: PlacedTunnel | undefined,
  links: HostLinks,
): Promise<Narrowest | undefined> {
  if (placed !== undefined) return { mtu: placed.mtu, what: `the ${placed.mtu} that its tunnel has room for` };
  if (uplink === undefined) return undefined;
  const mtu = await links.mtuOf(uplink.parent);
  if (mtu === undefined) throw new TsnetError("not-found", `option parent: this host has no link ${uplink.parent}`);
  return { mtu, what: `the ${mtu} of ${uplink.parent}` };
}

/** @param other - a network of the same switch, whose MTU is that of the switch. */
function mtuFor(
  { hasIpv6, requested }: PlannedNetwork,
  switchName: IfName,
  other: Network | undefined,
  bound: Narrowest | undefined,
): number {
  const mtu = requested.mtu ?? other?.mtu ?? bound?.mtu ?? DEFAULT_MTU;
  if (bound !== undefined && mtu > bound.mtu) {
    if (requested.mtu !== undefined) {
      throw new TsnetError("invalid", `option mtu: ${mtu} is more than ${bound.what}; permitted: up to ${bound.mtu}`);
    }
    const why = `network ${short(other?.id ?? "")} uses it with mtu ${mtu}, which is more than ${bound.what}`;
    throw new TsnetError("conflict", `switch ${switchName} cannot be shared: ${why}`);
  }
  if (hasIpv6 && mtu < LEAST_IPV6_MTU) {
    const whose = other === undefined ? (bound?.what ?? "") : `the ${mtu} of switch ${switchName}`;
    throw new TsnetError(
      "invalid",
      `the network would have ${whose}, which is too small for IPv6, which needs ${LEAST_IPV6_MTU}`,
    );
  }
  return mtu;
}

async function freeSwitchName({ id }: PlannedNetwork, links: HostLinks): Promise<IfName> {
  for (const switchName of switchNames(id)) {
    if (!(await links.isNameTaken(switchName))) return switchName;
  }
  throw new TsnetError("conflict", `every name for the switch of network ${short(id)} is taken on this host`);
}

function refuseSettings({ switchName, switchSettings, requested }: PlacedNetwork): void {
  const given = [...(requested.datapath === undefined ? [] : ["datapath"]), ...Object.keys(switchSettings)];
  if (given.length === 0) return;
  const why = "tsnet did not make it and leaves its settings alone";
  throw new TsnetError("conflict", `switch ${switchName} cannot be set up by option ${given.join(", ")}: ${why}`);
}

/** Gateways that somebody gave to the switch before: they stay. */
function keptAddresses(network: PlacedNetwork, found: FoundSwitch): readonly string[] {
  if (found.state !== "foreign") return [];
  const { switchName, hostLink, mode, vlans, pools } = network;
  if (mode === "isolated" && allVlans(vlans).length === 0 && found.addresses.length > 0) {
    const why = `the host has ${found.addresses.join(", ")} on it, and mode isolated needs a switch without host addresses`;
    throw new TsnetError("conflict", `switch ${switchName} cannot be used: ${why}`);
  }
  if (hostLink !== switchName) {
    refuseSecondLink(network, found.addresses);
    return [];
  }
  const present = found.addresses.map((address) => address.replace(/\/.*/, ""));
  return pools.flatMap(({ gateway }) => (gateway && present.includes(gateway) ? [gateway] : []));
}

/** The host reaches a network by one link: where that is not the switch itself, the switch may not have addresses of it. */
function refuseSecondLink({ switchName, isHostOnSwitch, pools }: PlacedNetwork, addresses: readonly string[]): void {
  if (!isHostOnSwitch) return;
  const subnets = pools.map(({ subnet }) => parseSubnet(subnet));
  const isInside = (text: string) => {
    const { address } = parseAddressWithLength(text);
    return subnets.some((subnet) => contains(subnet, address));
  };
  const meeting = addresses.filter(isInside);
  if (meeting.length === 0) return;
  const why = `the host has ${meeting.join(", ")} on it, of the network's subnet, which it would reach by a link of its own`;
  const permitted = "permitted: another subnet, mode l2, or a switch without these addresses";
  throw new TsnetError("conflict", `switch ${switchName} cannot be used: ${why}; ${permitted}`);
}

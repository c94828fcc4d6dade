// Finds the switch for a new network: the one that the user named, whoever made it, the one that has the network's uplink,
// or a new one with a free name. What the networks of one switch must agree on is in `switch-sharing.ts`.
import { contains, parseAddressWithLength, parseSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { allVlans } from "../vlan.ts";
import type { FoundSwitch, HostLinks } from "./datapath.ts";
import { hostLinkName, switchNames } from "./names.ts";
import type { IfName, Network, PlannedNetwork } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import { type Registry, short } from "./registry.ts";
import { refuseToShare } from "./switch-sharing.ts";

/** Of a network without uplink whose user names none. Bytes. */
const DEFAULT_MTU = 1500;

type PlacedNetwork = Omit<Network, "isSwitchOurs" | "keptAddresses">;

/** RFC 8200, section 5. Bytes. */
const LEAST_IPV6_MTU = 1280;

/**
 * Completes a planned network with its switch. Changes nothing.
 *
 * @throws TsnetError `conflict` if that switch cannot serve this network; `not-found`, `invalid` for its uplink.
 */
export async function placeNetwork(
  planned: PlannedNetwork,
  { registry, datapaths, links }: Pick<CnmParts, "registry" | "datapaths" | "links">,
): Promise<Network> {
  const { bridge, datapath } = planned.requested;
  const named = switchOfUplink(planned, registry) ?? bridge;
  const switchName = named ?? (await freeSwitchName(planned, links));
  const others = registry.networksOn(switchName).filter(({ id }) => id !== planned.id);
  const network = {
    ...planned,
    switchName,
    hostLink: hostLinkName(planned.backend, switchName, planned.vlans),
    untaggedLink: hostLinkName(planned.backend, switchName, {}),
    mtu: await mtuFor(planned, switchName, others[0], links),
    datapathType: datapath ?? others[0]?.datapathType ?? "auto",
  };
  refuseToShare(network, others);
  if (named === undefined) return { ...network, isSwitchOurs: true, keptAddresses: [] };
  const found = await datapaths[planned.backend].inspectSwitch(switchName);
  const isSwitchOurs = others[0]?.isSwitchOurs ?? found.state !== "foreign";
  if (!isSwitchOurs) refuseSettings(network);
  return { ...network, isSwitchOurs, keptAddresses: keptAddresses(network, found) };
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

/** @param other - a network of the same switch, whose MTU is that of the switch. */
async function mtuFor(
  { uplink, hasIpv6, requested }: PlannedNetwork,
  switchName: IfName,
  other: Network | undefined,
  links: HostLinks,
): Promise<number> {
  const most = uplink && (await links.mtuOf(uplink.parent));
  if (uplink !== undefined && most === undefined) {
    throw new TsnetError("not-found", `option parent: this host has no link ${uplink.parent}`);
  }
  const mtu = requested.mtu ?? other?.mtu ?? most ?? DEFAULT_MTU;
  if (most !== undefined && mtu > most) {
    const ofUplink = `the ${most} of ${uplink?.parent}`;
    if (requested.mtu !== undefined) {
      throw new TsnetError("invalid", `option mtu: ${mtu} is more than ${ofUplink}; permitted: up to ${most}`);
    }
    const why = `network ${short(other?.id ?? "")} uses it with mtu ${mtu}, which is more than ${ofUplink}`;
    throw new TsnetError("conflict", `switch ${switchName} cannot have that uplink: ${why}`);
  }
  if (hasIpv6 && mtu < LEAST_IPV6_MTU) {
    const whose = other === undefined ? `uplink ${uplink?.parent}` : `switch ${switchName}`;
    throw new TsnetError("invalid", `mtu ${mtu} of ${whose} is too small for IPv6, which needs ${LEAST_IPV6_MTU}`);
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

// What the creation of a network would do, for whoever wants to know before: all checks are made, and nothing else.
import { createHash, randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { type Family, formatAddress, parseSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { allVlans, formatVlanList, formatVlans, hasUntagged } from "../vlan.ts";
import type { PlanNetwork } from "./change-requests.ts";
import { hasDetours } from "./join-result.ts";
import { isAbandoned } from "./lost-networks.ts";
import { switchNames } from "./names.ts";
import type { Network, NetworkId, PlannedNetwork } from "./network.ts";
import { readNetworkOptions } from "./options.ts";
import type { CnmParts } from "./parts.ts";
import { placeNetwork } from "./placement.ts";
import { planSettings } from "./plan.ts";
import { requirePossible } from "./possible.ts";
import type { NetworkOptions } from "./requests.ts";
import { doSubnetsMeet, refuseOverlap } from "./switch-sharing.ts";
import { formatTunnel } from "./tunnel.ts";

/** Whether the options of a network say so (`dry-run=true`). */
export function isDryRun({ options }: Pick<NetworkOptions, "options">): boolean {
  return readNetworkOptions(options).settings["dry-run"];
}

/** How a creation ends that was a dry run: for the engine it failed. @param steps - as `rehearse` says them. */
export function dryRunAnswer(steps: readonly string[]): TsnetError {
  return new TsnetError("invalid", `dry run, nothing was changed; without it tsnet would ${steps.join("; ")}`);
}

/** What `CreateNetwork` would do, of a network that is named by its options alone. @throws TsnetError as the creation would. */
export async function planOnly(request: PlanNetwork, parts: CnmParts): Promise<readonly string[]> {
  const networkId = createHash("sha256").update(randomUUID()).digest("hex") as NetworkId; // of the right form
  const { settings, faults } = readNetworkOptions(request.options);
  const pools = request.pools.map(({ subnet, gateway }) => {
    return { addressSpace: "", subnet, gateway: gateway ?? firstAddress(subnet) };
  });
  const families: readonly Family[] = request.hasIpv6 ? [4, 6] : [4];
  const toCome = families.filter((family) => !pools.some(({ subnet }) => parseSubnet(subnet).family === family));
  const base = { ...request, networkId, hasIpv4: true, pools, arePoolsToCome: pools.length === 0 };
  const steps = await rehearse(planSettings(base, settings, faults), parts, toCome);
  const isNameToCome = switchNames(networkId).some((name) => steps.some((step) => step.includes(name)));
  return isNameToCome ? steps.map(withoutId) : steps;
}

/** As IPAM drivers choose the gateway. */
function firstAddress(subnet: string): string {
  const { family, first, prefixLength } = parseSubnet(subnet);
  return `${formatAddress({ family, value: first + 1n })}/${prefixLength}`;
}

/** Names that follow from the id, which the network will get from the engine. */
function withoutId(step: string): string {
  return step.replaceAll(/\b(tsn-|tsg|tsx)[0-9a-f]{11,12}\b/g, "$1…");
}

/**
 * Makes all checks of a creation, and changes nothing.
 *
 * @param toCome - the families of which IPAM will give a subnet that is not known now.
 * @returns what would be done, in order.
 * @throws TsnetError as the creation would.
 */
export async function rehearse(
  planned: PlannedNetwork,
  parts: CnmParts,
  toCome: readonly Family[] = [],
): Promise<readonly string[]> {
  const { registry } = parts;
  registry.damage.requireReadable("network", planned.id);
  registry.damage.requireComplete();
  const [others, gone]: [Network[], Network[]] = [[], []];
  for (const { network, state } of registry.networks()) {
    const isInWay = state === "ready" && doSubnetsMeet(planned, network);
    (isInWay && (await isAbandoned(network, parts)) ? gone : others).push(network);
  }
  refuseOverlap(planned, others);
  const network = await placeNetwork(planned, parts);
  await requirePossible(network, parts);
  const removals = gone.map(({ id }) => `remove network ${id.slice(0, 12)}, which Docker has no more`);
  return [
    ...removals,
    ...switchSteps(network, registry.sharersOf(network)),
    ...hostSteps(network, registry.sharersOf(network), toCome),
    ...guestSteps(network, toCome),
  ];
}

function switchSteps(network: Network, others: readonly Network[]): string[] {
  const { backend, switchName, isSwitchOurs, mtu, switchSettings, tunnel } = network;
  const kind = backend === "bridge" ? "bridge" : "Open vSwitch bridge";
  const isNew = isSwitchOurs && others.length === 0;
  const settings = Object.entries(switchSettings).map(([key, value]) => `${key}=${value}`);
  const isTunnelThere = others.some((other) => other.tunnel !== undefined && isDeepStrictEqual(other.tunnel, tunnel));
  return [
    isNew ? `make ${kind} ${switchName} with mtu ${mtu}` : `use ${kind} ${switchName}, which is there`,
    ...(settings.length > 0 ? [`set ${settings.join(", ")} on ${switchName}`] : []),
    ...uplinkSteps(network, others),
    ...(tunnel && !isTunnelThere
      ? [`join it by ${formatTunnel(tunnel)}, from ${tunnel.local} with ${tunnel.peers.join(", ") || "nobody yet"}`]
      : []),
  ];
}

function uplinkSteps(network: Network, others: readonly Network[]): string[] {
  const { switchName, uplink, backend, untaggedLink } = network;
  if (uplink === undefined) return [];
  const { parent, isAddressMoved } = uplink;
  const users = others.filter((other) => other.uplink?.parent === parent);
  const [former, all] = [carriedBy(users), carriedBy([...users, network])];
  const tagged = all.tagged.filter((vlan) => !former.tagged.includes(vlan));
  const more = [
    ...(all.isUntagged && !former.isUntagged ? ["its untagged frames"] : []),
    ...(tagged.length > 0 ? [`${formatVlanList(tagged)} tagged`] : []),
  ].join(" and ");
  if (users.length > 0) {
    const port = `${parent}, a port of ${switchName}`;
    return [more === "" ? `use ${port}, which is there` : `have ${port}, carry ${more} as well`];
  }
  const hostLink = backend === "bridge" ? switchName : untaggedLink;
  return [
    `make ${parent} a port of ${switchName} that carries ${more}`,
    ...(isAddressMoved && hostLink !== switchName ? [`make the host's link ${hostLink}`] : []),
    ...(isAddressMoved ? [`move the addresses and routes of ${parent} to ${hostLink}`] : []),
  ];
}

function carriedBy(users: readonly Network[]): { readonly isUntagged: boolean; readonly tagged: readonly number[] } {
  const tagged = users.flatMap(({ vlans }) => allVlans(vlans));
  return { isUntagged: users.some(hasUntagged), tagged: [...new Set(tagged)].sort((a, b) => a - b) };
}

function hostSteps(network: Network, others: readonly Network[], toCome: readonly Family[]): string[] {
  const { mode, isInternal, isHostOnSwitch, hostLink, switchName, vlans, pools, isMasqueraded, uplink } = network;
  const isMoved = uplink?.isAddressMoved === true;
  if (!isHostOnSwitch) return [`give the host no ${isMoved ? "other " : ""}address there (mode ${mode})`];
  const ofIpam = toCome.map((family) => `the IPv${family} subnet that IPAM gives`);
  const subnets = [...pools.map(({ subnet }) => subnet), ...ofIpam].join(", ");
  const gateways = pools.flatMap(({ subnet, gateway = "" }) =>
    network.keptAddresses.includes(gateway) ? [] : [`${gateway}/${subnet.split("/")[1]}`],
  );
  const addresses = [...gateways, ...toCome.map((family) => `of the IPv${family} gateway that IPAM gives`)];
  const where = vlans.vlan === undefined ? "" : ` in VLAN ${vlans.vlan}`;
  const isOfMoved = isMoved && hostLink === network.untaggedLink;
  const isLinkThere = others.some((other) => other.isHostOnSwitch && other.hostLink === hostLink);
  return [
    ...(hostLink === switchName || isOfMoved || isLinkThere ? [] : [`make the host's link ${hostLink}${where}`]),
    ...(addresses.length === 0 ? [] : [`give ${hostLink} the address ${addresses.join(", ")}`]),
    ...(isInternal ? [`let nothing pass between ${subnets} and the world`] : [`forward for ${subnets}`]),
    ...(isMasqueraded && !isInternal ? [`masquerade what leaves ${subnets}`] : []),
  ];
}

function guestSteps(network: Network, toCome: readonly Family[]): string[] {
  const { vlans, mtu, pools, routes, isIccAllowed, isGuarded, isInternal, mode, ifPrefix, hostBinding } = network;
  const hasGateway = toCome.length > 0 || pools.some(({ gateway }) => gateway !== undefined);
  const isRouted = hasGateway && network.hasDefaultRoute && !isInternal && mode !== "isolated";
  const listed = routes.map(({ destination, via }) => `${destination} via ${via}`).join(", ");
  return [
    `give each container a link ${ifPrefix}0 with ${formatVlans(vlans)}, mtu ${mtu}${isRouted ? " and a default route" : ""}`,
    ...(routes.length > 0 ? [`give it the route ${listed}`] : []),
    ...(isGuarded ? ["let it send from its own MAC and addresses only"] : []),
    ...(isIccAllowed ? [] : ["keep it from the other containers but for published ports"]),
    ...(hasDetours(network) ? ["give it routes to these by way of the host"] : []),
    ...(hostBinding === undefined ? [] : [`publish its ports on ${hostBinding} unless another address is named`]),
  ];
}

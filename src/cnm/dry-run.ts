// What the creation of a network would do, for whoever wants to know before: all checks are made, and nothing else.
import { createHash, randomUUID } from "node:crypto";
import { formatAddress, parseSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { formatVlanList, formatVlans } from "../vlan.ts";
import type { PlanNetwork } from "./change-requests.ts";
import { isAbandoned } from "./lost-networks.ts";
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
  const base = { ...request, networkId, hasIpv4: true, pools, arePoolsToCome: pools.length === 0 };
  const steps = await rehearse(planSettings(base, settings, faults), parts);
  return settings.bridge === undefined && settings.parent === undefined ? steps.map(withoutId) : steps;
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
 * @returns what would be done, in order.
 * @throws TsnetError as the creation would.
 */
export async function rehearse(planned: PlannedNetwork, parts: CnmParts): Promise<readonly string[]> {
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
    ...hostSteps(network),
    ...guestSteps(network),
  ];
}

function switchSteps(network: Network, others: readonly Network[]): string[] {
  const { backend, switchName, isSwitchOurs, mtu, switchSettings, vlans, uplink, tunnel } = network;
  const kind = backend === "bridge" ? "bridge" : "Open vSwitch bridge";
  const isNew = isSwitchOurs && others.length === 0;
  const settings = Object.entries(switchSettings).map(([key, value]) => `${key}=${value}`);
  const carried =
    vlans.vlan === undefined && vlans.trunk === undefined
      ? "its untagged frames"
      : `${formatVlanList(tagged(network))} tagged`;
  return [
    isNew ? `make ${kind} ${switchName} with mtu ${mtu}` : `use ${kind} ${switchName}, which is there`,
    ...(settings.length > 0 ? [`set ${settings.join(", ")} on ${switchName}`] : []),
    ...(uplink ? [`make ${uplink.parent} a port of ${switchName} that carries ${carried}`] : []),
    ...(uplink?.isAddressMoved === true ? [`move the addresses and routes of ${uplink.parent} to the switch`] : []),
    ...(tunnel
      ? [`join it by ${formatTunnel(tunnel)}, from ${tunnel.local} with ${tunnel.peers.join(", ") || "nobody yet"}`]
      : []),
  ];
}

function tagged({ vlans: { vlan, trunk = [] } }: Network): readonly number[] {
  return [...(vlan === undefined ? [] : [vlan]), ...trunk].sort((a, b) => a - b);
}

function hostSteps(network: Network): string[] {
  const { mode, isInternal, isHostOnSwitch, hostLink, switchName, vlans, pools, isMasqueraded } = network;
  const subnets = pools.map(({ subnet }) => subnet).join(", ") || "what IPAM gives";
  if (!isHostOnSwitch) return [`give the host no address there (mode ${mode})`];
  const gateways = pools.map(({ subnet, gateway }) => `${gateway}/${subnet.split("/")[1]}`).join(", ");
  const where = vlans.vlan === undefined ? "" : ` in VLAN ${vlans.vlan}`;
  return [
    ...(hostLink === switchName ? [] : [`make the host's link ${hostLink}${where}`]),
    `give ${hostLink} the address ${gateways || "that IPAM gives for the gateway"}`,
    ...(isInternal ? [`let nothing pass between ${subnets} and the world`] : [`forward for ${subnets}`]),
    ...(isMasqueraded && !isInternal ? [`masquerade what leaves ${subnets}`] : []),
  ];
}

function guestSteps({
  vlans,
  mtu,
  isIccAllowed,
  isGuarded,
  hasDefaultRoute,
  isInternal,
  mode,
  ifPrefix,
}: Network): string[] {
  const isRouted = hasDefaultRoute && !isInternal && mode !== "isolated";
  return [
    `give each container a link ${ifPrefix}0 with ${formatVlans(vlans)}, mtu ${mtu}${isRouted ? " and a default route" : ""}`,
    ...(isGuarded ? ["let it send from its own MAC and addresses only"] : []),
    ...(isIccAllowed ? [] : ["keep it from the other containers but for published ports"]),
  ];
}

// Turns a request into the network that it asks for, and refuses what cannot be: everything here happens before the first
// change. Faults of one kind are collected into one message.
import {
  type Subnet,
  contains,
  formatAddress,
  formatSubnet,
  overlaps,
  parseAddress,
  parseAddressWithLength,
  parseSubnet,
} from "../cidr.ts";
import { TsnetError, messageOf } from "../errors.ts";
import { pickVlans } from "../vlan.ts";
import { hashedMac } from "./mac.ts";
import type { NetworkPool, PlannedNetwork } from "./network.ts";
import { type NetworkSettings, readNetworkOptions } from "./options.ts";
import { modeOf, switchFaults, switchSettingsOf } from "./plan-switch.ts";
import { innerPeerFaults, tunnelOf } from "./tunnel.ts";
import type { CreateNetwork, NetworkOptions, RequestedPool } from "./requests.ts";

/**
 * Reads the options alone, as far as they can be judged without addresses.
 *
 * @throws TsnetError `invalid` with all faults.
 */
export function planOptions(request: NetworkOptions): NetworkSettings {
  const { settings, faults } = readNetworkOptions(request.options);
  const all = faults.length > 0 ? faults : switchFaults(settings);
  if (all.length > 0) throw new TsnetError("invalid", all.join("; "));
  return settings;
}

/**
 * Reads a whole request.
 *
 * @throws TsnetError `invalid` or `unsupported` with all faults.
 */
export function planNetwork(request: CreateNetwork): PlannedNetwork {
  const { settings, faults } = readNetworkOptions(request.options);
  return planSettings(request, settings, faults);
}

/** What `planSettings` goes by besides the settings. */
export interface PlanBase extends Omit<CreateNetwork, "options"> {
  /** Before IPAM is asked: that there are no pools is no fault. */
  readonly arePoolsToCome?: boolean;
}

/**
 * The same for options that are read already.
 *
 * @param optionFaults - what is wrong with them; the settings are complete only without any.
 * @throws TsnetError `invalid` or `unsupported` with all faults.
 */
export function planSettings(
  request: PlanBase,
  settings: NetworkSettings,
  optionFaults: readonly string[] = [],
): PlannedNetwork {
  const { pools, faults: poolFaults } = readPools(request.pools);
  const { backend, bridge, datapath, parent, mtu, routes, "host-binding": hostBinding } = settings;
  const mode = modeOf(settings);
  const vlans = pickVlans(settings);
  const tunnel = tunnelOf(settings);
  const isAddressMoved = settings["parent-address"] === "move";
  const hasIpv6 = request.hasIpv6 || pools.some(({ subnet }) => subnet.includes(":"));
  const planned: PlannedNetwork = {
    id: request.networkId,
    mode,
    isInternal: request.isInternal,
    isHostOnSwitch: mode === "nat" || mode === "routed",
    switchMac: hashedMac(request.networkId),
    backend,
    requested: {
      ...(bridge !== undefined && { bridge }),
      ...(datapath !== undefined && { datapath }),
      ...(mtu !== undefined && { mtu }),
      ...(tunnel !== undefined && { tunnel }),
    },
    vlans,
    isVlanShared: settings["shared-vlan"],
    ...(parent !== undefined && { uplink: { parent, isAddressMoved } }),
    switchSettings: switchSettingsOf(settings),
    isMasqueraded: mode === "nat" && settings.masquerade,
    isIccAllowed: settings.icc,
    isGuarded: settings.antispoof ?? settings.trunk === undefined,
    ...(hostBinding !== undefined && { hostBinding }),
    hasDefaultRoute: settings.gateway === "auto",
    hasIpv6,
    ifPrefix: settings.ifprefix,
    routes,
    addressSpace: request.pools[0]?.addressSpace ?? "",
    pools: mode === "isolated" ? pools.map(({ subnet }) => ({ subnet })) : pools,
    auxAddresses: request.pools.flatMap(({ auxAddresses = [] }) => auxAddresses.map(bareAddress)),
  };
  const faults = [...optionFaults, ...poolFaults];
  if (optionFaults.length === 0) {
    const ofMode = modeFaults(planned, settings, request.arePoolsToCome);
    faults.push(...switchFaults(settings), ...ofMode, ...routeFaults(planned));
    faults.push(...innerPeerFaults(planned));
  }
  if (hasIpv6 && mtu !== undefined && mtu < 1280)
    faults.push(`option mtu: ${mtu} is too small for IPv6; permitted: 1280-65535`);
  if (faults.length > 0) throw new TsnetError("invalid", faults.join("; "));
  return planned;
}

/** @param text - an address with its prefix length. */
export function bareAddress(text: string): string {
  return formatAddress(parseAddressWithLength(text).address);
}

function readPools(requested: readonly RequestedPool[]): { pools: NetworkPool[]; faults: string[] } {
  const pools: NetworkPool[] = [];
  const faults: string[] = [];
  for (const { subnet, gateway } of requested) {
    if (/^(0\.0\.0\.0|::)\/0$/.test(subnet)) continue; // the null IPAM
    try {
      const parsed = parseSubnet(subnet);
      const bare = gateway === undefined ? undefined : parseAddressWithLength(gateway).address;
      if (bare !== undefined && !contains(parsed, bare)) faults.push(`gateway ${gateway} is outside ${subnet}`);
      pools.push({ subnet: formatSubnet(parsed), ...(bare && { gateway: formatAddress(bare) }) });
    } catch (fault) {
      faults.push(messageOf(fault));
    }
  }
  pools.forEach((pool, i) => {
    const other = pools.slice(0, i).find((earlier) => overlaps(parseSubnet(earlier.subnet), parseSubnet(pool.subnet)));
    if (other !== undefined) faults.push(`subnets ${other.subnet} and ${pool.subnet} overlap`);
  });
  return { pools, faults };
}

function modeFaults(network: PlannedNetwork, settings: NetworkSettings, arePoolsToCome = false): string[] {
  const faults: string[] = [];
  const { mode, pools, isInternal, isHostOnSwitch: needsHost } = network;
  if (needsHost && pools.length === 0 && !arePoolsToCome) {
    faults.push(`mode ${mode} needs addresses; with --ipam-driver null the modes l2 and isolated are permitted`);
  }
  const bare = needsHost ? pools.filter(({ gateway }) => gateway === undefined) : [];
  for (const { subnet } of bare) faults.push(`mode ${mode} needs a gateway address in ${subnet}`);
  if (isInternal && !needsHost) {
    faults.push(`--internal is permitted in the modes nat and routed; mode ${mode} has no host address to leave out`);
  }
  if (isInternal && needsHost && settings.parent !== undefined) {
    faults.push("--internal is not permitted with option parent, by which frames leave the host");
  }
  if (!settings.masquerade && mode !== "nat") faults.push("option masquerade: false is permitted in mode nat");
  if (settings["host-binding"] !== undefined && mode !== "nat") {
    faults.push(
      `option host-binding is permitted in mode nat; mode ${mode} publishes no port on an address of the host`,
    );
  }
  return faults;
}

function routeFaults(network: PlannedNetwork): string[] {
  const subnets = network.pools.map(({ subnet }) => parseSubnet(subnet));
  const faults: string[] = [];
  for (const { destination, via } of network.routes) {
    const [target, hop] = [parseSubnet(destination), parseAddress(via)];
    if (!subnets.some((subnet) => contains(subnet, hop))) {
      faults.push(`option routes: ${via} is in no subnet of the network (${listed(subnets)})`);
    }
    const own = subnets.find((subnet) => overlaps(subnet, target));
    if (own !== undefined) faults.push(`option routes: ${destination} overlaps the network's own ${formatSubnet(own)}`);
  }
  return faults;
}

/** The subnets of a message. */
export function listed(subnets: readonly Subnet[]): string {
  return subnets.length === 0 ? "it has none" : subnets.map(formatSubnet).join(", ");
}

// Turns a request into the network or endpoint that it asks for, and refuses what cannot be: everything here happens
// before the first change. Faults of one kind are collected into one message.
import {
  type Address,
  type Family,
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
import type { Endpoint } from "./endpoint.ts";
import { deriveMac, hashedMac } from "./mac.ts";
import type { Network, NetworkPool } from "./network.ts";
import { type NetworkSettings, parseEndpointOptions, readNetworkOptions } from "./options.ts";
import { short } from "./registry.ts";
import type { CreateEndpoint, CreateNetwork, NetworkOptions, RequestedPool } from "./requests.ts";

/** A network without its place on a switch, which `placeNetwork` finds on the host. */
export type PlannedNetwork = Omit<Network, "switchName" | "isSwitchOurs" | "keptAddresses">;

/**
 * Reads the options alone, as far as they can be judged without addresses.
 *
 * @throws TsnetError `invalid` with all faults.
 */
export function planOptions(request: NetworkOptions): NetworkSettings {
  const { settings, faults } = readNetworkOptions(request.options);
  if (faults.length > 0) throw new TsnetError("invalid", faults.join("; "));
  return settings;
}

/**
 * Reads a whole request.
 *
 * @throws TsnetError `invalid` or `unsupported` with all faults.
 */
export function planNetwork(request: CreateNetwork): { planned: PlannedNetwork; settings: NetworkSettings } {
  const { settings, faults: optionFaults } = readNetworkOptions(request.options);
  const { pools, faults: poolFaults } = readPools(request.pools);
  const { mode, mtu, routes, "host-binding": hostBinding } = settings;
  const hasIpv6 = request.hasIpv6 || pools.some(({ subnet }) => subnet.includes(":"));
  const planned: PlannedNetwork = {
    id: request.networkId,
    mode,
    isInternal: request.isInternal,
    isHostOnSwitch: mode === "nat" || mode === "routed",
    switchMac: hashedMac(request.networkId),
    backend: settings.backend,
    mtu,
    isMasqueraded: mode === "nat" && settings.masquerade,
    isIccAllowed: settings.icc,
    isGuarded: settings.antispoof,
    ...(hostBinding !== undefined && { hostBinding }),
    hasDefaultRoute: settings.gateway === "auto",
    hasIpv6,
    ifPrefix: settings.ifprefix,
    routes,
    addressSpace: request.pools[0]?.addressSpace ?? "",
    pools: mode === "isolated" ? pools.map(({ subnet }) => ({ subnet })) : pools,
  };
  const faults = [...optionFaults, ...poolFaults];
  if (optionFaults.length === 0) faults.push(...modeFaults(planned, settings), ...routeFaults(planned));
  if (hasIpv6 && mtu < 1280) faults.push(`option mtu: ${mtu} is too small for IPv6; permitted: 1280-65535`);
  if (faults.length > 0) throw new TsnetError("invalid", faults.join("; "));
  return { planned, settings };
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

function modeFaults(network: PlannedNetwork, settings: NetworkSettings): string[] {
  const faults: string[] = [];
  const { mode, pools, isInternal, isHostOnSwitch: needsHost } = network;
  if (needsHost && pools.length === 0) {
    faults.push(`mode ${mode} needs addresses; with --ipam-driver null the modes l2 and isolated are permitted`);
  }
  const bare = needsHost ? pools.filter(({ gateway }) => gateway === undefined) : [];
  for (const { subnet } of bare) faults.push(`mode ${mode} needs a gateway address in ${subnet}`);
  if (isInternal && !needsHost) {
    faults.push(`--internal is permitted in the modes nat and routed; mode ${mode} has no host address to leave out`);
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

/**
 * Refuses a network whose subnets meet those of another one, if the host routes for either of them.
 *
 * @throws TsnetError `conflict` that names the other network.
 */
export function refuseOverlap(planned: PlannedNetwork, others: readonly Network[]): void {
  for (const other of others) {
    if (other.id === planned.id || !(other.isHostOnSwitch || planned.isHostOnSwitch)) continue;
    for (const { subnet } of planned.pools) {
      const met = other.pools.find((pool) => overlaps(parseSubnet(pool.subnet), parseSubnet(subnet)));
      if (met === undefined) continue;
      const why = "where the host routes for a network (modes nat and routed) no other may have its addresses";
      throw new TsnetError("conflict", `subnet ${subnet} overlaps ${met.subnet} of network ${short(other.id)}; ${why}`);
    }
  }
}

/**
 * Reads a `CreateEndpoint` for a network.
 *
 * @throws TsnetError `invalid` with all faults.
 */
export function planEndpoint(
  request: CreateEndpoint,
  network: Network,
): Omit<Endpoint, "hostIfName" | "sandboxIfName"> {
  const { networkId, endpointId, address, addressIpv6 } = request;
  const settings = parseEndpointOptions(request.options);
  const faults = [...addressFaults(address, 4, network), ...addressFaults(addressIpv6, 6, network)];
  if (settings.mtu !== undefined && settings.mtu > network.mtu) {
    faults.push(`option mtu: ${settings.mtu} is more than the network's ${network.mtu}`);
  } else if (settings.mtu !== undefined && settings.mtu < 1280 && addressIpv6 !== undefined) {
    faults.push(`option mtu: ${settings.mtu} is too small for IPv6; permitted: 1280-${network.mtu}`);
  }
  if (request.mac !== undefined && !isUnicastMac(request.mac)) {
    faults.push(`MAC address ${request.mac} is no unicast address: the second digit must be even and not all may be 0`);
  }
  if (faults.length > 0) throw new TsnetError("invalid", faults.join("; "));
  const [bare] = (address ?? "").split("/");
  const [bareIpv6] = (addressIpv6 ?? "").split("/");
  const derived = deriveMac({ ...(bare && { address: bare }), ...(bareIpv6 && { addressIpv6: bareIpv6 }), endpointId });
  return {
    networkId,
    endpointId,
    ...(address !== undefined && { address }),
    ...(addressIpv6 !== undefined && { addressIpv6 }),
    mac: (request.mac ?? derived).toLowerCase(),
    mtu: settings.mtu ?? network.mtu,
  };
}

function addressFaults(text: string | undefined, family: Family, network: Network): string[] {
  if (text === undefined) return [];
  let address: Address;
  try {
    address = parseAddressWithLength(text).address;
  } catch (fault) {
    return [messageOf(fault)];
  }
  if (address.family !== family) return [`${text} is no IPv${family} address`];
  const subnets = network.pools.map(({ subnet }) => parseSubnet(subnet));
  if (subnets.length === 0 || subnets.some((subnet) => contains(subnet, address))) return [];
  return [`address ${text} is in no subnet of the network (${listed(subnets)})`];
}

function isUnicastMac(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0 && /[1-9a-fA-F]/.test(mac);
}

function listed(subnets: readonly Subnet[]): string {
  return subnets.length === 0 ? "it has none" : subnets.map(formatSubnet).join(", ");
}

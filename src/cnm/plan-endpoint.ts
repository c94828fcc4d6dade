// Turns a `CreateEndpoint` into the endpoint that it asks for, and refuses what the network does not allow, before the first
// change. Faults are collected into one message.
import { type Address, type Family, contains, parseAddressWithLength, parseSubnet } from "../cidr.ts";
import { TsnetError, messageOf } from "../errors.ts";
import { type PortVlans, allVlans, formatVlanList, formatVlans, pickVlans } from "../vlan.ts";
import type { Endpoint } from "./endpoint.ts";
import { deriveMac } from "./mac.ts";
import type { Network } from "./network.ts";
import { type EndpointSettings, parseEndpointOptions } from "./options.ts";
import { listed } from "./plan.ts";
import { trunkFault } from "./plan-switch.ts";
import type { CreateEndpoint } from "./requests.ts";

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
  const vlans = vlansOf(settings, network);
  const { mtu = network.mtu } = settings;
  faults.push(...endpointFaults({ vlans, mtu, ...(addressIpv6 !== undefined && { addressIpv6 }) }, network));
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
    vlans,
    mtu,
  };
}

/** What of an endpoint the network does not allow, besides its addresses. */
export function endpointFaults(
  { vlans, mtu, addressIpv6 }: Pick<Endpoint, "vlans" | "mtu" | "addressIpv6">,
  network: Network,
): string[] {
  const faults = vlanFaults(vlans, network);
  if (mtu > network.mtu) {
    faults.push(`option mtu: ${mtu} is more than the network's ${network.mtu}`);
  } else if (mtu < 1280 && mtu !== network.mtu && addressIpv6 !== undefined) {
    faults.push(`option mtu: ${mtu} is too small for IPv6; permitted: 1280-${network.mtu}`);
  }
  return faults;
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

/** Of an endpoint that names VLANs, those and no others; else the network's. */
export function vlansOf(settings: EndpointSettings, network: Network): PortVlans {
  const own = pickVlans(settings);
  return allVlans(own).length === 0 ? network.vlans : own;
}

/** @param vlans - of the endpoint. */
function vlanFaults(vlans: PortVlans, network: Network): string[] {
  const permitted = allVlans(network.vlans);
  const strangers = allVlans(vlans).filter((id) => !permitted.includes(id));
  if (strangers.length > 0) {
    const which = permitted.length === 0 ? "the network has none" : `permitted: ${formatVlanList(permitted)}`;
    return [`VLAN ${formatVlanList(strangers)} is none of the network's; ${which}`];
  }
  const overlap = trunkFault(vlans);
  if (overlap !== undefined) return [overlap];
  if (!network.isHostOnSwitch || vlans.vlan === network.vlans.vlan) return [];
  const where = `mode ${network.mode} has the gateway in VLAN ${network.vlans.vlan}, untagged at the container`;
  return [`${formatVlans(vlans)} does not reach the gateway: ${where}; permitted: vlan=${network.vlans.vlan}`];
}

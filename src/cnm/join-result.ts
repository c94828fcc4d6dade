// What the engine shall do in the sandbox of an endpoint that joins: gateways and routes.
import {
  bitsOf,
  contains,
  formatSubnet,
  halvesOf,
  parseAddress,
  parseAddressWithLength,
  parseSubnet,
  sizeOf,
  subnetOf,
} from "../cidr.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Network, NetworkPool } from "./network.ts";
import type { JoinResult } from "./requests.ts";

/** In a subnet of two there is the gateway and one endpoint. */
const SMALLEST_WITH_PEERS = 4n;

/** The answer to `Join`. The gateway of each family is that of the subnet in which the endpoint's address lies. */
export function joinResult(network: Network, endpoint: Endpoint): JoinResult {
  const hasGateway = network.hasDefaultRoute && !network.isInternal && network.mode !== "isolated";
  const gateway = hasGateway ? poolOf(network, endpoint.address)?.gateway : undefined;
  const gatewayIpv6 = hasGateway ? poolOf(network, endpoint.addressIpv6)?.gateway : undefined;
  return {
    sourceName: endpoint.sandboxIfName,
    destinationPrefix: network.ifPrefix,
    ...(gateway && { gateway }),
    ...(gatewayIpv6 && { gatewayIpv6 }),
    routes: [...network.routes.filter(({ via }) => isNextHop(via, endpoint)), ...detours(network, endpoint)],
    isGatewayServiceDisabled: gateway === undefined,
  };
}

/**
 * With icc=false nothing passes from port to port. In mode routed, where published ports are reached at the container's own
 * address, endpoints find one another by way of the host: two routes that are more specific than that of the interface, and
 * one to the host itself, since Linux takes no IPv6 gateway that lies behind another gateway.
 */
function detours(network: Network, endpoint: Endpoint): JoinResult["routes"] {
  if (!hasDetours(network)) return [];
  return [endpoint.address, endpoint.addressIpv6].flatMap((own) => {
    const pool = poolOf(network, own);
    if (pool?.gateway === undefined) return [];
    const subnet = parseSubnet(pool.subnet);
    if (sizeOf(subnet) < SMALLEST_WITH_PEERS) return [];
    const via = pool.gateway;
    const host = formatSubnet(subnetOf(parseAddress(via), bitsOf(subnet.family)));
    return [{ destination: host }, ...halvesOf(subnet).map((half) => ({ destination: formatSubnet(half), via }))];
  });
}

/** Whether endpoints find one another by way of the host. */
export function hasDetours({ mode, isIccAllowed, isInternal }: Network): boolean {
  return mode === "routed" && !isIccAllowed && !isInternal;
}

/** The pool in which an endpoint's address lies. @param address - with its prefix length; absent if it has none. */
export function poolOf(network: Network, address: string | undefined): NetworkPool | undefined {
  if (address === undefined) return undefined;
  const bare = parseAddressWithLength(address).address;
  return network.pools.find(({ subnet }) => contains(parseSubnet(subnet), bare));
}

/** Whether the endpoint can send by that router: it lies in the endpoint's own subnet and is another endpoint. */
export function isNextHop(via: string, endpoint: Pick<Endpoint, "address" | "addressIpv6">): boolean {
  const own = via.includes(":") ? endpoint.addressIpv6 : endpoint.address;
  if (own === undefined) return false;
  const { address, prefixLength } = parseAddressWithLength(own);
  const hop = parseAddress(via);
  return hop.value !== address.value && contains(subnetOf(address, prefixLength), hop);
}

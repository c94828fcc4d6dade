// What the engine shall do in the sandbox of an endpoint that joins: gateways and routes.
import { contains, parseAddress, parseAddressWithLength, parseSubnet, subnetOf } from "../cidr.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Network } from "./network.ts";
import type { JoinResult } from "./requests.ts";

/** The answer to `Join`. The gateway of each family is that of the subnet in which the endpoint's address lies. */
export function joinResult(network: Network, endpoint: Endpoint): JoinResult {
  const hasGateway = network.hasDefaultRoute && !network.isInternal && network.mode !== "isolated";
  const gateway = hasGateway ? gatewayOf(network, endpoint.address) : undefined;
  const gatewayIpv6 = hasGateway ? gatewayOf(network, endpoint.addressIpv6) : undefined;
  return {
    sourceName: endpoint.sandboxIfName,
    destinationPrefix: network.ifPrefix,
    ...(gateway && { gateway }),
    ...(gatewayIpv6 && { gatewayIpv6 }),
    routes: network.routes.filter(({ via }) => isNextHop(via, endpoint)),
    isGatewayServiceDisabled: gateway === undefined,
  };
}

function gatewayOf(network: Network, address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  const bare = parseAddressWithLength(address).address;
  return network.pools.find(({ subnet }) => contains(parseSubnet(subnet), bare))?.gateway;
}

/** Whether the endpoint can send by that router: it lies in the endpoint's own subnet and is another endpoint. */
function isNextHop(via: string, endpoint: Endpoint): boolean {
  const own = via.includes(":") ? endpoint.addressIpv6 : endpoint.address;
  if (own === undefined) return false;
  const { address, prefixLength } = parseAddressWithLength(own);
  const hop = parseAddress(via);
  return hop.value !== address.value && contains(subnetOf(address, prefixLength), hop);
}

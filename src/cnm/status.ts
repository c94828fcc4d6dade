// What tsnet says of itself: networks, endpoints and published ports as the operator sees them, out of the records. What
// is of use to tsnet alone, such as sandboxes and what an endpoint asked for, stays inside.
import type { Network } from "./network.ts";
import type { EndpointRecord, Registry } from "./registry.ts";
import type { CnmStatus, EndpointStatus, NetworkStatus } from "./requests.ts";

/** Networks, endpoints and ports together that one answer has at most: some 3 MB of JSON. */
const MAX_ENTRIES = 20_000;

/** What is published by an endpoint, and where it is. */
export function statusOfEndpoint({ endpoint, state, ports = [], attachment }: EndpointRecord): EndpointStatus {
  const { endpointId, address, addressIpv6, mac, mtu, hostIfName, vlans } = endpoint;
  const addresses = [address, addressIpv6].filter((text) => text !== undefined);
  const more = attachment === undefined ? {} : { attachment };
  return { id: endpointId, state, addresses, mac, mtu, hostLink: hostIfName, ...vlans, ports, ...more };
}

/** @param maxEntries - networks, endpoints and ports that are listed at most. */
export function statusOf(registry: Registry, maxEntries = MAX_ENTRIES): CnmStatus {
  const damage = registry.damage.lines();
  return { ...(damage.length > 0 && { damage: damage.slice(0, maxEntries) }), ...listOf(registry, maxEntries) };
}

function listOf(registry: Registry, maxEntries: number): CnmStatus {
  const byNetwork = Map.groupBy(registry.endpoints(), ({ endpoint }) => endpoint.networkId);
  const networks: NetworkStatus[] = [];
  let left = maxEntries;
  for (const { network, state } of registry.networks()) {
    const endpoints: EndpointStatus[] = [];
    if (left < 1) return { networks, isComplete: false };
    left -= 1;
    networks.push({ id: network.id, state, ...statusOfNetwork(network), endpoints });
    for (const record of byNetwork.get(network.id) ?? []) {
      left -= 1 + (record.ports?.length ?? 0);
      if (left < 0) return { networks, isComplete: false };
      endpoints.push(statusOfEndpoint(record));
    }
  }
  return { networks, isComplete: true };
}

function statusOfNetwork(network: Network): Omit<NetworkStatus, "id" | "state" | "endpoints"> {
  const { mode, isInternal, backend, switchName, vlans, uplink, tunnel, mtu, pools } = network;
  const { isIccAllowed, isGuarded, ifPrefix, hostBinding } = network;
  return {
    mode,
    isInternal,
    backend,
    switch: switchName,
    ...vlans,
    ...(uplink !== undefined && { parent: uplink.parent }),
    ...(tunnel !== undefined && { tunnel }),
    mtu,
    ifPrefix,
    subnets: pools.map(({ subnet }) => subnet),
    icc: isIccAllowed,
    antispoof: isGuarded,
    ...(hostBinding !== undefined && { hostBinding }),
  };
}

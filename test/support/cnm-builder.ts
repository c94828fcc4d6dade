// Networks, endpoints and requests for the tests of `cnm/` and of its implementers.
import { createHash } from "node:crypto";
import type { Endpoint, EndpointId } from "../../src/cnm/endpoint.ts";
import { hashedMac } from "../../src/cnm/mac.ts";
import { endpointNames, hostLinkName, switchNames } from "../../src/cnm/names.ts";
import type { IfName, Network, NetworkId, NetworkMode } from "../../src/cnm/network.ts";
import type { CreateEndpoint, CreateNetwork, Join, RequestedPool } from "../../src/cnm/requests.ts";

/** The id of the n-th network of a test: 64 hex digits that differ from the first one on. */
export function networkId(n = 1): NetworkId {
  return createHash("sha256").update(`network ${n}`).digest("hex") as NetworkId; // of the right form
}

/** The id of the n-th endpoint of a test. */
export function endpointId(n = 1): EndpointId {
  return createHash("sha256").update(`endpoint ${n}`).digest("hex") as EndpointId; // of the right form
}

/** A name that the test itself vouches for. */
export function ifName(text: string): IfName {
  return text as IfName; // that is what this function is for
}

/** The pool of the n-th network: 10.1.N.0/24 with its first address as the gateway. */
export function pool4(n = 1): RequestedPool {
  return { addressSpace: "LocalDefault", subnet: `10.1.${n}.0/24`, gateway: `10.1.${n}.1/24` };
}

/** The same for IPv6: fd00:1:N::/64. */
export function pool6(n = 1): RequestedPool {
  return { addressSpace: "LocalDefault", subnet: `fd00:1:${n}::/64`, gateway: `fd00:1:${n}::1/64` };
}

/** A CreateNetwork as `api/` hands it on. @param options - as with `-o`. */
export function networkRequest(
  n = 1,
  options: Readonly<Record<string, string>> = {},
  more: Partial<CreateNetwork> = {},
): CreateNetwork {
  return {
    networkId: networkId(n),
    options: new Map(Object.entries(options)),
    isInternal: false,
    hasIpv4: true,
    hasIpv6: false,
    pools: [pool4(n)],
    ...more,
  };
}

/** A CreateEndpoint of the n-th endpoint on the network `on`, with the address 10.1.ON.(n+1). */
export function endpointRequest(n = 1, on = 1, more: Partial<CreateEndpoint> = {}): CreateEndpoint {
  return {
    networkId: networkId(on),
    endpointId: endpointId(n),
    address: `10.1.${on}.${n + 1}/24`,
    options: new Map(),
    ...more,
  };
}

/** A Join of the n-th endpoint on the network `on`. */
export function joinRequest(n = 1, on = 1, sandboxKey = `/var/run/docker/netns/${n}`): Join {
  return { networkId: networkId(on), endpointId: endpointId(n), sandboxKey };
}

/** A planned and placed network, as records have it. */
export function network(n = 1, more: Partial<Network> = {}): Network {
  const mode: NetworkMode = more.mode ?? "nat";
  const isHostOnSwitch = mode === "nat" || mode === "routed";
  const [switchName = ifName("none")] = switchNames(networkId(n));
  return {
    id: networkId(n),
    mode,
    addressSpace: "LocalDefault",
    isInternal: false,
    isHostOnSwitch,
    backend: "bridge",
    requested: {},
    datapathType: "auto",
    switchName,
    hostLink: hostLinkName(more.backend ?? "bridge", more.switchName ?? switchName, more.vlans ?? {}),
    vlans: {},
    isVlanShared: false,
    switchSettings: {},
    isSwitchOurs: true,
    switchMac: hashedMac(networkId(n)),
    keptAddresses: [],
    mtu: 1500,
    isMasqueraded: mode === "nat",
    isIccAllowed: true,
    isGuarded: true,
    hasDefaultRoute: true,
    hasIpv6: false,
    ifPrefix: "eth",
    routes: [],
    pools: [mode === "isolated" ? { subnet: `10.1.${n}.0/24` } : { subnet: `10.1.${n}.0/24`, gateway: `10.1.${n}.1` }],
    ...more,
  };
}

/** The same with IPv6 besides. */
export function dualStack(n = 1, more: Partial<Network> = {}): Network {
  const plain = network(n, more);
  const [pool] = plain.pools;
  const withGateway = pool?.gateway === undefined ? {} : { gateway: `fd00:1:${n}::1` };
  return { ...plain, hasIpv6: true, pools: [...plain.pools, { subnet: `fd00:1:${n}::/64`, ...withGateway }] };
}

/** The n-th endpoint on the network `on`, as records have it. */
export function endpoint(n = 1, on = 1, more: Partial<Endpoint> = {}): Endpoint {
  const [names] = endpointNames(endpointId(n));
  if (names === undefined) throw new Error("an endpoint has names");
  return {
    networkId: networkId(on),
    endpointId: endpointId(n),
    address: `10.1.${on}.${n + 1}/24`,
    mac: `02:42:0a:01:${hex(on)}:${hex(n + 1)}`,
    vlans: {},
    mtu: 1500,
    hostIfName: names.host,
    sandboxIfName: names.sandbox,
    ...more,
  };
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

// The bodies of the NetworkDriver calls and of their answers, as the engine writes and reads them, and the way from
// them to `cnm/requests.ts` and back. PascalCase and option keys end here.
//
// Follows moby daemon/libnetwork/drivers/remote/api/api.go and cnm-protocol.md sections 2 and 4. Lists and maps may be
// null or missing, texts and flags that the engine always writes may not; unknown fields pass.
import { type Static, Type } from "typebox";
import type { EndpointRef } from "../cnm/endpoint.ts";
import type { NetworkId } from "../cnm/network.ts";
import type {
  CreateEndpoint,
  CreateNetwork,
  Join,
  JoinResult,
  NetworkOptions,
  ProgramExternalConnectivity,
  RequestedPool,
} from "../cnm/requests.ts";
import {
  Cidr,
  CidrOrEmpty,
  EndpointIdText,
  MacOrEmpty,
  NetworkIdText,
  NonEmptyText,
  OptionKey,
  MAX_OPTIONS,
  StringMap,
  Text,
  absentable,
  mapOf,
  presentText,
  toMap,
} from "./fields.ts";
import { PORT_LISTS, parsePortMap } from "./port-messages.ts";

const ENGINE_KEY_PREFIX = "com.docker.network.";
const GENERIC = "com.docker.network.generic";
const NO_PROXY_6TO4 = "com.docker.network.driver.private.no_proxy_6to4";

const NetworkOptionsMessage = Type.Object({
  [GENERIC]: absentable(StringMap),
  "com.docker.network.enable_ipv4": Type.Optional(Type.Boolean()),
  "com.docker.network.enable_ipv6": Type.Optional(Type.Boolean()),
  "com.docker.network.internal": Type.Optional(Type.Boolean()),
});

/** The driver options of an endpoint stand beside keys of the engine's own, whose values have any form. */
const EndpointOptionsMessage = Type.Object(PORT_LISTS, {
  maxProperties: MAX_OPTIONS,
  propertyNames: OptionKey,
  patternProperties: { "^(?!com\\.docker\\.network\\.)": Text },
});

/** The options of the container, the same for all its networks. */
const SandboxOptionsMessage = Type.Object(PORT_LISTS);

/** The same, and a word of the engine to its own bridge driver that is of use here too. */
const GatewayOptionsMessage = Type.Object({ ...PORT_LISTS, [NO_PROXY_6TO4]: Type.Optional(Type.Unknown()) });

const PoolMessage = Type.Object({
  AddressSpace: Text,
  Pool: Cidr,
  Gateway: Type.Optional(CidrOrEmpty),
  AuxAddresses: absentable(mapOf(Cidr)),
});

const ids = { NetworkID: NetworkIdText, EndpointID: EndpointIdText };
const pools = { IPv4Data: absentable(Type.Array(PoolMessage)), IPv6Data: absentable(Type.Array(PoolMessage)) };

/** `GwAllocCheck`. */
export const GatewayCheckMessage = Type.Object({ Options: absentable(NetworkOptionsMessage) });
/** `AllocateNetwork`: the user's options stand flat in `Options`. */
export const AllocateNetworkMessage = Type.Object({
  NetworkID: NetworkIdText,
  Options: absentable(StringMap),
  ...pools,
});
/** `CreateNetwork`. */
export const CreateNetworkMessage = Type.Object({
  NetworkID: NetworkIdText,
  Options: absentable(NetworkOptionsMessage),
  ...pools,
});
/** `DeleteNetwork`, `FreeNetwork`. */
export const NetworkMessage = Type.Object({ NetworkID: NetworkIdText });
/** `CreateEndpoint`. */
export const CreateEndpointMessage = Type.Object({
  ...ids,
  Interface: Type.Object({
    Address: Type.Optional(CidrOrEmpty),
    AddressIPv6: Type.Optional(CidrOrEmpty),
    MacAddress: Type.Optional(MacOrEmpty),
  }),
  Options: absentable(EndpointOptionsMessage),
});
/** `DeleteEndpoint`, `EndpointOperInfo`, `Leave`, `RevokeExternalConnectivity`. */
export const EndpointMessage = Type.Object(ids);
/** `Join`. */
export const JoinMessage = Type.Object({
  ...ids,
  SandboxKey: NonEmptyText,
  Options: absentable(SandboxOptionsMessage),
});
/** `ProgramExternalConnectivity`. */
export const ExternalConnectivityMessage = Type.Object({ ...ids, Options: absentable(GatewayOptionsMessage) });
/** `DiscoverNew`, `DiscoverDelete`: nothing in it is used. */
export const DiscoveryMessage = Type.Object({
  DiscoveryType: Type.Integer(),
  DiscoveryData: Type.Optional(Type.Unknown()),
});

/** The answer to `GetCapabilities`: networks are local to this host, and `GwAllocCheck` shall be asked. */
export const CAPABILITIES = { Scope: "local", ConnectivityScope: "local", GwAllocChecker: true } as const;

/** Reads the options of `CreateNetwork` and `GwAllocCheck`. A missing `enable_ipv4` means true: engines before 28. */
export function parseNetworkOptions(message: Static<typeof NetworkOptionsMessage> | null | undefined): NetworkOptions {
  return Object.freeze({
    options: toMap(message?.[GENERIC]),
    isInternal: message?.["com.docker.network.internal"] ?? false,
    hasIpv4: message?.["com.docker.network.enable_ipv4"] ?? true,
    hasIpv6: message?.["com.docker.network.enable_ipv6"] ?? false,
  });
}

/** Reads `CreateNetwork`; the IPv4 pools come before the IPv6 ones, each family in the engine's order. */
export function parseCreateNetwork(message: Static<typeof CreateNetworkMessage>): CreateNetwork {
  const poolMessages = [...(message.IPv4Data ?? []), ...(message.IPv6Data ?? [])];
  return Object.freeze({
    networkId: message.NetworkID,
    ...parseNetworkOptions(message.Options),
    pools: Object.freeze(poolMessages.map(parsePool)),
  });
}

function parsePool(message: Static<typeof PoolMessage>): RequestedPool {
  const gateway = presentText(message.Gateway);
  const auxAddresses = Object.values(message.AuxAddresses ?? {});
  return Object.freeze({
    addressSpace: message.AddressSpace,
    subnet: message.Pool,
    ...(gateway !== undefined && { gateway }),
    ...(auxAddresses.length > 0 && { auxAddresses: Object.freeze(auxAddresses) }),
  });
}

/** Reads the one id of `DeleteNetwork`. */
export function parseNetworkId(message: Static<typeof NetworkMessage>): NetworkId {
  return message.NetworkID;
}

/** Reads both ids. */
export function parseEndpointRef(message: Static<typeof EndpointMessage>): EndpointRef {
  return Object.freeze({ networkId: message.NetworkID, endpointId: message.EndpointID });
}

/** Reads `CreateEndpoint`; fields of the interface that are "" become absent. */
export function parseCreateEndpoint(message: Static<typeof CreateEndpointMessage>): CreateEndpoint {
  const address = presentText(message.Interface.Address);
  const addressIpv6 = presentText(message.Interface.AddressIPv6);
  const mac = presentText(message.Interface.MacAddress);
  const portMap = parsePortMap(message.Options);
  return Object.freeze({
    ...parseEndpointRef(message),
    ...(address !== undefined && { address }),
    ...(addressIpv6 !== undefined && { addressIpv6 }),
    ...(mac !== undefined && { mac }),
    options: parseDriverOptions(message.Options),
    ...(portMap.length > 0 && { portMap }),
  });
}

function parseDriverOptions(message: object | null | undefined): ReadonlyMap<string, string> {
  const entries: readonly [string, unknown][] = Object.entries(message ?? {});
  return new Map(entries.filter(isDriverOption));
}

function isDriverOption(entry: readonly [string, unknown]): entry is [string, string] {
  return !entry[0].startsWith(ENGINE_KEY_PREFIX) && typeof entry[1] === "string";
}

/** Reads `Join`. */
export function parseJoin(message: Static<typeof JoinMessage>): Join {
  return Object.freeze({ ...parseEndpointRef(message), sandboxKey: message.SandboxKey });
}

/** Reads `ProgramExternalConnectivity`. */
export function parseExternalConnectivity(
  message: Static<typeof ExternalConnectivityMessage>,
): ProgramExternalConnectivity {
  return Object.freeze({
    ...parseEndpointRef(message),
    portMap: parsePortMap(message.Options),
    isHostIpv6Elsewhere: message.Options?.[NO_PROXY_6TO4] === true,
  });
}

/** The answer to `CreateEndpoint`. The engine refuses any field that it had set itself, even to the same value. */
export function formatCreateEndpoint(request: CreateEndpoint, mac: string | undefined): object {
  if (mac === undefined || request.mac !== undefined) return {};
  return { Interface: { MacAddress: mac } };
}

/** libnetwork/types: `NEXTHOP` and `CONNECTED`. */
const ROUTE_TYPE = { nextHop: 0, connected: 1 } as const;

/** The answer to `Join`: bare gateways, and routes by a next hop or on the link itself. */
export function formatJoin(result: JoinResult): object {
  return {
    InterfaceName: { SrcName: result.sourceName, DstPrefix: result.destinationPrefix },
    ...(result.gateway !== undefined && { Gateway: result.gateway }),
    ...(result.gatewayIpv6 !== undefined && { GatewayIPv6: result.gatewayIpv6 }),
    StaticRoutes: result.routes.map(({ destination, via }) => ({
      Destination: destination,
      RouteType: via === undefined ? ROUTE_TYPE.connected : ROUTE_TYPE.nextHop,
      NextHop: via ?? "",
    })),
    ...(result.isGatewayServiceDisabled && { DisableGatewayService: true }),
  };
}

// The NetworkDriver verbs, all that moby's daemon/libnetwork/drivers/remote/driver.go calls: which message each one
// reads, which method of the driver it is, what it answers. What the answers look like is in `cnm-messages.ts`.
import type { Static } from "typebox";
import type { CnmDriver } from "../cnm/requests.ts";
import { TsnetError } from "../errors.ts";
import {
  AllocateNetworkMessage,
  CAPABILITIES,
  CreateEndpointMessage,
  CreateNetworkMessage,
  DiscoveryMessage,
  EndpointMessage,
  ExternalConnectivityMessage,
  GatewayCheckMessage,
  JoinMessage,
  NetworkMessage,
  formatCreateEndpoint,
  formatJoin,
  parseCreateEndpoint,
  parseCreateNetwork,
  parseEndpointRef,
  parseExternalConnectivity,
  parseJoin,
  parseNetworkId,
  parseNetworkOptions,
} from "./cnm-messages.ts";
import { formatOperationalInfo } from "./port-messages.ts";
import { type Verb, constantVerb, statefulVerb, statelessVerb } from "./verb.ts";

const DONE = {};

/** All NetworkDriver verbs. */
export function cnmVerbs(cnm: CnmDriver): readonly Verb[] {
  return [...engineVerbs(), ...networkVerbs(cnm), ...endpointVerbs(cnm), ...sandboxVerbs(cnm)];
}

/** Verbs about the driver as a whole and about the nodes of a swarm; those need none of tsnet's records. */
function engineVerbs(): readonly Verb[] {
  return [
    constantVerb("NetworkDriver.GetCapabilities", CAPABILITIES),
    statelessVerb("NetworkDriver.DiscoverNew", DiscoveryMessage, () => DONE),
    statelessVerb("NetworkDriver.DiscoverDelete", DiscoveryMessage, () => DONE),
  ];
}

function networkVerbs(cnm: CnmDriver): readonly Verb[] {
  return [
    statefulVerb("NetworkDriver.AllocateNetwork", AllocateNetworkMessage, () => {
      throw new TsnetError(
        "unsupported",
        "networks of a swarm are not supported: tsnet's networks are local to a host",
      );
    }),
    // Nothing was allocated.
    statefulVerb("NetworkDriver.FreeNetwork", NetworkMessage, () => DONE),
    statefulVerb("NetworkDriver.GwAllocCheck", GatewayCheckMessage, (message: Static<typeof GatewayCheckMessage>) => {
      const skip = cnm.checkGatewayAllocation(parseNetworkOptions(message.Options));
      return { SkipIPv4: skip.skipIpv4, SkipIPv6: skip.skipIpv6 };
    }),
    statefulVerb(
      "NetworkDriver.CreateNetwork",
      CreateNetworkMessage,
      async (message: Static<typeof CreateNetworkMessage>, signal) => {
        await cnm.createNetwork(parseCreateNetwork(message), signal);
        return DONE;
      },
    ),
    statefulVerb("NetworkDriver.DeleteNetwork", NetworkMessage, async (message: Static<typeof NetworkMessage>) => {
      await cnm.deleteNetwork(parseNetworkId(message));
      return DONE;
    }),
  ];
}

function endpointVerbs(cnm: CnmDriver): readonly Verb[] {
  return [
    statefulVerb(
      "NetworkDriver.CreateEndpoint",
      CreateEndpointMessage,
      async (message: Static<typeof CreateEndpointMessage>, signal) => {
        const request = parseCreateEndpoint(message);
        const { mac } = await cnm.createEndpoint(request, signal);
        return formatCreateEndpoint(request, mac);
      },
    ),
    statefulVerb("NetworkDriver.DeleteEndpoint", EndpointMessage, async (message: Static<typeof EndpointMessage>) => {
      await cnm.deleteEndpoint(parseEndpointRef(message));
      return DONE;
    }),
    // Answered from memory, during recovery too: the engine holds the container's lock meanwhile, and before version 28
    // a container does not start when this fails (cnm-protocol.md 2.7).
    statelessVerb("NetworkDriver.EndpointOperInfo", EndpointMessage, (message: Static<typeof EndpointMessage>) =>
      formatOperationalInfo(cnm.describeEndpoint(parseEndpointRef(message))),
    ),
  ];
}

function sandboxVerbs(cnm: CnmDriver): readonly Verb[] {
  return [
    statefulVerb("NetworkDriver.Join", JoinMessage, async (message: Static<typeof JoinMessage>, signal) =>
      formatJoin(await cnm.join(parseJoin(message), signal)),
    ),
    statefulVerb("NetworkDriver.Leave", EndpointMessage, async (message: Static<typeof EndpointMessage>) => {
      await cnm.leave(parseEndpointRef(message));
      return DONE;
    }),
    statefulVerb(
      "NetworkDriver.ProgramExternalConnectivity",
      ExternalConnectivityMessage,
      async (message: Static<typeof ExternalConnectivityMessage>, signal) => {
        await cnm.programExternalConnectivity(parseExternalConnectivity(message), signal);
        return DONE;
      },
    ),
    statefulVerb(
      "NetworkDriver.RevokeExternalConnectivity",
      EndpointMessage,
      async (message: Static<typeof EndpointMessage>) => {
        await cnm.revokeExternalConnectivity(parseEndpointRef(message));
        return DONE;
      },
    ),
  ];
}

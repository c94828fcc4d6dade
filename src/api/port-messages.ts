// Ports as the engine writes them in the options of an endpoint, a sandbox, and in what a driver says of an endpoint.
//
// Follows moby daemon/libnetwork/types, PortBinding and TransportPort (cnm-protocol.md 4.5).
import { type Static, Type } from "typebox";
import type { PublishedPort } from "../cnm/ports.ts";
import type { EndpointStatus, RequestedBinding } from "../cnm/requests.ts";
import { AddressOrEmpty, absentable } from "./fields.ts";

const PORT_MAP = "com.docker.network.portmap";
const EXPOSED_PORTS = "com.docker.network.endpoint.exposedports";

const PROTOCOL_NUMBER = Type.Integer({ minimum: 0, maximum: 255 });
const PORT_NUMBER = Type.Integer({ minimum: 0, maximum: 65_535 });

const PortBindingMessage = Type.Object({
  Proto: PROTOCOL_NUMBER,
  IP: Type.Optional(AddressOrEmpty),
  Port: PORT_NUMBER,
  HostIP: Type.Optional(AddressOrEmpty),
  HostPort: Type.Optional(PORT_NUMBER),
  HostPortEnd: Type.Optional(PORT_NUMBER),
});

const TransportPortMessage = Type.Object({ Proto: PROTOCOL_NUMBER, Port: PORT_NUMBER });

/** The fields of `Options` that have ports: what a container publishes, and what its image says it listens to. */
export const PORT_LISTS = {
  [PORT_MAP]: absentable(Type.Array(PortBindingMessage)),
  [EXPOSED_PORTS]: absentable(Type.Array(TransportPortMessage)),
};

interface OptionsWithPorts {
  readonly [PORT_MAP]?: readonly Static<typeof PortBindingMessage>[] | null;
}

/** Reads the port map; a missing one is empty. `IP` is not set by the engine: the address is the endpoint's own. */
export function parsePortMap(options: OptionsWithPorts | null | undefined): readonly RequestedBinding[] {
  const bindings = (options?.[PORT_MAP] ?? []).map((message) =>
    Object.freeze({
      protocol: message.Proto,
      containerPort: message.Port,
      hostAddress: message.HostIP ?? "",
      hostPort: message.HostPort ?? 0,
      hostPortEnd: message.HostPortEnd ?? 0,
    }),
  );
  return Object.freeze(bindings);
}

const NUMBER_OF = { tcp: 6, udp: 17, sctp: 132 } as const satisfies Record<PublishedPort["protocol"], number>;

/**
 * The answer to `EndpointOperInfo`: what is published, in the engine's own words. `HostIP` "" is every address of both
 * families, `HostPort` 0 a port that is open at the endpoint's own address (mode routed).
 *
 * @param endpoint - absent for one that tsnet does not know.
 */
export function formatOperationalInfo(endpoint: EndpointStatus | undefined): object {
  if (endpoint === undefined || endpoint.ports.length === 0) return { Value: {} };
  const ports = endpoint.ports.map((port) => formatBinding(port, endpoint));
  const exposed = new Map(ports.map(({ Proto, Port }) => [`${Proto} ${Port}`, { Proto, Port }]));
  return { Value: { [PORT_MAP]: ports, [EXPOSED_PORTS]: [...exposed.values()] } };
}

function formatBinding(port: PublishedPort, { addresses }: EndpointStatus) {
  const bare = addresses.map((address) => address.replace(/\/.*/, ""));
  const ofItsFamily = bare.find((address) => address.includes(":") === port.hostAddress.includes(":"));
  return {
    Proto: NUMBER_OF[port.protocol],
    IP: ofItsFamily ?? bare[0] ?? "",
    Port: port.containerPort,
    HostIP: port.hostAddress,
    HostPort: port.hostPort,
    HostPortEnd: port.hostPort,
  };
}

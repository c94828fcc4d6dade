// `tsnet ports`: what is published, whether this host really listens there, and to whom it is open.
import type { PublishedPort } from "../cnm/ports.ts";
import type { ListeningSocket } from "../host/listening-sockets.ts";
import { contains, parseAddress, parseSubnet } from "../cidr.ts";
import { type NamedEndpoint, type NamedNetwork, callEndpoint } from "./catalog.ts";
import { type CommonOptions, type Tools, readEverything } from "./tools.ts";
import { bare, sayAddressPort, sayPort } from "./words.ts";

/** `host`: this host alone. `address`: who reaches that address. `routed`: who is routed to the container. `nobody`: nothing listens. */
export type Openness = "everyone" | "address" | "host" | "routed" | "nobody";

/** One published port. */
export interface Publication extends PublishedPort {
  readonly network: string;
  /** As it is called. */
  readonly container: string;
  readonly endpointId: string;
  /** Of the container, with prefix length. */
  readonly addresses: readonly string[];
  readonly openTo: Openness;
}

const ANY = ["0.0.0.0", "::"];
const LOOPBACK = ["127.0.0.0/8", "::1/128"].map(parseSubnet);

/** @param readSockets - where this host listens. */
export async function ports(
  tools: Tools,
  { json = false }: CommonOptions,
  readSockets: () => readonly ListeningSocket[],
): Promise<void> {
  const { networks } = await readEverything(tools);
  const found = publications(networks, readSockets());
  if (json) return tools.console.json(found);
  const rows = found.map((each) => [sayPort(each, each), sayTarget(each), each.network, sayOpenness(each)]);
  tools.console.table(["PORT", "TO", "NETWORK", "OPEN TO"], rows, "nothing is published on networks of tsnet");
}

/** In the order of the networks and of who is on them. */
export function publications(
  networks: readonly NamedNetwork[],
  sockets: readonly ListeningSocket[],
): readonly Publication[] {
  return networks.flatMap((network) =>
    network.endpoints.flatMap((endpoint) =>
      endpoint.ports.map((port) => publicationOf(network, endpoint, port, sockets)),
    ),
  );
}

function publicationOf(
  network: NamedNetwork,
  endpoint: NamedEndpoint,
  port: PublishedPort,
  sockets: readonly ListeningSocket[],
): Publication {
  const { id, addresses } = endpoint;
  const openTo = opennessOf(port, sockets);
  return { ...port, network: network.name, container: callEndpoint(endpoint), endpointId: id, addresses, openTo };
}

function opennessOf(port: PublishedPort, sockets: readonly ListeningSocket[]): Openness {
  const { hostAddress, hostPort } = port;
  if (hostPort === 0) return "routed";
  if (!sockets.some((socket) => isOf(socket, port))) return "nobody";
  if (hostAddress === "" || ANY.includes(hostAddress)) return "everyone";
  return LOOPBACK.some((subnet) => contains(subnet, parseAddress(hostAddress))) ? "host" : "address";
}

function isOf({ protocol, address, port }: ListeningSocket, published: PublishedPort): boolean {
  if (protocol !== published.protocol || port !== published.hostPort) return false;
  return published.hostAddress === "" ? ANY.includes(address) : published.hostAddress === address;
}

function sayTarget({ container, addresses, containerPort, hostPort }: Publication): string {
  const [first] = addresses;
  return first === undefined || hostPort === 0
    ? container
    : `${container} ${sayAddressPort(bare(first), containerPort)}`;
}

function sayOpenness({ openTo, hostAddress }: Publication): string {
  const words = {
    everyone: "everyone who reaches this host",
    address: `who reaches ${hostAddress}`,
    host: "this host alone",
    routed: "who is routed to the container",
    nobody: "nobody: nothing listens there",
  };
  return words[openTo];
}

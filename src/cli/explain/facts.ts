// All that explain goes by: what tsnet has recorded, and what is on the host. A container is looked at when the packet comes to it.
import { type Family, contains, parseAddress, parseSubnet } from "../../cidr.ts";
import type { NamedEndpoint, NamedNetwork } from "../catalog.ts";
import { bare } from "../words.ts";
import type { Trace } from "./hop.ts";
import { type Host, type Link, type Machine, familyOf, linkNamed } from "./machine.ts";
import type { Switching } from "./switching.ts";

/** A container. */
export interface Container {
  readonly name: string;
  /** How a command is begun that runs in its network namespace. */
  readonly enter: string;
  /** Its network namespace; absent while it does not run. */
  readonly machine?: Machine;
  readonly places: readonly Place[];
}

/** An endpoint on its network. */
export interface Place {
  readonly network: NamedNetwork;
  readonly endpoint: NamedEndpoint;
}

/** All of it. */
export interface Facts {
  readonly networks: readonly NamedNetwork[];
  readonly host: Host;
  readonly switching: Switching;
  /**
   * What a switch of Open vSwitch would do with a frame (flow-trace.ts).
   *
   * @throws TsnetError `host` if it does not say.
   */
  readonly traceFlow: (bridge: string, flow: string) => Promise<string>;
  /** @returns undefined if Docker says of none that it has this endpoint. */
  readonly openContainer: (endpoint: NamedEndpoint) => Promise<Container | undefined>;
}

/** What every step is given. */
export interface Way {
  readonly facts: Facts;
  readonly trace: Trace;
}

/** Every endpoint. */
export function placesOf({ networks }: Pick<Facts, "networks">): readonly Place[] {
  return networks.flatMap((network) => network.endpoints.map((endpoint) => ({ network, endpoint })));
}

/** Whether the endpoint has this bare address. */
export function hasAddress({ endpoint }: Place, address: string): boolean {
  return endpoint.addresses.some((each) => bare(each) === address);
}

/** The endpoint with that bare address; of several the one on this network, or on its switch. */
export function findPlace(
  facts: Pick<Facts, "networks">,
  address: string,
  near?: Pick<NamedNetwork, "id" | "switch">,
): Place | undefined {
  const found = placesOf(facts).filter((place) => hasAddress(place, address));
  const onNetwork = found.find(({ network }) => network.id === near?.id);
  return onNetwork ?? found.find(({ network }) => network.switch === near?.switch) ?? found[0];
}

/** Whether a bare address is one of the network's subnets'. */
export function isOf({ subnets }: Pick<NamedNetwork, "subnets">, address: string): boolean {
  const parsed = parseAddress(address);
  return subnets.some((subnet) => contains(parseSubnet(subnet), parsed));
}

/** The network in whose subnets a bare address is. */
export function networkOf({ networks }: Pick<Facts, "networks">, address: string): NamedNetwork | undefined {
  return networks.find((network) => isOf(network, address));
}

/** The network into which a link of the host leads: its switch, or the link with its gateway address. */
export function networkBehind(
  { networks, host }: Pick<Facts, "networks" | "host">,
  name: string,
): NamedNetwork | undefined {
  const addresses = linkNamed(host, name)?.addresses ?? [];
  return networks.find((network) => {
    return network.switch === name || addresses.some(({ address }) => isOf(network, address));
  });
}

/** Whether that link of the host's leads into the endpoint's network. */
export function leadsTo(facts: Pick<Facts, "networks" | "host">, name: string, { network }: Place): boolean {
  return name === network.switch || networkBehind(facts, name)?.switch === network.switch;
}

/** The host's own address on a network, of that family. */
export function gatewayOf(
  { host }: Pick<Facts, "host">,
  network: NamedNetwork,
  family: Family,
): { readonly address: string; readonly link: Link } | undefined {
  for (const link of host.links) {
    const found = link.addresses.find(({ address }) => familyOf(address) === family && isOf(network, address));
    if (found !== undefined) return { address: found.address, link };
  }
  return undefined;
}

/** Of a container's links the one whose other end is the endpoint's port. */
export function linkOfPlace({ host }: Facts, machine: Machine, { endpoint }: Place): Link | undefined {
  const port = linkNamed(host, endpoint.hostLink);
  const byPort = machine.links.find(
    (link) => port !== undefined && link.peerIndex === port.index && link.kind === "veth",
  );
  return byPort ?? machine.links.find(({ mac }) => mac === endpoint.mac);
}

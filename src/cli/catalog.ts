// What tsnet knows and how Docker calls it, put together: what most commands are about.
import type { EndpointStatus, NetworkStatus } from "../cnm/requests.ts";
import { TsnetError } from "../errors.ts";
import type { DockerPlace, DockerView } from "./docker.ts";

/** An endpoint, and the container that has it as far as Docker says so. */
export interface NamedEndpoint extends EndpointStatus {
  readonly container?: DockerPlace["container"];
}

/** A network by its name; by its id where Docker knows none. */
export interface NamedNetwork extends Omit<NetworkStatus, "endpoints"> {
  readonly name: string;
  readonly endpoints: readonly NamedEndpoint[];
}

/** A container with its places on tsnet's networks. */
export interface NamedContainer {
  readonly id: string;
  readonly name: string;
  readonly places: readonly { readonly network: NamedNetwork; readonly endpoint: NamedEndpoint }[];
}

/** The networks by their names, with all that is in them, in the order of names and numbers. */
export function nameNetworks(networks: readonly NetworkStatus[], docker: DockerView): readonly NamedNetwork[] {
  const names = new Map(docker.networks.map(({ id, name }) => [id, name]));
  const containers = new Map(docker.places.map(({ endpointId, container }) => [endpointId, container]));
  const namesNow = new Map(docker.places.map(({ container }) => [container.id, container]));
  const ownerOf = ({ id, attachment }: EndpointStatus) => {
    if (attachment?.owner.kind !== "container") return containers.get(id);
    return namesNow.get(attachment.owner.id) ?? attachment.owner;
  };
  const named = networks.map((network) => ({
    ...network,
    name: names.get(network.id) ?? shortId(network.id),
    endpoints: network.endpoints
      .map((endpoint): NamedEndpoint => {
        const owner = ownerOf(endpoint);
        const ports = endpoint.ports.toSorted((a, b) => a.hostPort - b.hostPort || a.containerPort - b.containerPort);
        return { ...endpoint, ports, ...(owner !== undefined && { container: { id: owner.id, name: owner.name } }) };
      })
      .sort((a, b) => compareNames(callEndpoint(a), callEndpoint(b))),
  }));
  return named.sort((a, b) => compareNames(a.name, b.name));
}

/** The containers that are on these networks, in the order of their names. */
export function containersOn(networks: readonly NamedNetwork[]): readonly NamedContainer[] {
  const found = networks.flatMap((network) =>
    network.endpoints.flatMap((endpoint) => {
      const { container } = endpoint;
      return container === undefined ? [] : [{ ...container, place: { network, endpoint } }];
    }),
  );
  const containers = Array.from(
    Map.groupBy(found, ({ id }) => id),
    ([id, all]) => ({
      id,
      name: all[0]?.name ?? id,
      places: all.map(({ place }) => place),
    }),
  );
  return containers.sort((a, b) => compareNames(a.name, b.name));
}

/** How an endpoint is called: by its container, or whose it is else; if nobody's, by its own id. */
export function callEndpoint({ container, attachment, id }: NamedEndpoint): string {
  return container?.name ?? attachment?.owner.name ?? `endpoint ${shortId(id)}`;
}

/**
 * The one that is called so: by its name, its id, or the beginning of its id that no other one has.
 *
 * @returns undefined if none is.
 * @throws TsnetError `conflict` if several are.
 */
export function findCalled<Thing extends { readonly id: string; readonly name: string }>(
  noun: string,
  things: readonly Thing[],
  text: string,
): Thing | undefined {
  const exact = things.filter(({ id, name }) => name === text || id === text);
  const found = exact.length > 0 ? exact : things.filter(({ id }) => text !== "" && id.startsWith(text));
  if (found.length < 2) return found[0];
  const ids = found.map(({ id, name }) => `${shortId(id)} (${name})`).join(", ");
  throw new TsnetError("conflict", `${noun} ${JSON.stringify(text)} may be one of several: ${ids}`);
}

/** As Docker prints ids. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}

/** `web-2` before `web-10`. */
export function compareNames(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

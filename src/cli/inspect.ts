// `tsnet inspect NETWORK|CONTAINER`: all that tsnet knows of one of them.
import { TsnetError } from "../errors.ts";
import {
  type NamedContainer,
  type NamedEndpoint,
  type NamedNetwork,
  callEndpoint,
  containersOn,
  findCalled,
} from "./catalog.ts";
import type { Console } from "./console.ts";
import { type CommonOptions, type Tools, readEverything } from "./tools.ts";
import { sayPort, sayVlans, sayYes } from "./words.ts";

export interface InspectOptions extends CommonOptions {
  /** For a name that both a network and a container have. */
  readonly type?: "network" | "container";
}

/** @throws TsnetError `not-found`; `conflict` if `text` is not enough to tell which one is meant. */
export async function inspect(tools: Tools, text: string, { json = false, type }: InspectOptions): Promise<void> {
  const { networks } = await readEverything(tools);
  const network = type === "container" ? undefined : findCalled("network", networks, text);
  const container = type === "network" ? undefined : findCalled("container", containersOn(networks), text);
  if (network !== undefined && container !== undefined) {
    const advice = "say which with --type network or --type container";
    throw new TsnetError("conflict", `${JSON.stringify(text)} is a network and a container: ${advice}`);
  }
  const found = network ?? container;
  if (found === undefined) throw notFound(text, networks, type);
  if (json) return tools.console.json(found);
  if (network !== undefined) printNetwork(tools.console, network);
  if (container !== undefined) printContainer(tools.console, container);
}

function notFound(text: string, networks: readonly NamedNetwork[], type = "network or container"): TsnetError {
  const known =
    networks.length === 0 ? "it has none" : `its networks are ${networks.map(({ name }) => name).join(", ")}`;
  return new TsnetError("not-found", `tsnet has no ${type} ${JSON.stringify(text)}; ${known}`);
}

function printNetwork(console: Console, network: NamedNetwork): void {
  const { name, id, state, mode, isInternal, backend, parent, mtu, subnets, icc, antispoof, hostBinding } = network;
  console.title(`network ${name}`);
  console.fields({
    id,
    state,
    mode: isInternal ? `${mode}, internal` : mode,
    switch: `${network.switch} (${backend})`,
    vlan: sayVlans(network),
    parent: parent ?? "",
    mtu: `${mtu}`,
    subnets: subnets.join(", "),
    icc: sayYes(icc),
    antispoof: sayYes(antispoof),
    "host-binding": hostBinding ?? "",
  });
  console.line();
  const head = ["CONTAINER", "ADDRESSES", "MAC", "HOST LINK", "VLAN", "PORTS"];
  const rows = network.endpoints.map((endpoint) => [nameOf(endpoint), ...cellsOf(endpoint)]);
  console.table(head, rows, "nobody is on it");
}

function printContainer(console: Console, { name, id, places }: NamedContainer): void {
  console.title(`container ${name}`);
  console.fields({ id });
  console.line();
  const head = ["NETWORK", "ADDRESSES", "MAC", "HOST LINK", "VLAN", "PORTS"];
  const rows = places.map(({ network, endpoint }) => [network.name, ...cellsOf(endpoint)]);
  console.table(head, rows, "it is on no network of tsnet");
}

function nameOf(endpoint: NamedEndpoint): string {
  const name = callEndpoint(endpoint);
  if (endpoint.state === "removing" || (endpoint.state !== "joined" && endpoint.attachment === undefined))
    return `${name} (${endpoint.state})`;
  return endpoint.attachment === undefined ? name : `${name} (attached)`;
}

function cellsOf(endpoint: NamedEndpoint) {
  const { addresses, mac, hostLink, ports } = endpoint;
  const published = ports.map((port) => `${sayPort(port, endpoint)} to ${port.containerPort}`);
  return [addresses, mac, hostLink, sayVlans(endpoint), published];
}

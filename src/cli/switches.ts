// The switches of this host with their ports, of both kinds, out of what the host itself says; what tsnet's records have and the
// host lacks is put in and marked as missing.
import { type NamedEndpoint, type NamedNetwork, callEndpoint, compareNames, shortId } from "./catalog.ts";
import { type CarriedVlans, type HostLink, addressesOf, isUp, markOf } from "./host-links.ts";
import type { OvsBridge, OvsPort } from "./ovs-rows.ts";

/** `host`: the host's own link into the switch. `foreign`: nothing that tsnet knows of. */
export type PortKind = "host" | "container" | "uplink" | "tunnel" | "foreign";

/** A port as it is. */
export interface ShownPort {
  readonly name: string;
  readonly kind: PortKind;
  /** Whether tsnet made it, or put it there. */
  readonly isOurs: boolean;
  readonly isUp: boolean;
  /** The records have it, the host has not. */
  readonly isMissing: boolean;
  readonly vlans: CarriedVlans;
  /** The container, the host's addresses, the tunnel and its peers; else empty. */
  readonly who: string;
  /** Of a tunnel. */
  readonly peers?: readonly string[];
  /** Of Open vSwitch, while it is open. */
  readonly ofport?: number;
}

/** A switch as it is. */
export interface ShownSwitch {
  readonly name: string;
  readonly backend: "bridge" | "ovs";
  /** Whether tsnet made it. */
  readonly isOurs: boolean;
  readonly isUp: boolean;
  readonly isMissing: boolean;
  /** Of tsnet, by their names. */
  readonly networks: readonly string[];
  readonly ports: readonly ShownPort[];
}

/** What was read of the host. */
export interface HostView {
  readonly links: readonly HostLink[];
  readonly portVlans: ReadonlyMap<string, CarriedVlans>;
  /** Of VXLAN links. */
  readonly floodPeers: ReadonlyMap<string, readonly string[]>;
  readonly ovs: readonly OvsBridge[];
}

const TUNNELS: Readonly<Record<string, string>> = {
  vxlan: "vxlan",
  geneve: "geneve",
  gretap: "gre",
  ip6gretap: "gre",
  gre: "gre",
};
const NO_VLANS: CarriedVlans = { untagged: 0, tagged: [] };
const ORDER: readonly PortKind[] = ["host", "container", "uplink", "tunnel", "foreign"];

/** All switches: those of tsnet's networks, also missing ones, and those of others; in the order of their names. */
export function switchesOf(view: HostView, networks: readonly NamedNetwork[]): readonly ShownSwitch[] {
  const bridges = view.links.filter(({ linkinfo }) => linkinfo?.info_kind === "bridge");
  const present = [
    ...bridges.map((link) => bridgeSwitch(link, view, networksOn(networks, "bridge", link.ifname))),
    ...view.ovs.map((bridge) => ovsSwitch(bridge, view, networksOn(networks, "ovs", bridge.name))),
  ];
  const missing = networks.flatMap(({ backend, switch: name }): readonly ShownSwitch[] => {
    if (present.some((each) => each.name === name && each.backend === backend)) return [];
    const users = networksOn(networks, backend, name);
    const ports = missingPorts([], users);
    return [{ name, backend, isOurs: true, isUp: false, isMissing: true, networks: namesOf(users), ports }];
  });
  const unique = new Map(missing.map((each) => [`${each.backend} ${each.name}`, each]));
  return [...present, ...unique.values()].sort((a, b) => compareNames(a.name, b.name));
}

function networksOn(networks: readonly NamedNetwork[], kind: "bridge" | "ovs", name: string) {
  return networks.filter(({ backend, switch: own }) => backend === kind && own === name);
}

function bridgeSwitch(link: HostLink, view: HostView, networks: readonly NamedNetwork[]): ShownSwitch {
  const { ifname: name } = link;
  const filters = link.linkinfo?.info_data?.vlan_filtering === 1;
  const vlansOf = (port: string) => (filters ? (view.portVlans.get(port) ?? { tagged: [] }) : NO_VLANS);
  const own = addressesOf(link).length === 0 ? [] : [hostPort(link, vlansOf(name), true)];
  const vlanLinks = view.links.filter((each) => each.link === name && each.linkinfo?.info_kind === "vlan");
  const above = vlanLinks.map((each) =>
    hostPort(each, { untagged: each.linkinfo?.info_data?.id ?? 0, tagged: [] }, markOf("network", each) !== undefined),
  );
  const ports = view.links.filter(({ master }) => master === name);
  const shown = ports.map((port) => bridgePort(port, vlansOf(port.ifname), view, networks));
  const isOurs = markOf("network", link) !== undefined;
  return switchOf({ name, backend: "bridge", isOurs, isUp: isUp(link) }, networks, [...own, ...above, ...shown]);
}

function hostPort(link: HostLink, vlans: CarriedVlans, isOurs: boolean): ShownPort {
  const who = addressesOf(link).join(", ");
  return { name: link.ifname, kind: "host", isOurs, isUp: isUp(link), isMissing: false, vlans, who };
}

function bridgePort(
  link: HostLink,
  vlans: CarriedVlans,
  { floodPeers }: HostView,
  networks: readonly NamedNetwork[],
): ShownPort {
  const { ifname: name, linkinfo } = link;
  const base = { name, isUp: isUp(link), isMissing: false, vlans };
  const endpointId = markOf("endpoint", link);
  if (endpointId !== undefined) return { ...base, ...containerOf(endpointId, networks) };
  const tunnel = TUNNELS[linkinfo?.info_kind ?? ""];
  if (tunnel !== undefined) {
    const { id, okey, remote, remote6 } = linkinfo?.info_data ?? {};
    const one = remote ?? remote6;
    const peers = one === undefined ? (floodPeers.get(name) ?? []) : [one];
    const number = id === undefined ? keyOf(okey) : `${id}`;
    return { ...base, ...tunnelOf(tunnel, number, peers), isOurs: markOf("network", link) !== undefined };
  }
  return { ...base, ...otherPort(name, networks) };
}

function ovsSwitch({ name, marks, ports }: OvsBridge, view: HostView, networks: readonly NamedNetwork[]): ShownSwitch {
  const isOurs = marks.has("tsnet-network");
  const links = new Map(view.links.map((link) => [link.ifname, link]));
  const shown = ports.flatMap((port) => {
    // A switch of tsnet's own leads to the host by other links.
    return port.name === name && isOurs ? [] : [ovsPort(port, links, networks)];
  });
  return switchOf({ name, backend: "ovs", isOurs, isUp: true }, networks, shown);
}

function ovsPort(port: OvsPort, links: ReadonlyMap<string, HostLink>, networks: readonly NamedNetwork[]): ShownPort {
  const { name, vlans, type, options, ofport, marks } = port;
  const isMissing = port.link !== undefined && !links.has(port.link);
  const base = { name, isUp: port.isUp, isMissing, vlans, ...(ofport !== undefined && { ofport }) };
  const isOurs = marks.has("tsnet-network");
  const endpointId = marks.get("tsnet-endpoint");
  if (endpointId !== undefined) return { ...base, ...containerOf(endpointId, networks) };
  if (type === "internal")
    return { ...base, kind: "host", isOurs, who: addressesOf(links.get(name) ?? { addr_info: [] }).join(", ") };
  const tunnel = TUNNELS[type];
  const peer = options.get("remote_ip");
  if (tunnel === undefined || peer === undefined) return { ...base, ...otherPort(name, networks) };
  return { ...base, ...tunnelOf(tunnel, options.get("key"), [peer]), isOurs };
}

function containerOf(endpointId: string, networks: readonly NamedNetwork[]) {
  const endpoint = networks.flatMap(({ endpoints }) => endpoints).find(({ id }) => id === endpointId);
  const who =
    endpoint === undefined ? `endpoint ${shortId(endpointId)}, of which tsnet has no record` : callEndpoint(endpoint);
  return { kind: "container", isOurs: true, who } as const;
}

function tunnelOf(kind: string, number: string | undefined, peers: readonly string[]) {
  const what = number === undefined ? kind : `${kind} ${number}`;
  return { kind: "tunnel", who: `${what} to ${peers.length === 0 ? "nobody" : peers.join(", ")}`, peers } as const;
}

function otherPort(name: string, networks: readonly NamedNetwork[]) {
  const isUplink = networks.some(({ parent }) => parent === name);
  return { kind: isUplink ? "uplink" : "foreign", isOurs: isUplink, who: "" } as const;
}

function switchOf(
  what: Pick<ShownSwitch, "name" | "backend" | "isOurs" | "isUp">,
  networks: readonly NamedNetwork[],
  present: readonly ShownPort[],
): ShownSwitch {
  const ports = [...present, ...missingPorts(present, networks)];
  const rank = (port: ShownPort) => ORDER.indexOf(port.kind);
  ports.sort((a, b) => rank(a) - rank(b) || compareNames(a.who, b.who) || compareNames(a.name, b.name));
  return { ...what, isMissing: false, networks: namesOf(networks), ports };
}

/** What the records have and these ports lack. */
function missingPorts(present: readonly ShownPort[], networks: readonly NamedNetwork[]): readonly ShownPort[] {
  const isThere = (name: string) => present.some((port) => port.name === name);
  const lacking = { isOurs: true, isUp: false, isMissing: true } as const;
  const endpoints = networks.flatMap((network) => network.endpoints).filter(({ state }) => state === "joined");
  const containers = endpoints.flatMap((endpoint): readonly ShownPort[] => {
    const { hostLink: name } = endpoint;
    const who = callEndpoint(endpoint);
    return isThere(name) ? [] : [{ name, kind: "container", ...lacking, vlans: vlansOfRecord(endpoint), who }];
  });
  const parents = [...new Set(networks.flatMap(({ parent }) => parent ?? []))];
  const uplinks = parents.flatMap((name): readonly ShownPort[] =>
    isThere(name) ? [] : [{ name, kind: "uplink", ...lacking, vlans: { tagged: [] }, who: "" }],
  );
  const tunnels = networks.flatMap((network): readonly ShownPort[] => {
    const { kind = "", vni, peers = [] } = network.tunnel ?? {};
    const lost = peers.filter((peer) => !present.some((port) => port.isOurs && port.peers?.includes(peer) === true));
    const number = vni === undefined ? undefined : `${vni}`;
    return lost.length === 0
      ? []
      : [{ name: "", ...lacking, vlans: vlansOfRecord(network), ...tunnelOf(kind, number, lost) }];
  });
  return [...containers, ...uplinks, ...tunnels];
}

function vlansOfRecord({ vlan, trunk = [] }: Pick<NamedEndpoint, "vlan" | "trunk">): CarriedVlans {
  const untagged = vlan ?? (trunk.length === 0 ? 0 : undefined);
  return { ...(untagged !== undefined && { untagged }), tagged: trunk };
}

function namesOf(networks: readonly NamedNetwork[]): readonly string[] {
  return networks.map(({ name }) => name);
}

/** A GRE key as a number; ip(8) writes it as an address. */
function keyOf(dotted: string | undefined): string | undefined {
  if (dotted === undefined) return undefined;
  return String(dotted.split(".").reduce((sum, part) => sum * 256 + Number(part), 0));
}

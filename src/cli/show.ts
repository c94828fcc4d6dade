// `tsnet show [SWITCH|NETWORK]`: the switches with their ports as one tree, as the host has them.
import { TsnetError } from "../errors.ts";
import { formatVlanList } from "../vlan.ts";
import { type NamedNetwork, findCalled } from "./catalog.ts";
import { type CarriedVlans, readFloodPeers, readLinks, readPortVlans } from "./host-links.ts";
import type { HostTools } from "./host-tools.ts";
import { readOvs } from "./ovs-rows.ts";
import { type ShownPort, type ShownSwitch, switchesOf } from "./switches.ts";
import type { Cell } from "./table.ts";
import { type CommonOptions, type Tools, readEverything } from "./tools.ts";

/** @param text - a switch of any driver, or a network of tsnet; without it all switches of tsnet's networks. */
export async function show(tools: Tools, text: string | undefined, { json = false }: CommonOptions): Promise<void> {
  const { networks } = await readEverything(tools);
  const { switches, fault } = await tools.console.waitFor("the host", readSwitches(tools.host, networks));
  if (fault !== undefined) tools.console.note(`Open vSwitch cannot be read: ${fault}`);
  const ours = switches.filter((each) => each.isOurs || each.networks.length > 0);
  const shown = text === undefined ? ours : switchesCalled(text, switches, networks);
  if (json) return tools.console.json(shown);
  const none = "tsnet has no switch; `docker network create -d tsnet NAME` makes one";
  tools.console.table(["SWITCH, PORTS", "KIND", "VLAN", "WHO"], shown.flatMap(rowsOf), none);
  const others = switches.filter((each) => !ours.includes(each)).map(({ name }) => name);
  if (text === undefined && others.length > 0) {
    tools.console.line();
    tools.console.line(`not of tsnet: ${others.join(", ")}`);
  }
}

/** Reads the host. @returns also why Open vSwitch could not be read, where a network needs it. */
export async function readSwitches(host: HostTools, networks: readonly NamedNetwork[]) {
  const [links, portVlans, ovs] = await Promise.all([readLinks(host), readPortVlans(host), readOvs(host)]);
  const vxlans = links.filter(({ master, linkinfo }) => master !== undefined && linkinfo?.info_kind === "vxlan");
  const peers = vxlans.map(async ({ ifname }) => [ifname, await readFloodPeers(host, ifname)] as const);
  const floodPeers = new Map(await Promise.all(peers));
  const switches = switchesOf({ links, portVlans, floodPeers, ovs: ovs.bridges }, networks);
  const isNeeded = networks.some(({ backend }) => backend === "ovs");
  return { switches, fault: isNeeded ? ovs.fault : undefined };
}

function switchesCalled(text: string, switches: readonly ShownSwitch[], networks: readonly NamedNetwork[]) {
  const named = switches.filter(({ name }) => name === text);
  if (named.length > 0) return named;
  const network = findCalled("network", networks, text);
  const found = switches.filter(({ name, backend }) => network?.switch === name && network.backend === backend);
  if (found.length > 0) return found;
  const known = switches.length === 0 ? "there is none" : `there are ${switches.map(({ name }) => name).join(", ")}`;
  throw new TsnetError("not-found", `no switch of this host and no network of tsnet is called "${text}"; ${known}`);
}

function rowsOf(shown: ShownSwitch): readonly (readonly Cell[])[] {
  const { name, backend, networks, ports } = shown;
  const kind = shown.isOurs ? backend : `${backend}, foreign`;
  const head: readonly Cell[] = [`${name}${stateOf(shown)}`, kind, "", networks.join(", ")];
  return [head, ...ports.map((port, at) => rowOf(port, at === ports.length - 1))];
}

function rowOf(port: ShownPort, isLast: boolean): readonly Cell[] {
  const branch = isLast ? "└─" : "├─";
  const kind = port.isOurs || port.kind === "foreign" ? port.kind : `${port.kind}, foreign`;
  return [`${branch} ${port.name}${stateOf(port)}`, kind, sayCarried(port.vlans), port.who];
}

function stateOf({ isMissing, isUp }: Pick<ShownPort, "isMissing" | "isUp">): string {
  if (isMissing) return " (missing)";
  return isUp ? "" : " (down)";
}

/** `100`, `trunk 20,30`, `untagged, trunk 20`, `all`; "" where there are no VLANs. */
function sayCarried({ untagged, tagged, isAll = false }: CarriedVlans): string {
  if (isAll) return untagged === undefined ? "all" : `${untagged}, all`;
  const trunk = tagged.length === 0 ? [] : [`trunk ${formatVlanList(tagged)}`];
  if (untagged === undefined) return tagged.length === 0 ? "none" : trunk.join();
  if (untagged === 0) return tagged.length === 0 ? "" : ["untagged", ...trunk].join(", ");
  return [`${untagged}`, ...trunk].join(", ");
}

// `tsnet macs NETWORK`: where its switch sends frames to which MAC address, and who that is.
import { TsnetError } from "../errors.ts";
import { type NamedNetwork, callEndpoint, compareNames, findCalled } from "./catalog.ts";
import { type Destination, readForwarding } from "./forwarding.ts";
import { readSwitches } from "./show.ts";
import type { ShownSwitch } from "./switches.ts";
import { type CommonOptions, type Tools, readEverything } from "./tools.ts";

/** A destination with a name. */
export interface NamedDestination extends Destination {
  readonly who: string;
}

/** @throws TsnetError `not-found` for an unknown network, or if its switch is not there. */
export async function macs(tools: Tools, text: string, { json = false }: CommonOptions): Promise<void> {
  const { networks } = await readEverything(tools);
  const network = findCalled("network", networks, text);
  if (network === undefined) {
    const known = networks.length === 0 ? "it has none" : networks.map(({ name }) => name).join(", ");
    throw new TsnetError("not-found", `tsnet has no network ${JSON.stringify(text)}; its networks are ${known}`);
  }
  const { switches, fault } = await tools.console.waitFor("the host", readSwitches(tools.host, networks));
  const shown = switches.find(({ name, backend }) => name === network.switch && backend === network.backend);
  if (shown === undefined || shown.isMissing) {
    const why = fault === undefined ? "" : `: ${fault}`;
    throw new TsnetError("not-found", `switch ${network.switch} of network ${network.name} is not there${why}`);
  }
  const known = await tools.console.waitFor("the switch", readForwarding(tools.host, shown));
  const found = known.filter((each) => isOf(each, network, networks));
  const named = found.map((each) => ({ ...each, who: whoIs(each, shown, networks) })).sort(compare);
  if (json) return tools.console.json(named);
  const rows = named.map(({ mac, vlan, port, who, ageSeconds }) => [
    mac,
    vlan === undefined ? "" : `${vlan}`,
    port,
    who,
    ageSeconds === undefined ? "fixed" : `${ageSeconds} s`,
  ]);
  tools.console.table(["MAC", "VLAN", "PORT", "WHO", "AGE"], rows, "the switch knows no MAC address there");
}

/** In one of the network's VLANs; of a network without VLANs: in none that another network of the switch has. */
function isOf({ vlan }: Destination, network: NamedNetwork, networks: readonly NamedNetwork[]): boolean {
  const own = vlansOf(network);
  if (own.length > 0) return vlan !== undefined && own.includes(vlan);
  const others = networks.filter((other) => other.switch === network.switch && other.backend === network.backend);
  return vlan === undefined || !others.flatMap(vlansOf).includes(vlan);
}

function vlansOf({ vlan, trunk = [] }: NamedNetwork): readonly number[] {
  return [...(vlan === undefined ? [] : [vlan]), ...trunk];
}

function whoIs({ mac, port, peer }: Destination, shown: ShownSwitch, networks: readonly NamedNetwork[]): string {
  const { name, backend, ports } = shown;
  const endpoints = networks.filter((each) => each.switch === name && each.backend === backend);
  const owner = endpoints.flatMap((each) => each.endpoints).find((each) => each.mac === mac);
  if (owner?.hostLink === port) return callEndpoint(owner);
  const where = placeOf(port, peer, shown);
  if (owner !== undefined) return `${where}, with the MAC address of ${callEndpoint(owner)}`;
  const found = ports.find((each) => each.name === port);
  return found?.kind === "container" ? `behind ${found.who}` : where;
}

/** What a port leads to. */
function placeOf(port: string, peer: string | undefined, { name, isOurs, ports }: ShownSwitch): string {
  const found = ports.find((each) => each.name === port);
  if (port === name || found?.kind === "host") {
    return found !== undefined && found.who !== "" && (found.isOurs || isOurs) ? "gateway" : "host";
  }
  if (found?.kind === "tunnel") return `peer ${peer ?? found.peers?.join(" or ") ?? ""}`;
  if (found?.kind === "uplink") return `beyond ${port}`;
  return found?.kind === "container" ? found.who : "unknown";
}

function compare(a: NamedDestination, b: NamedDestination): number {
  return (a.vlan ?? 0) - (b.vlan ?? 0) || compareNames(a.who, b.who) || compareNames(a.mac, b.mac);
}

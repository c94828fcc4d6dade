// A network's switch: a bridge of Open vSwitch that is closed until flows open it, whose own link is in no network, with the
// host's link as an internal port in the network's VLAN. All rows of a network go in in one transaction. A bridge that
// somebody else made gets the ports and nothing else.
import type { Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { type Operation, insert, mutate, select } from "../../host/ovsdb-operations.ts";
import type { RowId } from "../../host/ovsdb-values.ts";
import { removeGateways } from "../host-link.ts";
import { uplinksOf } from "../uplink/uplink-vlans.ts";
import { chooseDatapathType } from "./datapath-type.ts";
import type { OvsHost } from "./datapath.ts";
import { ensureHostLink, ensureMovedLink, ensureOwnLink, removeLeftLink, requireNoLink } from "./internal-link.ts";
import { endpointOf, networkMark, networkOf } from "./marks.ts";
import { ensureMovedUplink, findMoved, releaseMovedUplink, rescueAddresses, untaggedPort } from "./moved-uplink.ts";
import { quietOwnLink, releaseOwnLink } from "./own-link.ts";
import {
  type FoundBridge,
  type FoundPort,
  type PortSpec,
  changesOf,
  changesTo,
  findRows,
  insertPort,
  isOurPort,
  portChanges,
  removePorts,
} from "./rows.ts";
import { bridgeSettings } from "./settings.ts";
import { removeStalePorts } from "./stale-ports.ts";
import { requireTunnel, strayTunnels, tunnelEnds, tunnelPorts } from "./tunnel.ts";
import { ensureUplinks, releaseUplinks, uplinkPorts } from "./uplink.ts";
import { inertColumns, vlanColumns } from "./vlan.ts";

/** Makes the bridge, its ports, the host's link and the host's addresses be as the network needs them. */
export async function ensureNetwork(host: OvsHost, network: Network, others: readonly Network[]): Promise<void> {
  const networks = [network, ...others] as const;
  const { switchName, hostLink, untaggedLink } = network;
  const moved = findMoved(networks);
  const uplinks = uplinksOf(networks);
  const doing = `set up bridge ${switchName}`;
  const ofTunnels = tunnelPorts(networks);
  const tunnels = ofTunnels.map(({ name }) => name);
  const names = [...new Set([switchName, hostLink, untaggedLink, ...uplinks, ...tunnels])];
  const { bridge, ports } = await findRows(host.ovsdb, doing, switchName, names);
  if (bridge === undefined) await refuseToMake(host, network);
  else if (network.isSwitchOurs && networkOf(bridge) === undefined) {
    throw new TsnetError("conflict", `bridge ${switchName} exists and was not made by tsnet; choose another name`);
  }
  const ofUplinks = uplinkPorts(networks);
  const isReady = ({ name }: PortSpec) => name !== moved?.uplink.parent || ports.has(name); // else it is put in later
  const wanted = [...hostPorts(networks, bridge), ...ofUplinks.filter(isReady), ...ofTunnels];
  const operations =
    bridge === undefined
      ? await newBridge(host, networks, wanted)
      : [
          ...ownChanges(networks, bridge, ports.get(switchName)),
          ...removePorts(await strayTunnels(host, bridge, networks)),
          ...wanted.flatMap((spec, n) => portChanges(bridge, ports.get(spec.name), spec, n)),
        ];
  if (operations.length > 0) await host.ovsdb.apply(doing, operations);
  if (network.isSwitchOurs) await ensureOwnLink(host, network);
  if (moved !== undefined) await ensureMovedLink(host, network);
  else if (network.isHostOnSwitch) await ensureHostLink(host, network);
  await quietOwnLink(host, network, ports.get(switchName));
  const unmoved = ofUplinks.filter(({ name }) => name !== moved?.uplink.parent);
  await ensureUplinks(host, switchName, unmoved);
  await host.flows.ensureSwitch(switchName, networks);
  await ensureMovedUplink(host, networks);
  await removeStalePorts(host, network.id);
  await requireTunnel(host, network);
}

async function refuseToMake(host: OvsHost, { isSwitchOurs, switchName }: Network): Promise<void> {
  if (!isSwitchOurs) {
    throw new TsnetError(
      "host",
      `bridge ${switchName} does not exist any more; tsnet did not make it and will not make it`,
    );
  }
  await requireNoLink(host, switchName);
}

/** Of a bridge of ours: nothing passes but by flows, whether a controller is there or not, and none is reached through it. */
function ownColumns(networks: readonly Network[]) {
  const { other_config, ...columns } = bridgeSettings(networks);
  return { ...columns, fail_mode: "secure", other_config: { ...other_config, "disable-in-band": "true" } } as const;
}

function ownPort({ switchName, mtu }: Network): PortSpec {
  return { name: switchName, port: inertColumns(), interface: { type: "internal", mtu_request: mtu } };
}

async function newBridge(
  host: OvsHost,
  networks: readonly [Network, ...Network[]],
  wanted: readonly PortSpec[],
): Promise<Operation<unknown>[]> {
  const [{ switchName, switchMac, datapathType, id }] = networks;
  const columns = ownColumns(networks);
  const ports = [ownPort(networks[0]), ...wanted].map((spec, n) => insertPort(spec, n));
  const row = {
    ...columns,
    name: switchName,
    ports: ports.map(({ port }) => port),
    datapath_type: await chooseDatapathType(host.ovsdb, datapathType),
    external_ids: networkMark(id),
    other_config: { ...columns.other_config, hwaddr: switchMac },
  };
  const bridge = insert("Bridge", row, "@bridge");
  const addition = mutate("Open_vSwitch", [], [["bridges", "insert", ["@bridge"]]]);
  return [...ports.flatMap(({ operations }) => operations), bridge, addition];
}

function ownChanges(
  networks: readonly [Network, ...Network[]],
  bridge: FoundBridge,
  found: FoundPort | undefined,
): Operation<unknown>[] {
  const [network] = networks;
  if (!network.isSwitchOurs) return [];
  const ofPort = found === undefined ? [] : changesTo(found, ownPort(network));
  return [...changesOf("Bridge", bridge, ownColumns(networks)), ...ofPort];
}

/** The host's link has the MAC of the bridge that tsnet made, or that of the network for which it was made. */
function hostPorts(networks: readonly [Network, ...Network[]], bridge: FoundBridge | undefined): PortSpec[] {
  const [network] = networks;
  const ofMoved = findMoved(networks) === undefined ? [] : [untaggedPort(network)];
  if (!network.isHostOnSwitch || ofMoved.some(({ name }) => name === network.hostLink)) return ofMoved;
  const { hostLink: name, vlans, mtu, switchMac } = network;
  const mac = (network.isSwitchOurs ? bridge?.other_config["hwaddr"] : undefined) ?? switchMac;
  const { vlan } = vlans; // untagged, also where endpoints get other VLANs besides
  const hasTunnel = networks.some((each) => each.hostLink === name && each.tunnel !== undefined);
  const columns = { ...vlanColumns(vlan === undefined ? {} : { vlan }), protected: hasTunnel };
  const mark = networkMark(network.id);
  return [
    ...ofMoved,
    {
      name,
      port: { ...columns, external_ids: mark },
      interface: { type: "internal", mac, mtu_request: mtu, external_ids: mark },
    },
  ];
}

/** Removes what `ensureNetwork` made, as far as it carries our mark and nobody else needs it. */
export async function removeNetwork(host: OvsHost, network: Network, others: readonly Network[]): Promise<void> {
  const { switchName, hostLink, untaggedLink } = network;
  await releaseMovedUplink(host, network, others);
  const isNeeded = (name: string) =>
    others.some((other) => other.isHostOnSwitch && other.hostLink === name) ||
    (name === untaggedLink && findMoved(others) !== undefined);
  const isHostLinkNeeded = isNeeded(hostLink);
  const ownLinks = [hostLink, ...(findMoved([network]) === undefined ? [] : [untaggedLink])];
  const [own, shared] = [waysOut([network]), waysOut(others)];
  const unneeded = [
    ...new Set(ownLinks.filter((name) => !isNeeded(name))),
    ...own.filter((name) => !shared.includes(name)),
  ];
  const doing = `remove network from bridge ${switchName}`;
  const { bridge, ports } = await findRows(host.ovsdb, doing, switchName, [switchName, ...unneeded, ...shared]);
  if (bridge !== undefined && network.isSwitchOurs && networkOf(bridge) === undefined) return; // somebody else's by now
  const ours =
    bridge === undefined
      ? []
      : unneeded.flatMap((name) => ports.get(name) ?? []).filter((port) => isOurPort(bridge, port));
  if (bridge !== undefined && network.isSwitchOurs && others.length === 0) {
    await host.flows.forget(switchName, false);
    await host.ovsdb.apply(doing, [removeBridges([bridge._uuid])]);
  } else if (bridge !== undefined) {
    const kept = uplinkPorts(others).flatMap((spec) => {
      const found = ports.get(spec.name);
      return found === undefined ? [] : portChanges(bridge, found, spec, 0);
    });
    const operations = [...removePorts(ours.map(({ port }) => port._uuid)), ...kept];
    if (operations.length > 0) await host.ovsdb.apply(doing, operations);
    await removeStalePorts(host, network.id);
    if (others.length === 0) await host.flows.forget(switchName, true);
    else await host.flows.ensureSwitch(switchName, others);
  }
  await releaseUplinks(host, ours);
  await releaseOwnLink(host, network, others, ports.get(switchName));
  if (isHostLinkNeeded) {
    const link = await host.links.findLink(hostLink);
    if (link !== undefined) await removeGateways(host, network, link.index);
  }
  for (const name of ownLinks) if (!isNeeded(name)) await removeLeftLink(host, name);
  if (network.isSwitchOurs && others.length === 0) await removeLeftLink(host, switchName);
}

/** The names of all ports that lead away from the host. */
function waysOut(networks: readonly Network[]): readonly string[] {
  return [...uplinksOf(networks), ...networks.flatMap(tunnelEnds).map(({ name }) => name)];
}

/** Removes the bridges that carry our mark for this network, except those whose names are in use. */
export async function removeStrayBridges(host: OvsHost, networkId: string, inUse: ReadonlySet<string>): Promise<void> {
  const doing = `remove the bridge of network ${networkId}`;
  const [rows, ports] = await host.ovsdb.transact(doing, [
    select("Bridge", [["external_ids", "includes", networkMark(networkId)]], ["_uuid", "name", "ports"]),
    select("Port", [], ["_uuid", "external_ids"]),
  ]);
  const isOfOther = (port: (typeof ports)[number]) => endpointOf(port) !== undefined && networkOf(port) !== networkId;
  const others = new Set(ports.filter(isOfOther).map(({ _uuid }) => _uuid));
  const strays = rows.filter((row) => !inUse.has(row.name) && !row.ports.some((port) => others.has(port)));
  for (const stray of strays) await rescueAddresses(host, stray);
  if (strays.length > 0) await host.ovsdb.apply(doing, [removeBridges(strays.map(({ _uuid }) => _uuid))]);
  for (const { name } of strays) await removeLeftLink(host, name);
}

function removeBridges(ids: readonly RowId[]): Operation<number> {
  return mutate("Open_vSwitch", [], [["bridges", "delete", ids]]);
}

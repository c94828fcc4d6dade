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
import { ensureHostLink, ensureOwnLink, removeLeftLink, requireNoLink } from "./internal-link.ts";
import { networkMark, networkOf } from "./marks.ts";
import {
  type FoundBridge,
  type FoundPort,
  type PortSpec,
  addPort,
  changesOf,
  changesTo,
  findRows,
  insertPort,
  removePorts,
} from "./rows.ts";
import { bridgeSettings } from "./settings.ts";
import { removeStalePorts } from "./stale-ports.ts";
import { ensureUplinks, uplinkPorts } from "./uplink.ts";
import { inertColumns, vlanColumns } from "./vlan.ts";

/** Makes the bridge, its ports, the host's link and the host's addresses be as the network needs them. */
export async function ensureNetwork(host: OvsHost, network: Network, others: readonly Network[]): Promise<void> {
  const networks = [network, ...others] as const;
  const { switchName, hostLink } = network;
  const uplinks = uplinksOf(networks);
  const doing = `set up bridge ${switchName}`;
  const { bridge, ports } = await findRows(host.ovsdb, doing, switchName, [switchName, hostLink, ...uplinks]);
  if (bridge === undefined) await refuseToMake(host, network);
  else if (network.isSwitchOurs && networkOf(bridge) === undefined) {
    throw new TsnetError("conflict", `bridge ${switchName} exists and was not made by tsnet; choose another name`);
  }
  const ofUplinks = uplinkPorts(networks);
  const wanted = [...hostPorts(network, bridge), ...ofUplinks];
  const operations =
    bridge === undefined
      ? await newBridge(host, networks, wanted)
      : [
          ...ownChanges(networks, bridge, ports.get(switchName)),
          ...wanted.flatMap((spec, n) => portChanges(bridge, ports.get(spec.name), spec, n)),
        ];
  if (operations.length > 0) await host.ovsdb.apply(doing, operations);
  if (network.isSwitchOurs) await ensureOwnLink(host, network);
  if (network.isHostOnSwitch) await ensureHostLink(host, network);
  await ensureUplinks(host, switchName, ofUplinks);
  await host.flows.ensureSwitch(switchName, networks);
  await removeStalePorts(host, network.id);
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
function hostPorts(network: Network, bridge: FoundBridge | undefined): PortSpec[] {
  if (!network.isHostOnSwitch) return [];
  const { hostLink: name, vlans, mtu, switchMac } = network;
  const mac = (network.isSwitchOurs ? bridge?.other_config["hwaddr"] : undefined) ?? switchMac;
  const { vlan } = vlans; // untagged, also where endpoints get other VLANs besides
  const columns = vlanColumns(vlan === undefined ? {} : { vlan });
  const mark = networkMark(network.id);
  return [
    {
      name,
      port: { ...columns, external_ids: mark },
      interface: { type: "internal", mac, mtu_request: mtu, external_ids: mark },
    },
  ];
}

/** A port that is there keeps the mark and the MAC that it has: it may have been made for another network. */
function portChanges(
  bridge: FoundBridge,
  found: FoundPort | undefined,
  spec: PortSpec,
  n: number,
): Operation<unknown>[] {
  if (found === undefined) return addPort(bridge.name, spec, n);
  if (!isOurPort(bridge, found)) {
    const why = "it is a port of Open vSwitch that tsnet did not make, or of another bridge";
    throw new TsnetError("conflict", `link ${spec.name} cannot be a port of ${bridge.name}: ${why}`);
  }
  const { external_ids: _mark, ...port } = spec.port;
  const { external_ids: _sameMark, mac: _mac, ...ofInterface } = spec.interface;
  return changesTo(found, { name: spec.name, port, interface: ofInterface });
}

function isOurPort(bridge: FoundBridge, { port }: FoundPort): boolean {
  return bridge.ports.includes(port._uuid) && networkOf(port) !== undefined;
}

/** Removes what `ensureNetwork` made, as far as it carries our mark and nobody else needs it. */
export async function removeNetwork(host: OvsHost, network: Network, others: readonly Network[]): Promise<void> {
  const { switchName, hostLink } = network;
  const isHostLinkNeeded = others.some((other) => other.isHostOnSwitch && other.hostLink === hostLink);
  const [own, shared] = [uplinksOf([network]), uplinksOf(others)];
  const unneeded = [...(isHostLinkNeeded ? [] : [hostLink]), ...own.filter((name) => !shared.includes(name))];
  const doing = `remove network from bridge ${switchName}`;
  const { bridge, ports } = await findRows(host.ovsdb, doing, switchName, [...unneeded, ...shared]);
  if (bridge !== undefined && network.isSwitchOurs && networkOf(bridge) === undefined) return; // somebody else's by now
  if (bridge !== undefined && network.isSwitchOurs && others.length === 0) {
    await host.flows.forget(switchName, false);
    await host.ovsdb.apply(doing, [removeBridges([bridge._uuid])]);
  } else if (bridge !== undefined) {
    const ours = unneeded.flatMap((name) => ports.get(name) ?? []).filter((port) => isOurPort(bridge, port));
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
  if (isHostLinkNeeded) {
    const link = await host.links.findLink(hostLink);
    if (link !== undefined) await removeGateways(host, network, link.index);
  } else await removeLeftLink(host, hostLink);
  if (network.isSwitchOurs && others.length === 0) await removeLeftLink(host, switchName);
}

/** Removes the bridges that carry our mark for this network, except those whose names are in use. */
export async function removeStrayBridges(host: OvsHost, networkId: string, inUse: ReadonlySet<string>): Promise<void> {
  const doing = `remove the bridge of network ${networkId}`;
  const [rows] = await host.ovsdb.transact(doing, [
    select("Bridge", [["external_ids", "includes", networkMark(networkId)]], ["_uuid", "name"]),
  ]);
  const strays = rows.filter(({ name }) => !inUse.has(name));
  if (strays.length > 0) await host.ovsdb.apply(doing, [removeBridges(strays.map(({ _uuid }) => _uuid))]);
  for (const { name } of strays) await removeLeftLink(host, name);
}

function removeBridges(ids: readonly RowId[]): Operation<number> {
  return mutate("Open_vSwitch", [], [["bridges", "delete", ids]]);
}

// A network's tunnel: a port for each peer, which carries what an endpoint of the network has. Those ports, and the host's port
// where there is a tunnel, are `protected`: what comes by one of them leaves by none of the others. Packets that are on the way
// bear DF, as Open vSwitch has it by default (`df_default`): the network's MTU leaves room for all that is put around.
// Source: ovs-vswitchd.conf.db(5), table Interface, Tunnel Options.
import { formatAddress, parseAddress } from "../../cidr.ts";
import { tunnelLinkName } from "../../cnm/names.ts";
import type { IfName, Network, Tunnel } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { select } from "../../host/ovsdb-operations.ts";
import type { RowId, StringMap } from "../../host/ovsdb-values.ts";
import { announcementFrames } from "../announcement.ts";
import type { Endpoint } from "../../cnm/endpoint.ts";
import { type OvsDatapathType, datapathTypeOf } from "./datapath-type.ts";
import type { OvsHost } from "./datapath.ts";
import { networkMark, networkOf } from "./marks.ts";
import type { FoundBridge, PortSpec } from "./rows.ts";
import { vlanColumns } from "./vlan.ts";

const KINDS = ["vxlan", "gre", "geneve"] as const satisfies readonly Tunnel["kind"][];

/** The names of a network's ports, each with its peer. */
export function tunnelEnds({
  switchName,
  tunnel,
}: Network): readonly { readonly name: IfName; readonly peer: string }[] {
  return tunnel?.peers.map((peer) => ({ name: tunnelLinkName(switchName, tunnel, peer), peer })) ?? [];
}

/** The ports of all tunnels of a switch, each once; one that two networks have gets the first one's mark. */
export function tunnelPorts(networks: readonly Network[]): readonly PortSpec[] {
  const specs = networks.flatMap((network) => {
    const external_ids = networkMark(network.id);
    const port = { ...vlanColumns(network.vlans), protected: true, external_ids };
    return tunnelEnds(network).map(({ name, peer }): [string, PortSpec] => {
      const made = { ...interfaceOf(network.tunnel, peer), external_ids };
      return [name, { name, port, interface: made }];
    });
  });
  return [...new Map(specs.toReversed()).values()];
}

function interfaceOf(tunnel: Tunnel | undefined, peer: string) {
  const { kind: type = "", local = "", vni, port } = tunnel ?? {};
  const options: StringMap = {
    remote_ip: peer,
    local_ip: local,
    ...(vni !== undefined && { key: String(vni) }),
    ...(port !== undefined && { dst_port: String(port) }),
  };
  return { type, options };
}

/**
 * Refuses a tunnel of a kind that this Open vSwitch does not have, and one whose packets would not leave: in userspace Open
 * vSwitch sends them by itself, and knows no way but its own switches.
 *
 * @param type - where the network's switch forwards.
 * @throws TsnetError `unsupported`.
 */
export async function checkTunnel(host: OvsHost, { tunnel }: Network, type: OvsDatapathType): Promise<void> {
  if (tunnel === undefined) return;
  const [rows] = await host.ovsdb.transact("look up kinds of tunnels", [select("Open_vSwitch", [], ["iface_types"])]);
  const kinds = rows[0]?.iface_types ?? [];
  if (kinds.length > 0 && !kinds.includes(tunnel.kind)) {
    const others = KINDS.filter((kind) => kinds.includes(kind)).map((kind) => `tunnel=${kind}`);
    const permitted = [...others, "backend=bridge"].join(" or ");
    throw new TsnetError(
      "unsupported",
      `option tunnel: this Open vSwitch has no ${tunnel.kind}; permitted: ${permitted}`,
    );
  }
  if (type !== "netdev") return;
  for (const name of await linksOf(host, tunnel)) {
    if (await isOnUserspaceSwitch(host, name)) continue;
    const why = `Open vSwitch in userspace sends packets of tunnels by its own switches only, and ${tunnel.local} is on ${name}`;
    const first = `a network with backend=ovs, parent=${name} and parent-address=move before this one`;
    const instead = "datapath=kernel where the kernel has Open vSwitch, or backend=bridge";
    throw new TsnetError("unsupported", `option tunnel: ${why}; permitted: ${first}, or ${instead}`);
  }
}

/** The link with the tunnel's own address, and those by which its peers are reached. */
async function linksOf({ links }: OvsHost, { local, peers }: Tunnel): Promise<readonly string[]> {
  const addresses = await links.listAddresses();
  const own = addresses.find(({ address }) => formatAddress(address) === local)?.linkIndex;
  const ways = await Promise.all(peers.map(async (peer) => (await links.routeTo(parseAddress(peer)))?.linkIndex));
  const indexes = new Set([own, ...ways]);
  return (await links.listLinks()).filter(({ index }) => indexes.has(index)).map(({ name }) => name);
}

/** Whether a link is an internal port of a bridge that forwards in userspace. */
async function isOnUserspaceSwitch({ ovsdb }: OvsHost, name: string): Promise<boolean> {
  const doing = `look whether ${name} is a port of Open vSwitch`;
  const [[port], [row]] = await ovsdb.transact(doing, [
    select("Port", [["name", "==", name]], ["_uuid"]),
    select("Interface", [["name", "==", name]], ["type"]),
  ]);
  if (port === undefined || row === undefined) return false;
  const [[bridge]] = await ovsdb.transact(doing, [
    select("Bridge", [["ports", "includes", [port._uuid]]], ["name", "datapath_type"]),
  ]);
  const isInternal = row.type === "internal" || bridge?.name === name;
  return bridge !== undefined && isInternal && datapathTypeOf(bridge) === "netdev";
}

/** Ports of ours in a bridge that belong to no tunnel of its networks. @returns the ids of their rows. */
export async function strayTunnels(
  { ovsdb }: OvsHost,
  bridge: FoundBridge,
  networks: readonly Network[],
): Promise<readonly RowId[]> {
  const doing = `look for tunnels of bridge ${bridge.name}`;
  const wanted = new Set<string>(networks.flatMap(tunnelEnds).map(({ name }) => name));
  const found = await ovsdb.transact(
    doing,
    KINDS.map((kind) => select("Interface", [["type", "==", kind]], ["name", "external_ids"])),
  );
  const names = found.flat().flatMap((row) => (networkOf(row) === undefined || wanted.has(row.name) ? [] : [row.name]));
  if (names.length === 0) return [];
  const ports = await ovsdb.transact(
    doing,
    names.map((name) => select("Port", [["name", "==", name]], ["_uuid", "external_ids"])),
  );
  const own = ports.flat().filter((row) => networkOf(row) !== undefined && bridge.ports.includes(row._uuid));
  return own.map(({ _uuid }) => _uuid);
}

/** Makes sure that Open vSwitch could make the ports. @throws TsnetError `host` with its words and the ways out. */
export async function requireTunnel({ ovsdb }: OvsHost, network: Network): Promise<void> {
  const { tunnel } = network;
  if (tunnel === undefined) return;
  const names = tunnelEnds(network).map(({ name }) => name);
  try {
    await ovsdb.requireInterfaces(`make tunnel ${tunnel.kind} of bridge ${network.switchName}`, names);
  } catch (failure) {
    if (!(failure instanceof TsnetError) || failure.code !== "host") throw failure;
    const permitted = "permitted: another tunnel, or another port or vni if somebody else has these, or backend=bridge";
    throw new TsnetError("host", `${failure.message}; ${permitted}`, { cause: failure });
  }
}

/** Has the switch send the announcements of an endpoint out of the tunnel's ports. */
export async function announce(host: OvsHost, network: Network, endpoint: Endpoint): Promise<void> {
  const names = tunnelEnds(network).map(({ name }) => name);
  await host.flows.announce(network, endpoint, { names, frames: announcementFrames(network, endpoint) });
}

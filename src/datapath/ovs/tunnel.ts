// A network's tunnel: a port for each peer, which carries what an endpoint of the network has. Those ports, and the host's port
// where there is a tunnel, are `protected`: what comes by one of them leaves by none of the others. Packets that are on the way
// bear DF, as Open vSwitch has it by default (`df_default`): the network's MTU leaves room for all that is put around.
// Source: ovs-vswitchd.conf.db(5), table Interface, Tunnel Options.
import { tunnelLinkName } from "../../cnm/names.ts";
import type { IfName, Network, Tunnel } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { select } from "../../host/ovsdb-operations.ts";
import type { RowId, StringMap } from "../../host/ovsdb-values.ts";
import { announcementFrames } from "../announcement.ts";
import type { Endpoint } from "../../cnm/endpoint.ts";
import type { OvsHost } from "./datapath.ts";
import { networkMark, networkOf } from "./marks.ts";
import type { FoundBridge, PortSpec } from "./rows.ts";
import { vlanColumns } from "./vlan.ts";

/** Each kind; Open vSwitch has the same names. */
export const TUNNEL_KINDS = ["vxlan", "gre", "geneve"] as const satisfies readonly Tunnel["kind"][];

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
    TUNNEL_KINDS.map((kind) => select("Interface", [["type", "==", kind]], ["name", "external_ids"])),
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

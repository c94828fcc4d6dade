// Whether this Open vSwitch can have a network's tunnel. In userspace it sends the packets by itself, past the kernel, and knows
// no way but internal ports of its own bridges (Documentation/howto/userspace-tunneling.rst).
import { formatAddress, parseAddress } from "../../cidr.ts";
import type { Network, Tunnel } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { select } from "../../host/ovsdb-operations.ts";
import { type OvsDatapathType, datapathTypeOf } from "./datapath-type.ts";
import type { OvsHost } from "./datapath.ts";
import { TUNNEL_KINDS } from "./tunnel.ts";

const INSTEAD = "datapath=kernel where the kernel has Open vSwitch, or backend=bridge";

/**
 * Refuses a tunnel of a kind that this Open vSwitch does not have, and one whose packets would not leave. Changes nothing.
 *
 * @param type - where the network's switch forwards.
 * @throws TsnetError `unsupported` with the ways out.
 */
export async function checkTunnel(host: OvsHost, { tunnel }: Network, type: OvsDatapathType): Promise<void> {
  if (tunnel === undefined) return;
  const [rows] = await host.ovsdb.transact("look up kinds of tunnels", [select("Open_vSwitch", [], ["iface_types"])]);
  const kinds = rows[0]?.iface_types ?? [];
  if (kinds.length > 0 && !kinds.includes(tunnel.kind)) {
    const others = TUNNEL_KINDS.filter((kind) => kinds.includes(kind)).map((kind) => `tunnel=${kind}`);
    const permitted = [...others, "backend=bridge"].join(" or ");
    throw new TsnetError(
      "unsupported",
      `option tunnel: this Open vSwitch has no ${tunnel.kind}; permitted: ${permitted}`,
    );
  }
  if (type === "netdev") for (const link of await linksOf(host, tunnel)) await requireWayOut(host, tunnel, link);
}

interface Underlay {
  readonly name: string;
  readonly hasIpv4: boolean;
}

/** The link with the tunnel's own address, and those by which its peers are reached. */
async function linksOf({ links }: OvsHost, { local, peers }: Tunnel): Promise<readonly Underlay[]> {
  const addresses = await links.listAddresses();
  const own = addresses.find(({ address }) => formatAddress(address) === local)?.linkIndex;
  const ways = await Promise.all(peers.map(async (peer) => (await links.routeTo(parseAddress(peer)))?.linkIndex));
  const used = (await links.listLinks()).filter(({ index }) => index === own || ways.includes(index));
  const hasIpv4 = (index: number) =>
    addresses.some(({ linkIndex, address }) => linkIndex === index && address.family === 4);
  return used.map(({ name, index }) => ({ name, hasIpv4: hasIpv4(index) }));
}

async function requireWayOut(host: OvsHost, { local }: Tunnel, { name, hasIpv4 }: Underlay): Promise<void> {
  const bridgeName = await findUserspaceBridge(host, name);
  if (bridgeName === undefined) {
    const why = `Open vSwitch in userspace sends packets of tunnels by its own bridges only, and ${local} is on ${name}`;
    const first = `a network with backend=ovs, parent=${name} and parent-address=move before this one`;
    throw new TsnetError("unsupported", `option tunnel: ${why}; permitted: ${first}, or ${INSTEAD}`);
  }
  if (!local.includes(":") || bridgeName === name || !hasIpv4) return;
  // It takes advertisements for the first address of such a port alone, which is that of IPv4 (Open vSwitch 3.1).
  const why = `Open vSwitch in userspace finds no peers by IPv6 on ${name}, which has addresses of IPv4 as well`;
  throw new TsnetError("unsupported", `option tunnel: ${why}; permitted: peers and local of IPv4, or ${INSTEAD}`);
}

/** The bridge that forwards in userspace and of which a link is an internal port. */
async function findUserspaceBridge({ ovsdb }: OvsHost, name: string): Promise<string | undefined> {
  const doing = `look whether ${name} is a port of Open vSwitch`;
  const [[port], [row]] = await ovsdb.transact(doing, [
    select("Port", [["name", "==", name]], ["_uuid"]),
    select("Interface", [["name", "==", name]], ["type"]),
  ]);
  if (port === undefined || row === undefined) return undefined;
  const [[bridge]] = await ovsdb.transact(doing, [
    select("Bridge", [["ports", "includes", [port._uuid]]], ["name", "datapath_type"]),
  ]);
  if (bridge === undefined || datapathTypeOf(bridge) !== "netdev") return undefined;
  return row.type === "internal" || bridge.name === name ? bridge.name : undefined;
}

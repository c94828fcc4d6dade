// A network's tunnel as ports of its bridge: a VXLAN link reaches all peers, of the other kinds a link leads to each. What comes
// from one peer goes to no other: a bridge sends nothing back by the port by which it came, and nothing from one isolated port
// to another. What a port of a tunnel carries is what an endpoint of the network has. That nothing passes between a tunnel and
// the host itself is the rules' part (nat/table-bridge.ts).
import { type Address, formatAddress, parseAddress } from "../../cidr.ts";
import { tunnelLinkName } from "../../cnm/names.ts";
import type { IfName, Network, Tunnel } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { isErrno } from "../../host/netlink.ts";
import { isPortAs } from "../../host/rtnetlink-bridge-port.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import { type NewTunnel, type TunnelKind, isSameTunnel } from "../../host/rtnetlink-tunnel.ts";
import { LINK_GROUP } from "../../link-group.ts";
import { formatMark, isOfNetwork, nameTaken, readMark } from "../mark.ts";
import type { BridgeHost } from "./datapath.ts";
import type { SharedBridge } from "./uplink.ts";
import { ensurePortVlans } from "./vlan.ts";

/** Linux takes 16777215 of VXLAN, and not of Geneve (drivers/net/geneve.c, geneve_validate). */
const MOST_GENEVE_VNI = 16_777_214;

/** A link of a tunnel as it shall be. */
interface TunnelLink {
  readonly name: IfName;
  readonly tunnel: NewTunnel;
  /** Of VXLAN. */
  readonly floodPeers?: readonly Address[];
}

/**
 * Refuses a tunnel that this kernel cannot have, or for whose links others have the names. Changes nothing.
 *
 * @throws TsnetError `unsupported`, `invalid`, `conflict`.
 */
export async function checkTunnel({ links }: BridgeHost, network: Network): Promise<void> {
  const { tunnel } = network;
  if (tunnel === undefined) return;
  if (tunnel.kind === "geneve" && tunnel.vni !== undefined && tunnel.vni > MOST_GENEVE_VNI) {
    const range = `permitted with backend=bridge and tunnel=geneve: 1-${MOST_GENEVE_VNI}`;
    throw new TsnetError("invalid", `option vni: Linux has no ${tunnel.vni} there; ${range}`);
  }
  const kind = kindOf(tunnel);
  if (!(await links.hasTunnels(kind))) {
    const what = `this kernel has no links of kind ${kind}, which tunnel=${tunnel.kind} needs on a Linux bridge`;
    throw new TsnetError("unsupported", `${what}; permitted: another tunnel, or backend=ovs`);
  }
  if (tunnel.kind === "geneve") await refuseOtherSource(links, tunnel);
  for (const { name } of tunnelLinks(network)) {
    const found = await links.findLink(name);
    if (found !== undefined && !isOfNetwork(found)) throw nameTaken(found);
  }
}

/** A Geneve link knows no address of its own host: its packets have the one that the route to the peer says. */
async function refuseOtherSource(links: BridgeHost["links"], { local, peers }: Tunnel): Promise<void> {
  for (const peer of peers) {
    const path = await links.routeTo(parseAddress(peer));
    const source = path && formatAddress(path.source);
    if (source === undefined || source === local) continue;
    const why = `Linux sends Geneve to ${peer} from ${source}, and can be told no other address`;
    const permitted = `permitted with tunnel=geneve: ${source}; else another tunnel, or backend=ovs`;
    throw new TsnetError("unsupported", `option local: ${local} cannot be had: ${why}; ${permitted}`);
  }
}

/** Makes the tunnels of all networks be ports of their bridge. */
export async function ensureTunnels(host: BridgeHost, { bridge, isOurs, networks }: SharedBridge): Promise<void> {
  for (const network of networks) {
    for (const wanted of tunnelLinks(network)) {
      const link = await ensureLink(host, network, wanted);
      if (wanted.floodPeers !== undefined) await host.links.setFloodPeers(link.index, wanted.floodPeers);
      const vlans = { vlans: network.vlans, isBridgeOurs: isOurs };
      await ensurePort(host, bridge, link, vlans).catch((failure: unknown) => {
        throw portTaken(network, failure) ?? failure;
      });
    }
  }
}

/** Removes the links of a network's tunnel, but for those that another network has as well. */
export async function removeTunnel({ links }: BridgeHost, network: Network, others: readonly Network[]): Promise<void> {
  const shared = new Set(others.flatMap(tunnelLinks).map(({ name }) => name));
  for (const { name } of tunnelLinks(network)) {
    const link = shared.has(name) ? undefined : await links.findLink(name);
    if (link !== undefined && isOfNetwork(link)) await links.deleteLink(link.index);
  }
}

/** The links of the network's tunnel that are there and up. */
export async function openTunnelLinks({ links }: BridgeHost, network: Network): Promise<Link[]> {
  const found = await Promise.all(tunnelLinks(network).map(({ name }) => links.findLink(name)));
  return found.filter((link) => link !== undefined).filter(({ isUp }) => isUp);
}

async function ensureLink({ links }: BridgeHost, network: Network, wanted: TunnelLink): Promise<Link> {
  const { name, tunnel } = wanted;
  const { mtu } = network;
  const alias = formatMark("network", network.id);
  let found = await links.findLink(name);
  if (found !== undefined && !isOfNetwork(found)) throw nameTaken(found);
  if (found !== undefined && (found.tunnel === undefined || !isSameTunnel(found.tunnel, tunnel))) {
    await links.deleteLink(found.index); // somebody gave this one's name to another one of ours
    found = undefined;
  }
  if (found === undefined) {
    const index = await links.addTunnel({ name, tunnel, mtu, group: LINK_GROUP, isUp: false });
    await links.setLink(index, { alias });
    return links.requireLink(name);
  }
  const differing = { ...(found.mtu !== mtu && { mtu }), ...(readMark("network", found) === undefined && { alias }) };
  if (Object.keys(differing).length > 0) await links.setLink(found.index, differing);
  return found;
}

/** A port has its VLANs and is isolated before it is set up. It is no party on the network: it has no address. */
async function ensurePort(
  host: BridgeHost,
  bridge: Link,
  link: Link,
  vlans: Parameters<typeof ensurePortVlans>[3],
): Promise<void> {
  const isInBridge = link.masterIndex === bridge.index;
  if (!isInBridge && link.isUp) await host.links.setLink(link.index, { isUp: false });
  if (!isInBridge) {
    await host.links.setAddressGeneration(link.index, "none");
    await host.links.setLink(link.index, { masterIndex: bridge.index });
  }
  await ensurePortVlans(host, bridge, link.index, vlans);
  const bridgePort = { isIsolated: true, isHairpin: false };
  if (isInBridge && link.isUp && isPortAs(bridgePort, link.bridgePort ?? {})) return;
  await host.links.setLink(link.index, { bridgePort, isUp: true });
}

function tunnelLinks({ switchName, tunnel }: Network): TunnelLink[] {
  if (tunnel === undefined) return [];
  const { vni = 0, port = 0 } = tunnel; // they have them but for GRE
  const local = parseAddress(tunnel.local);
  const peers = tunnel.peers.map((text) => ({
    name: tunnelLinkName(switchName, tunnel, text),
    remote: parseAddress(text),
  }));
  switch (tunnel.kind) {
    case "vxlan": {
      const name = tunnelLinkName(switchName, tunnel);
      const floodPeers = peers.map(({ remote }) => remote);
      return [{ name, tunnel: { kind: "vxlan", vni, local, port }, floodPeers }];
    }
    case "geneve":
      return peers.map(({ name, remote }) => ({ name, tunnel: { kind: "geneve", vni, remote, port } }));
    case "gre": {
      const kind = local.family === 4 ? "gretap" : "ip6gretap";
      const key = tunnel.vni === undefined ? {} : { key: tunnel.vni };
      return peers.map(({ name, remote }) => ({ name, tunnel: { kind, ...key, local, remote } }));
    }
  }
}

/** Linux binds the UDP port when the link is set up, and shares it with links of the same kind and the same settings alone. */
function portTaken({ tunnel }: Network, failure: unknown): TsnetError | undefined {
  if (tunnel === undefined || !isErrno(failure, "EADDRINUSE")) return undefined;
  const who = `a program, or a tunnel that is made otherwise, as Open vSwitch's in the kernel`;
  const what = `option port: UDP port ${tunnel.port} of this host is in use by ${who}`;
  return new TsnetError("conflict", `${what}; permitted with tunnel=${tunnel.kind}: another port`, { cause: failure });
}

/** The kernel's name. */
function kindOf({ kind, local }: Tunnel): TunnelKind {
  if (kind !== "gre") return kind;
  return local.includes(":") ? "ip6gretap" : "gretap";
}

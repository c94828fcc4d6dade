// What must be in the sets about tunnels: the links that lead to the peers, the gateways that no host asks another one for, and
// who may speak to whom in a tunnel.
import { tunnelLinkName } from "../cnm/names.ts";
import type { IfName, Network, Tunnel } from "../cnm/network.ts";
import { addressPart, ifNamePart, keyPart, portPart, vlanPart, vniPart } from "./element-key.ts";
import type { Elements } from "./element-sets.ts";

/** IANA "Protocol Numbers". A key of one part is not filled up. */
const GRE = Buffer.of(47);

/** Adds what the rules must know of a network's tunnel, if it has one. */
export function addTunnel(elements: Elements, network: Network): void {
  const { tunnel, backend } = network;
  if (tunnel === undefined) return;
  addPeers(elements, tunnel);
  if (backend === "bridge") addLinks(elements, network, tunnel); // frames of Open vSwitch never come to the bridge table
}

function addLinks(elements: Elements, network: Network, tunnel: Tunnel): void {
  const { vlan, trunk } = network.vlans;
  const gateways = network.pools.flatMap(({ gateway }) => (network.isHostOnSwitch ? (gateway ?? []) : []));
  for (const name of linksOf(network, tunnel)) {
    const link = ifNamePart(name);
    elements.add("tunnels", [link]);
    if (trunk === undefined) elements.add("untagged", [link]);
    else if (vlan !== undefined) elements.add("native", [link, vlanPart(vlan)]);
    for (const gateway of gateways) {
      elements.add(gateway.includes(":") ? "reserved6" : "reserved4", [link, addressPart(gateway)]);
    }
  }
}

/** One link reaches all peers of VXLAN; the others have one for each. */
function linksOf({ switchName }: Network, tunnel: Tunnel): readonly IfName[] {
  if (tunnel.kind === "vxlan") return [tunnelLinkName(switchName, tunnel)];
  return tunnel.peers.map((peer) => tunnelLinkName(switchName, tunnel, peer));
}

function addPeers(elements: Elements, { vni, port, peers }: Tunnel): void {
  const number = port === undefined ? [] : [portPart(port), vniPart(vni ?? 0)];
  if (port !== undefined) elements.add("vnis", number);
  else if (vni === undefined) elements.add("keyless", [GRE]);
  else elements.add("keys", [keyPart(vni)]);
  for (const peer of peers) {
    const family = peer.includes(":") ? 6 : 4;
    elements.add(`ends${family}`, [addressPart(peer)]);
    if (port !== undefined) elements.add(`peers${family}`, [...number, addressPart(peer)]);
  }
}

// The host's link into a VLAN of a bridge: a VLAN link above it, with the bridge's MAC address, whose frames the bridge
// hands up for the bridge itself to be in that VLAN. A link that tsnet did not make is never changed.
import type { Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import { LINK_GROUP } from "../../link-group.ts";
import { ensureGateways, ensureHostSettings } from "../host-link.ts";
import { formatMark, isOfNetwork, nameTaken, readMark } from "../mark.ts";
import type { BridgeHost } from "./datapath.ts";
import { admitHost, dismissHost } from "./vlan.ts";

/** Makes the link be there with the network's addresses. The bridge is up and tells VLANs apart. */
export async function ensureVlanLink(host: BridgeHost, bridge: Link, network: Network, vlanId: number): Promise<void> {
  const mtu = Math.min(network.mtu, bridge.mtu); // a foreign bridge may carry less
  if (!network.isSwitchOurs) await admitHost(host, bridge, vlanId);
  const link = await ensureLink(host, bridge, network, { vlanId, mtu });
  const differing = {
    ...(link.mac !== bridge.mac && { mac: bridge.mac }),
    ...(link.mtu !== mtu && { mtu }),
    ...(readMark("network", link) === undefined && { alias: formatMark("network", network.id) }),
  };
  if (Object.keys(differing).length > 0) await host.links.setLink(link.index, differing);
  await ensureHostSettings(host, network, link);
  await ensureGateways(host, network, link.index);
  if (!link.isUp) await host.links.setLink(link.index, { isUp: true });
}

/** Removes the link as far as it is tsnet's. Absent is no failure. */
export async function removeVlanLink(host: BridgeHost, bridge: Link, network: Network, vlanId: number): Promise<void> {
  const link = await host.links.findLink(network.hostLink);
  if (link !== undefined && !isOfNetwork(link)) return;
  if (link !== undefined) await host.links.deleteLink(link.index);
  if (!network.isSwitchOurs) await dismissHost(host, bridge, vlanId);
}

/**
 * Refuses a VLAN in which the host has a link of somebody else's already, or whose link has another one's name.
 *
 * @throws TsnetError `conflict`.
 */
export async function refuseForeignLink({ links }: BridgeHost, bridge: Link, network: Network): Promise<void> {
  const { hostLink, switchName, vlans } = network;
  for (const link of await links.listLinks()) {
    const isThere = link.kind === "vlan" && link.peerIndex === bridge.index && link.vlanId === vlans.vlan;
    if (isThere && !isOfNetwork(link)) {
      const why = `the host has link ${link.name} there, which tsnet did not make`;
      throw new TsnetError("conflict", `VLAN ${vlans.vlan} of bridge ${switchName} cannot get a gateway: ${why}`);
    }
    if (link.name === hostLink && !isOfNetwork(link)) throw nameTaken(link);
  }
}

async function ensureLink(
  { links }: BridgeHost,
  bridge: Link,
  { hostLink: name }: Network,
  { vlanId, mtu }: { readonly vlanId: number; readonly mtu: number },
): Promise<Link> {
  const found = await links.findLink(name);
  if (found !== undefined && !isOfNetwork(found)) throw nameTaken(found);
  if (found?.kind === "vlan" && found.peerIndex === bridge.index && found.vlanId === vlanId) return found;
  if (found !== undefined) await links.deleteLink(found.index); // somebody gave this one's name to another one of ours
  await links.addVlan({ name, parentIndex: bridge.index, vlanId, mtu, group: LINK_GROUP, isUp: false });
  return links.requireLink(name);
}

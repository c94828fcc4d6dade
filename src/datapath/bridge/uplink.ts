// The links of the host that lead from a bridge to the world: ports that carry exactly the VLANs of the networks that use
// them. The kernel sets a port's link to promiscuous mode and back.
import type { IfName, Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { isPortAs } from "../../host/rtnetlink-bridge-port.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import type { PortVlan } from "../../host/rtnetlink-port-vlan.ts";
import { uplinkVlans, uplinksOf } from "../uplink/uplink-vlans.ts";
import type { BridgeHost } from "./datapath.ts";
import { uplinkSettingsOf } from "./settings.ts";
import { hasVlans, taggedIn, untaggedIn, untaggedVid } from "./vlan.ts";

/** A bridge with all of its networks. */
export interface SharedBridge {
  readonly bridge: Link;
  readonly isOurs: boolean;
  readonly networks: readonly Network[];
}

/** Makes every uplink of a bridge a port of it. One that is not there is put in when it comes (the host is watched). */
export async function ensureUplinks(host: BridgeHost, shared: SharedBridge): Promise<void> {
  for (const parent of uplinksOf(shared.networks)) {
    const link = await host.links.findLink(parent);
    if (link !== undefined) await ensureUplink(host, shared, link);
  }
}

/** Gives a link back to the host. One that is not there, or elsewhere by now, is left. */
export async function releaseUplink({ links }: BridgeHost, bridge: Link, parent: IfName): Promise<void> {
  const link = await links.findLink(parent);
  if (link?.masterIndex === bridge.index) await links.setLink(link.index, { masterIndex: 0 });
}

async function ensureUplink(host: BridgeHost, shared: SharedBridge, link: Link): Promise<void> {
  const { bridge, networks } = shared;
  const wanted = hasVlans(bridge) ? vlansOf(shared, link) : undefined;
  const isInBridge = link.masterIndex === bridge.index;
  if (!isInBridge) await putIn(host, shared, link, wanted);
  if (wanted !== undefined) await host.links.setPortVlans(link.index, wanted);
  const bridgePort = uplinkSettingsOf(link.name, networks);
  const isRight = link.bridgePort !== undefined && isPortAs(bridgePort, link.bridgePort);
  if (isInBridge && isRight && link.isUp) return;
  await host.links.setLink(link.index, { bridgePort, isUp: true });
}

/** A port that a foreign bridge gives a VLAN by itself is down until it has its own. */
async function putIn(
  { links }: BridgeHost,
  { bridge }: SharedBridge,
  link: Link,
  wanted: readonly PortVlan[] | undefined,
): Promise<void> {
  if (link.masterIndex !== undefined) {
    throw new TsnetError(
      "conflict",
      `link ${link.name} cannot be a port of ${bridge.name}: it belongs to another link`,
    );
  }
  const given = bridge.bridge?.defaultPvid ?? 0;
  const isGivenTooMuch = wanted !== undefined && given !== 0 && !wanted.some(({ vid }) => vid === given);
  if (isGivenTooMuch && link.isUp) await links.setLink(link.index, { isUp: false });
  await links.setLink(link.index, { masterIndex: bridge.index });
}

/** The addresses that the host had on an uplink were in its untagged frames, whatever the networks carry. */
function vlansOf({ bridge, isOurs, networks }: SharedBridge, { name }: Link): PortVlan[] {
  const { tagged, isUntagged } = uplinkVlans(name as IfName, networks); // the name of an uplink
  const isMoved = networks.some(({ uplink }) => uplink?.parent === name && uplink.isAddressMoved);
  const untagged = isUntagged || isMoved ? untaggedIn(untaggedVid(bridge, isOurs)) : [];
  return [...untagged, ...taggedIn(tagged.filter((vid) => untagged[0]?.vid !== vid))];
}

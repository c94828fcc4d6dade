// VLANs on a Linux bridge: which ones a port has, and how a bridge comes to tell them apart. A bridge of tsnet's own gives
// a port no VLAN by itself (`vlan_default_pvid 0`): a port carries what it is told, and before that nothing. Untagged
// networks beside VLANs live in a VLAN that no wire sees. Follows bridge(8), `bridge vlan`, and net/bridge/br_vlan.c.
import type { Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import type { PortVlan } from "../../host/rtnetlink-port-vlan.ts";
import { type PortVlans, UNTAGGED_VID, allVlans } from "../../vlan.ts";
import type { BridgeHost } from "./datapath.ts";

/** Whether a bridge with these networks must tell VLANs apart. */
export function needsVlans(networks: readonly Pick<Network, "vlans">[]): boolean {
  return networks.some(({ vlans }) => allVlans(vlans).length > 0);
}

/** Whether a bridge tells VLANs apart. */
export function hasVlans({ bridge }: Link): boolean {
  return bridge?.vlanFiltering === true;
}

/** Whether a bridge could, on this kernel. */
export function canHaveVlans({ bridge }: Link): boolean {
  return bridge?.vlanFiltering !== undefined;
}

/** The VLAN of untagged frames, as the bridge has it; undefined for none. */
export function untaggedVid(bridge: Link | undefined, isOurs: boolean): number | undefined {
  return isOurs ? UNTAGGED_VID : bridge?.bridge?.defaultPvid || undefined; // 0 is none
}

/** Has the VLAN and gives it out without a tag. */
export function untaggedIn(vid: number | undefined): PortVlan[] {
  return vid === undefined ? [] : [{ vid, isPvid: true, isUntagged: true }];
}

/** Have the VLANs with a tag. */
export function taggedIn(vids: readonly number[]): PortVlan[] {
  return vids.map((vid) => ({ vid, isPvid: false, isUntagged: false }));
}

/** What a port has that shall carry this. @param vid - that of untagged networks. */
export function portVlansOf({ vlan, trunk = [] }: PortVlans, vid: number | undefined = UNTAGGED_VID): PortVlan[] {
  return [...untaggedIn(vlan ?? (trunk.length === 0 ? vid : undefined)), ...taggedIn(trunk)];
}

/**
 * Makes a port of a container or of a tunnel have its VLANs. A foreign bridge gives untagged ports what it gives to all.
 *
 * @throws TsnetError `host`.
 */
export async function ensurePortVlans(
  { links }: BridgeHost,
  bridge: Link,
  index: number,
  { vlans, isBridgeOurs }: { readonly vlans: PortVlans; readonly isBridgeOurs: boolean },
): Promise<void> {
  const isTagged = needsVlans([{ vlans }]);
  if (isTagged && !hasVlans(bridge)) {
    throw new TsnetError("host", `bridge ${bridge.name} does not tell VLANs apart any more: somebody switched it off`);
  }
  if (isTagged || (isBridgeOurs && canHaveVlans(bridge))) await links.setPortVlans(index, portVlansOf(vlans));
}

/**
 * Makes a bridge of tsnet's own tell VLANs apart if one of the networks needs it, and be in the VLANs in which the host is.
 * The ports of a bridge that did not so far are in the VLAN of the untagged before it begins: no frame is lost.
 */
export async function ensureVlans({ links }: BridgeHost, bridge: Link, networks: readonly Network[]): Promise<void> {
  if (!canHaveVlans(bridge)) {
    if (needsVlans(networks)) throw new TsnetError("unsupported", `bridge ${bridge.name} can have no VLANs`);
    return;
  }
  if (bridge.bridge?.defaultPvid !== 0) await links.setLink(bridge.index, { bridge: { defaultPvid: 0 } });
  if (!hasVlans(bridge) && !needsVlans(networks)) return;
  if (!hasVlans(bridge)) await admitPorts(links, bridge);
  await links.setPortVlans(bridge.index, hostVlans(networks), { isSelf: true });
  if (!hasVlans(bridge)) await links.setLink(bridge.index, { bridge: { vlanFiltering: true } });
}

/** Adds a VLAN of the host's to a bridge that somebody else made, whatever else that has. */
export async function admitHost({ links }: BridgeHost, bridge: Link, vid: number): Promise<void> {
  const present = await links.portVlans(bridge.index);
  if (present.some((vlan) => vlan.vid === vid)) return;
  await links.setPortVlans(bridge.index, [...present, ...taggedIn([vid])], { isSelf: true });
}

/** Takes it back, as far as it is as `admitHost` made it. */
export async function dismissHost({ links }: BridgeHost, bridge: Link, vid: number): Promise<void> {
  const present = await links.portVlans(bridge.index);
  const rest = present.filter((vlan) => vlan.vid !== vid || vlan.isPvid || vlan.isUntagged);
  await links.setPortVlans(bridge.index, rest, { isSelf: true });
}

/** In which VLANs the host is: with a gateway of a network, or with the addresses that were on an uplink. */
function hostVlans(networks: readonly Network[]): PortVlan[] {
  const withHost = networks.filter(({ isHostOnSwitch }) => isHostOnSwitch);
  const isUntagged =
    withHost.some(({ vlans }) => allVlans(vlans).length === 0) ||
    networks.some(({ uplink }) => uplink?.isAddressMoved === true);
  const vids = new Set(withHost.flatMap(({ vlans }) => vlans.vlan ?? []));
  return [...(isUntagged ? untaggedIn(UNTAGGED_VID) : []), ...taggedIn([...vids])];
}

/** Ports that have VLANs had them before somebody switched the filtering off. The addresses behind a port go by VLAN. */
async function admitPorts(links: BridgeHost["links"], bridge: Link): Promise<void> {
  for (const port of await links.listLinks()) {
    if (port.masterIndex !== bridge.index || (await links.portVlans(port.index)).length > 0) continue;
    await links.setPortVlans(port.index, untaggedIn(UNTAGGED_VID));
    for (const mac of await links.listFdbEntries(port.index)) await links.ensureFdbEntry(port.index, mac);
  }
}

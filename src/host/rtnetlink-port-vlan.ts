// The VLANs of bridge ports and of bridges themselves, as rtnetlink says them: what `bridge vlan` shows, adds and deletes.
// Follows bridge(8), include/uapi/linux/if_bridge.h, net/bridge/br_netlink.c (br_afspec, br_process_vlan_info) for changes
// and net/bridge/br_vlan.c (br_vlan_rtm_dump) for reading: unlike the listing of links, which takes no index, that gives
// the VLANs of one link alone, however many ports there are. Linux 5.6.
import { TsnetError } from "../errors.ts";
import { AF_BRIDGE } from "./libc.ts";
import { bytesAttribute, nestedAttribute, parseAttributeList, parseAttributes, u16Attribute } from "./netlink.ts";
import { IFLA, linkHeader } from "./rtnetlink-link.ts";
import { type LinkRequests, RTM } from "./rtnetlink-requests.ts";

const IFLA_BRIDGE = { FLAGS: 0, VLAN_INFO: 2 } as const;
const BRIDGE_FLAGS_SELF = 2;
const VLAN_INFO = { PVID: 1 << 1, UNTAGGED: 1 << 2, RANGE_BEGIN: 1 << 3, RANGE_END: 1 << 4 } as const;

const BRIDGE_VLANDB_ENTRY = 1;
const BRIDGE_VLANDB_ENTRY_INFO = 1;
const BRIDGE_VLANDB_ENTRY_RANGE = 2;
const VLAN_HEADER_LENGTH = 8;

/** A VLAN of a bridge port, or of a bridge itself. */
export interface PortVlan {
  /** 1 to 4094. */
  readonly vid: number;
  /** Untagged frames that come in belong to it. A port has at most one such VLAN. */
  readonly isPvid: boolean;
  /** Its frames leave without tag. */
  readonly isUntagged: boolean;
}

/** VLANs that follow each other and are alike. */
interface VlanRange {
  readonly first: number;
  readonly last: number;
  /** Of VLAN_INFO. */
  readonly flags: number;
}

/** What has to be sent so that a link has the wanted VLANs. */
export interface VlanDifference {
  /** To add, or to have with other flags. */
  readonly added: readonly PortVlan[];
  readonly removed: readonly PortVlan[];
}

/** The VLANs of one link, see `Rtnetlink.portVlans`. */
export async function listPortVlans(requests: LinkRequests, index: number): Promise<PortVlan[]> {
  const request = { type: RTM.GETVLAN, parts: vlanListParts(index) };
  return (await requests.dump(requests.naming("list VLANs of", index), request)).flatMap(parsePortVlans);
}

/** Makes one link have exactly these VLANs, see `Rtnetlink.setPortVlans`. @param isSelf - the link is the bridge itself. */
export async function setPortVlans(
  requests: LinkRequests,
  index: number,
  wanted: readonly PortVlan[],
  isSelf: boolean,
): Promise<void> {
  const { added, removed } = vlanDifference(wanted, await listPortVlans(requests, index));
  const change = (doing: string, type: number, vlans: readonly PortVlan[]) =>
    requests.change({ doing, index, type, parts: vlanChangeParts(index, vlans, isSelf) });
  if (added.length > 0) await change("add VLANs to", RTM.SETLINK, added);
  if (removed.length > 0) await change("remove VLANs of", RTM.DELLINK, removed);
}

/** RTM_GETVLAN, to list the VLANs of one link. */
export function vlanListParts(index: number): Buffer[] {
  const header = Buffer.alloc(VLAN_HEADER_LENGTH); // struct br_vlan_msg
  header.writeUInt8(AF_BRIDGE, 0);
  header.writeUInt32LE(index, 4);
  return [header];
}

/** Reads the payload of an RTM_NEWVLAN message. */
export function parsePortVlans(payload: Buffer): PortVlan[] {
  return parseAttributeList(payload.subarray(VLAN_HEADER_LENGTH))
    .filter(({ type }) => type === BRIDGE_VLANDB_ENTRY)
    .flatMap(({ value }) => parseEntry(value));
}

/** RTM_SETLINK that adds VLANs, or RTM_DELLINK that removes them. @param isSelf - the link is the bridge itself. */
export function vlanChangeParts(index: number, vlans: readonly PortVlan[], isSelf: boolean): Buffer[] {
  const flags = isSelf ? [u16Attribute(IFLA_BRIDGE.FLAGS, BRIDGE_FLAGS_SELF)] : []; // without: its bridge is asked
  const infos = rangesOf(vlans).flatMap(infoAttributes);
  return [linkHeader(index, { family: AF_BRIDGE }), nestedAttribute(IFLA.AF_SPEC, [...flags, ...infos])];
}

/**
 * What there is to add and to remove.
 *
 * @throws TsnetError `internal` for a list that no port can have: a VLAN outside 1 to 4094, one twice, two with `isPvid`.
 */
export function vlanDifference(wanted: readonly PortVlan[], present: readonly PortVlan[]): VlanDifference {
  checkVlans(wanted);
  const flagsOfWanted = new Map(wanted.map((vlan) => [vlan.vid, flagsOf(vlan)]));
  const flagsOfPresent = new Map(present.map((vlan) => [vlan.vid, flagsOf(vlan)]));
  return {
    added: wanted.filter((vlan) => flagsOfPresent.get(vlan.vid) !== flagsOf(vlan)),
    removed: present.filter(({ vid }) => !flagsOfWanted.has(vid)),
  };
}

function checkVlans(vlans: readonly PortVlan[]): void {
  const fault = (text: string) => new TsnetError("internal", `a bridge port cannot have these VLANs: ${text}`);
  for (const { vid } of vlans) {
    if (!Number.isInteger(vid) || vid < 1 || vid > 4094) throw fault(`${vid} is outside 1..4094`);
  }
  if (new Set(vlans.map(({ vid }) => vid)).size !== vlans.length) throw fault("one is given twice");
  if (vlans.filter(({ isPvid }) => isPvid).length > 1) throw fault("more than one takes the untagged frames");
}

function parseEntry(value: Buffer): PortVlan[] {
  const entry = parseAttributes(value);
  const info = entry.get(BRIDGE_VLANDB_ENTRY_INFO); // struct bridge_vlan_info: u16 flags, u16 vid
  if (info === undefined) return [];
  const [flags, first] = [info.readUInt16LE(0), info.readUInt16LE(2)];
  const last = entry.get(BRIDGE_VLANDB_ENTRY_RANGE)?.readUInt16LE() ?? first;
  return Array.from({ length: last - first + 1 }, (_, i) => ({
    vid: first + i,
    isPvid: (flags & VLAN_INFO.PVID) !== 0,
    isUntagged: (flags & VLAN_INFO.UNTAGGED) !== 0,
  }));
}

/** As few ranges as possible. Only one VLAN has PVID, so none is in a range: the kernel takes that not (br_vlan_valid_range). */
function rangesOf(vlans: readonly PortVlan[]): VlanRange[] {
  const ranges: VlanRange[] = [];
  for (const vlan of vlans.toSorted((a, b) => a.vid - b.vid)) {
    const flags = flagsOf(vlan);
    const before = ranges.at(-1);
    const isNext = before?.last === vlan.vid - 1 && before.flags === flags;
    if (isNext) ranges[ranges.length - 1] = { ...before, last: vlan.vid };
    else ranges.push({ first: vlan.vid, last: vlan.vid, flags });
  }
  return ranges;
}

function infoAttributes({ first, last, flags }: VlanRange): Buffer[] {
  if (first === last) return [infoAttribute(first, flags)];
  return [infoAttribute(first, flags | VLAN_INFO.RANGE_BEGIN), infoAttribute(last, flags | VLAN_INFO.RANGE_END)];
}

function infoAttribute(vid: number, flags: number): Buffer {
  const info = Buffer.alloc(4);
  info.writeUInt16LE(flags, 0);
  info.writeUInt16LE(vid, 2);
  return bytesAttribute(IFLA_BRIDGE.VLAN_INFO, info);
}

function flagsOf({ isPvid, isUntagged }: PortVlan): number {
  return (isPvid ? VLAN_INFO.PVID : 0) | (isUntagged ? VLAN_INFO.UNTAGGED : 0);
}

// VLANs of IEEE 802.1Q: their ids, lists of them as users write them (`10,20,30-39`), and what a switch's port carries.
import { TsnetError } from "./errors.ts";

const FIRST = 1;
const LAST = 4094;

/** The permitted ids, for messages. 0 is no VLAN (a priority tag) and 4095 is reserved (IEEE 802.1Q, table 9-2). */
export const VLAN_RANGE = `${FIRST}-${LAST}`;

/** The VLAN of untagged networks inside a Linux bridge of tsnet's own that has VLANs. */
export const UNTAGGED_VID = 1;

/** What a port carries. Neither of both: untagged frames only. */
export interface PortVlans {
  /** The VLAN of the frames that are untagged on the port: its access VLAN, or with `trunk` the native one. */
  readonly vlan?: number;
  /** The VLANs of the tagged frames: ascending, never empty, without `vlan`. */
  readonly trunk?: readonly number[];
}

/** What of a user's options says what a port carries, and no more. */
export function pickVlans({ vlan, trunk }: PortVlans): PortVlans {
  return { ...(vlan !== undefined && { vlan }), ...(trunk !== undefined && { trunk }) };
}

/** A network, as far as it matters which frames are its own. */
interface OnSwitch {
  readonly vlans: PortVlans;
  readonly uplink?: { readonly isAddressMoved: boolean };
}

/** @throws TsnetError `invalid`. */
export function parseVlan(text: string): number {
  const id = /^[0-9]{1,4}$/.test(text) ? Number(text) : NaN;
  if (id >= FIRST && id <= LAST) return id;
  throw new TsnetError("invalid", `${text === "" ? "nothing" : text} is no VLAN, VLANs are ${VLAN_RANGE}`);
}

/** Reads a list of VLANs and ranges of them. @returns ascending, each once, never empty. @throws TsnetError `invalid`. */
export function parseVlanList(text: string): readonly number[] {
  if (text.trim() === "") throw new TsnetError("invalid", "an empty list carries nothing; leave the option out");
  const ids = new Set<number>();
  for (const item of text.split(",")) {
    const [, from = "", to = from] = /^\s*([0-9]+)(?:-([0-9]+))?\s*$/.exec(item) ?? [];
    if (from === "") throw new TsnetError("invalid", `${JSON.stringify(item)} is neither a VLAN nor a range of VLANs`);
    const [first, last] = [parseVlan(from), parseVlan(to)];
    if (first > last) throw new TsnetError("invalid", `range ${from}-${to} runs backwards`);
    for (let id = first; id <= last; id++) ids.add(id);
  }
  return [...ids].sort((a, b) => a - b);
}

/** `10,20,30-39`. @param ids - ascending. */
export function formatVlanList(ids: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const id of ids) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === id - 1) run[1] = id;
    else runs.push([id, id]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}

/** All VLANs of a port, ascending; empty for one that carries untagged frames only. */
export function allVlans({ vlan, trunk = [] }: PortVlans): readonly number[] {
  return [...(vlan === undefined ? [] : [vlan]), ...trunk].sort((a, b) => a - b);
}

/**
 * Whether a network has the untagged frames of its switch: it has no VLAN, or with its uplink come addresses of the host, which
 * are in them.
 */
export function hasUntagged({ vlans, uplink }: OnSwitch): boolean {
  return allVlans(vlans).length === 0 || uplink?.isAddressMoved === true;
}

/** Whether frames pass between two ports: they have a VLAN in common, or neither has one. */
export function doMeet(one: PortVlans, other: PortVlans): boolean {
  const ids = new Set(allVlans(one));
  const others = allVlans(other);
  return ids.size === 0 ? others.length === 0 : others.some((id) => ids.has(id));
}

/** `vlan 10`, `trunk 20,30-39`, both, or `no VLAN`: for messages. */
export function formatVlans({ vlan, trunk }: PortVlans): string {
  const parts = [...(vlan === undefined ? [] : [`vlan ${vlan}`]), ...(trunk ? [`trunk ${formatVlanList(trunk)}`] : [])];
  return parts.length === 0 ? "no VLAN" : parts.join(" and ");
}

// The tables that a frame passes, and what it carries from one to the next.
//
//     0  ingress     which port, which VLAN; tags are taken off                         own switch: everybody else is dropped
//   240  clean       what no guarded endpoint may send, whoever it is
//   241  source      its addresses
//   242  nd-option   in neighbour discovery: its MAC address
//   243  nd-target   and the address that it speaks of
//   244  learn       where MAC addresses of ports that are not guarded are
//   245  forward     groups: as OVSDB's ports say (NORMAL); known MAC addresses: to their port
//   246  learned     made by 244, and where such endpoints are before they have spoken
//   247  deliver     to one port that is not guarded, or to all of the VLAN; tags are put on
//
// On a switch of the user's own only 0 and 240 to 245 are there, and 245 sends the frame to table 0 again, where it meets the
// user's flows. No flow of ours has actions before a table that may still drop the frame but for registers and tags.
import type { Action } from "../../host/openflow-actions.ts";
import type { FieldName } from "../../host/openflow-fields.ts";
import type { Masked } from "../../host/openflow-match.ts";

/** A user's flows rarely stand in tables so high; the last one, 254, is Open vSwitch's own. */
export const TABLE = {
  ingress: 0,
  clean: 240,
  source: 241,
  ndOption: 242,
  ndTarget: 243,
  learn: 244,
  forward: 245,
  learned: 246,
  deliver: 247,
} as const;

/** Which register says what. */
export const REGISTER = {
  /** 0 for untagged. */
  vlan: "reg0",
  flags: "reg1",
  /** The tag with which the frame came, as it stood there. */
  tag: "reg2",
  /** The port to which it goes; 0: to all that may want it. */
  destination: "reg3",
  /** 1: seen. Of a register that a user's flows hardly touch. */
  seen: "reg15",
} as const satisfies Record<string, FieldName>;

/** Bits in the register for flags: of the port from which the frame came. */
export const FLAG = {
  /** Without icc. */
  isolated: 1,
  /** The MAC address alone decides. */
  anyAddress: 2,
  ipv6: 4,
  /** It came with a tag, which was taken off. */
  tagged: 8,
  /** Not guarded: its MAC addresses are learned. */
  open: 16,
} as const;

/** Names of the flags. */
export type Flag = keyof typeof FLAG;

/** Matches frames with that flag, or without it. */
export function flagged(flag: Flag, isSet = true): Masked {
  return { value: isSet ? FLAG[flag] : 0, mask: FLAG[flag] };
}

/** Says of which VLAN a frame is, and what there is to know of its port. */
export function classify(vlan: number, flags: readonly Flag[]): readonly Action[] {
  const value = flags.reduce((sum, flag) => sum | FLAG[flag], 0);
  return [
    { kind: "set", field: REGISTER.vlan, value: vlan },
    { kind: "set", field: REGISTER.flags, value },
  ];
}

/** Untagged, whatever its VLAN: not even a tag of VLAN 0. */
export const UNTAGGED = 0;

/** Tagged with that VLAN, whatever its priority. */
export function taggedWith(vlan: number): number {
  return 0x1000 | vlan;
}

/** EtherTypes (iana.org, IEEE 802 Numbers). */
export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, customerTag: 0x8100, ipv6: 0x86dd, serviceTag: 0x88a8 } as const;

/** Addresses of groups, broadcast included. */
export const GROUP: Masked = { value: "01:00:00:00:00:00", mask: "01:00:00:00:00:00" };

// Whether a link of this host may become the uplink of a switch (option `parent`): decided on what rtnetlink says, before
// anything is changed. How its addresses get to the switch is in `address-move.ts`.
import { formatAddress } from "../../cidr.ts";
import { TsnetError } from "../../errors.ts";
import type { LinkAddress } from "../../host/rtnetlink-address.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import { type PortVlans, allVlans } from "../../vlan.ts";

/** The loopback device has this index in every network namespace (include/net/flow.h). */
const LOOPBACK_IFINDEX = 1;

/** Links that are themselves the host's end of a switch. */
const SWITCH_KINDS: Readonly<Record<string, string>> = {
  bridge: "a Linux bridge",
  openvswitch: "a port of Open vSwitch",
};

/** Links above another one that take all frames which come in there: the kernel lets no switch have it as well. */
const TAKERS = ["macvlan", "macvtap", "ipvlan", "ipvtap"];

/** What is known of the link and of the host. */
export interface ParentCandidate {
  /** The option's value. */
  readonly name: string;
  /** Option `parent-address`. */
  readonly parentAddress: "keep" | "move";
  /** All links of the host. */
  readonly links: readonly Link[];
  /** All addresses of the host. */
  readonly addresses: readonly LinkAddress[];
  /** Whether `/sys/class/net/NAME` has `phy80211` or `wireless`. */
  readonly isWireless: boolean;
  /** The switch for which it is wanted: a link that is its port already may stay so. */
  readonly switchName: string;
  /** What the network wants to carry there. */
  readonly vlans: PortVlans;
  /** The bridge of Open vSwitch that has a port of that name: in its userspace datapath rtnetlink does not tell. */
  readonly ovsBridge?: string | undefined;
}

/** Why a link cannot be a parent, in the operator's words; undefined if it can. */
export function refuseParent(candidate: ParentCandidate): TsnetError | undefined {
  const { name, links } = candidate;
  const link = links.find((each) => each.name === name);
  if (link === undefined) return refusal("not-found", name, "there is no such link on this host");
  const misfit = misfitOf(link, candidate.isWireless);
  if (misfit !== undefined) return refusal("invalid", name, misfit);
  const owner = ownerOf(link, candidate);
  if (owner !== undefined) return refusal("conflict", name, `it belongs to ${owner}; take it out there first`);
  const taker = takerOf(link, candidate);
  if (taker !== undefined) return refusal("conflict", name, taker);
  const own = candidate.addresses.filter(({ linkIndex, scope }) => linkIndex === link.index && scope !== "link");
  if (own.length === 0 || candidate.parentAddress === "move") return undefined;
  const shown = own.map(({ address, prefixLength }) => `${formatAddress(address)}/${prefixLength}`).join(", ");
  const why = `it has the host's own address ${shown}, which would stop working in a switch`;
  return refusal("conflict", name, `${why}; with parent-address=move the switch takes over addresses and routes`);
}

/** What the link is, if that is nothing for a switch. */
function misfitOf(link: Link, isWireless: boolean): string | undefined {
  if (link.index === LOOPBACK_IFINDEX) return "it is the loopback device";
  const kind = SWITCH_KINDS[link.kind ?? ""];
  if (kind !== undefined) return `it is ${kind} itself, and an uplink is a link to the outside`;
  if (isWireless) return "it is wireless: an access point takes frames only from the station's own MAC address";
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(link.mac)) return "it is no Ethernet link";
  return undefined;
}

/** The other switch, bond or team that has the link as a port. */
function ownerOf(link: Link, { links, switchName, ovsBridge }: ParentCandidate): string | undefined {
  if (ovsBridge !== undefined) return ovsBridge === switchName ? undefined : `bridge ${ovsBridge} of Open vSwitch`;
  if (link.masterIndex === undefined) return undefined;
  const master = links.find(({ index }) => index === link.masterIndex);
  if (master?.name === switchName) return undefined;
  return `${master?.kind ?? "link"} ${master?.name ?? `with index ${link.masterIndex}`}`;
}

/** Why frames would not come to the switch, but to a link of somebody else's above the parent (net/core/dev.c, __netif_receive_skb_core). */
function takerOf(parent: Link, { links, vlans }: ParentCandidate): string | undefined {
  const ids = allVlans(vlans);
  for (const { name, kind = "", peerIndex, vlanId } of links) {
    if (peerIndex !== parent.index) continue;
    if (TAKERS.includes(kind)) return `${kind} link ${name} is above it; remove that first`;
    if (vlanId === undefined || !ids.includes(vlanId)) continue;
    return `link ${name} gets its frames of VLAN ${vlanId}; remove that first, or choose another vlan`;
  }
  return undefined;
}

function refusal(code: "not-found" | "invalid" | "conflict", name: string, why: string): TsnetError {
  return new TsnetError(code, `${name} cannot be the parent: ${why} (option parent)`);
}

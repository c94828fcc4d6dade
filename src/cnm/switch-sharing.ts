// What the networks of one switch, and of one VLAN of it, must agree on; and which subnets no two networks may share.
import { overlaps, parseSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { allVlans, doMeet, formatVlanList, formatVlans, hasUntagged } from "../vlan.ts";
import type { Network, PlannedNetwork, SwitchSettings } from "./network.ts";
import { OVS_HEARS_CONTAINERS, stpTimerFault } from "./plan-switch.ts";
import { short } from "./registry.ts";
import { formatTunnel } from "./tunnel.ts";

/** A network with its switch. */
export type Placed = Omit<Network, "isSwitchOurs" | "keptAddresses">;

/** @param theirs - how the other network uses the switch. @param rule - why that is in the way. */
type Refuse = (theirs: string, rule: string) => never;

const OF_ONE_SWITCH = "the networks of one switch must have the same";
const OF_ONE_VLAN = "the networks of one VLAN must have the same";

/**
 * Refuses a network that contradicts another one of its switch.
 *
 * @param others - the other networks of the switch.
 * @throws TsnetError `conflict` that names the other network and what must be the same.
 */
export function refuseToShare(placed: Placed, others: readonly Network[]): void {
  const cannot = `switch ${placed.switchName} cannot be shared`;
  for (const other of others) {
    const refuse: Refuse = (theirs, rule) => {
      throw new TsnetError("conflict", `${cannot}: network ${short(other.id)} uses it ${theirs}, and ${rule}`);
    };
    refuseSwitch(placed, other, refuse);
    refuseStp(placed, other, refuse);
    refuseTreeOfTunnel(placed, other, refuse);
    if (doMeet(placed.vlans, other.vlans)) refuseSegment(placed, other, refuse);
    refuseWayOut(placed, other, refuse);
  }
  const all = [...others, placed].map(({ switchSettings }) => switchSettings);
  const fault = stpTimerFault(Object.assign({}, ...all) as SwitchSettings); // no two of them differ
  if (fault !== undefined) throw new TsnetError("conflict", `${cannot}: with what its other networks set, ${fault}`);
}

function refuseSwitch(placed: Placed, other: Network, refuse: Refuse): void {
  if (placed.backend !== other.backend) refuse(`with backend=${other.backend}`, OF_ONE_SWITCH);
  if (placed.datapathType !== other.datapathType) refuse(`with datapath=${other.datapathType}`, OF_ONE_SWITCH);
  if (placed.mtu !== other.mtu) refuse(`with mtu ${other.mtu}`, `${OF_ONE_SWITCH}, not ${placed.mtu}`);
  const hasSameUplink = placed.uplink?.parent === other.uplink?.parent;
  for (const [key, value] of Object.entries(placed.switchSettings)) {
    const isOfUplink = key === "stp-cost" || key === "stp-port-priority";
    const theirs = other.switchSettings[key as keyof SwitchSettings]; // a key of the same type
    const isSame = theirs === undefined || theirs === value || (isOfUplink && !hasSameUplink);
    if (!isSame) refuse(`with ${key}=${theirs}`, OF_ONE_SWITCH);
  }
}

/** A spanning tree would take hosts from a tunnel that has no loop. */
function refuseTreeOfTunnel(placed: Placed, other: Network, refuse: Refuse): void {
  const rule = "a switch has a spanning tree or tunnels";
  if (placed.tunnel !== undefined && other.switchSettings.stp === true) refuse("with stp=true", rule);
  if (other.tunnel !== undefined && placed.switchSettings.stp === true) refuse(wayOut(other), rule);
}

/** What a container must not do on a network with anti-spoof, it must not do by a network beside it either. */
function refuseStp(placed: Placed, other: Network, refuse: Refuse): void {
  if (placed.backend !== "ovs") return;
  if (placed.switchSettings.stp === true && other.isGuarded) refuse("with antispoof=true", OVS_HEARS_CONTAINERS);
  if (placed.isGuarded && other.switchSettings.stp === true) {
    refuse("with stp=true", `${OVS_HEARS_CONTAINERS}; permitted: antispoof=false`);
  }
}

/** Networks whose frames meet are one segment: both must know it. */
function refuseSegment(placed: Placed, other: Network, refuse: Refuse): void {
  const theirVlans = allVlans(other.vlans);
  const common = allVlans(placed.vlans).filter((id) => theirVlans.includes(id));
  if (common.length > 0 && !(placed.isVlanShared && other.isVlanShared)) {
    const remedy = other.isVlanShared ? "this one must say so too: shared-vlan=true" : "both must say shared-vlan=true";
    refuse(`with ${formatVlans(other.vlans)}`, `for VLAN ${formatVlanList(common)} in two networks ${remedy}`);
  }
  const met = meetingSubnets(placed, other);
  if (met !== undefined) refuse(`with subnet ${met.theirs}`, `subnets of one VLAN may not overlap, as ${met.own} does`);
  const isOneIsolated = (placed.mode === "isolated") !== (other.mode === "isolated");
  if (!isOneIsolated && placed.hostLink !== other.hostLink) return;
  refuseHostLink(placed, other, refuse, common.length === 0 ? OF_ONE_SWITCH : OF_ONE_VLAN);
}

/** Nobody gets by the uplink or the tunnel of another network where its own does not lead. */
function refuseWayOut(placed: Placed, other: Network, refuse: Refuse): void {
  const isUntagged = [placed, other].every(hasUntagged);
  const theirs = wayOut(other);
  if (wayOut(placed) === theirs || !(isUntagged || doMeet(placed.vlans, other.vlans))) return;
  refuse(theirs, isUntagged ? "those that have its untagged frames must have the same" : OF_ONE_VLAN);
}

/** By which a network leaves the host, as messages name it. */
function wayOut({ uplink, tunnel }: Placed): string {
  if (tunnel !== undefined) return `with tunnel ${formatTunnel(tunnel)}`;
  return uplink === undefined ? "without a parent or tunnel" : `with parent=${uplink.parent}`;
}

/** What is one for all that is behind one link of the host. */
function refuseHostLink(placed: Placed, other: Network, refuse: Refuse, same: string): void {
  const what = other.isInternal ? `mode ${other.mode} and --internal` : `mode ${other.mode}`;
  if (placed.mode !== other.mode || placed.isInternal !== other.isInternal) refuse(`with ${what}`, same);
  if (placed.isIccAllowed !== other.isIccAllowed) refuse(`with icc=${other.isIccAllowed}`, same);
  if (placed.isHostOnSwitch && placed.hasIpv6 !== other.hasIpv6) {
    refuse(other.hasIpv6 ? "with IPv6" : "without IPv6", "the host has IPv6 on a link or has it not");
  }
}

/**
 * Refuses a network whose subnets meet those of another one, if the host routes for either of them.
 *
 * @throws TsnetError `conflict` that names the other network.
 */
export function refuseOverlap(planned: PlannedNetwork, others: readonly Network[]): void {
  for (const other of others) {
    if (other.id === planned.id || !(other.isHostOnSwitch || planned.isHostOnSwitch)) continue;
    const met = meetingSubnets(planned, other);
    if (met === undefined) continue;
    const what = `subnet ${met.own} overlaps ${met.theirs} of network ${short(other.id)}`;
    const why = "where the host routes for a network (modes nat and routed) no other may have its addresses";
    throw new TsnetError("conflict", `${what}; ${why}`);
  }
}

/** Whether the two have an address in common. */
export function doSubnetsMeet(one: Pick<Network, "pools">, other: Pick<Network, "pools">): boolean {
  return meetingSubnets(one, other) !== undefined;
}

/** The first two subnets that have an address in common. */
function meetingSubnets(
  one: Pick<Network, "pools">,
  other: Pick<Network, "pools">,
): { readonly own: string; readonly theirs: string } | undefined {
  const pairs = one.pools.flatMap((own) => other.pools.map((theirs) => ({ own: own.subnet, theirs: theirs.subnet })));
  return pairs.find(({ own, theirs }) => overlaps(parseSubnet(own), parseSubnet(theirs)));
}

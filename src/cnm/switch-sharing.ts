// What the networks of one switch, and of one VLAN of it, must agree on; and which subnets no two networks may share.
import { overlaps, parseSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { type PortVlans, allVlans, doMeet, formatVlanList, formatVlans } from "../vlan.ts";
import type { Network } from "./network.ts";
import type { PlannedNetwork } from "./plan.ts";
import { short } from "./registry.ts";

type Placed = Omit<Network, "isSwitchOurs" | "keptAddresses">;

/**
 * Refuses a network that contradicts another one of its switch.
 *
 * @throws TsnetError `conflict` that names the other network and what must be the same.
 */
export function refuseToShare(planned: Placed, other: Network): void {
  const refuse = (theirs: string, rule: string) => {
    const why = `network ${short(other.id)} uses it ${theirs}, and ${rule}`;
    throw new TsnetError("conflict", `bridge ${other.switchName} cannot be shared: ${why}`);
  };
  const same = "the networks of one switch must have the same";
  if (planned.backend !== other.backend) refuse(`with backend=${other.backend}`, same);
  if (planned.datapathType !== other.datapathType) refuse(`with datapath=${other.datapathType}`, same);
  if (planned.mtu !== other.mtu) refuse(`with mtu ${other.mtu}`, `${same}, not ${planned.mtu}`);
  for (const [key, value] of Object.entries(planned.switchSettings)) {
    const theirs: unknown = Reflect.get(other.switchSettings, key);
    const isOfUplink =
      (key === "stp-cost" || key === "stp-port-priority") && planned.uplink?.parent !== other.uplink?.parent;
    if (theirs !== undefined && theirs !== value && !isOfUplink) refuse(`with ${key}=${String(theirs)}`, same);
  }
  if (!doMeet(planned.vlans, other.vlans)) return;
  refuseVlans(planned, other, refuse);
  if (planned.hostLink !== other.hostLink) return;
  const what = [`mode ${other.mode}`, other.isInternal ? "--internal" : ""].filter(Boolean).join(" and ");
  const sameHere = allVlans(planned.vlans).length === 0 ? same : "the networks of one VLAN must have the same";
  if (planned.mode !== other.mode || planned.isInternal !== other.isInternal) refuse(`with ${what}`, sameHere);
  if (planned.isIccAllowed !== other.isIccAllowed) refuse(`with icc=${other.isIccAllowed}`, sameHere);
  if (planned.isHostOnSwitch && planned.hasIpv6 !== other.hasIpv6) {
    const family = other.hasIpv6 ? "with IPv6" : "without IPv6";
    refuse(family, "the host has IPv6 on a switch or has it not");
  }
}

/** Networks with a VLAN in common are one segment: both must know it, and their addresses must differ. */
function refuseVlans(planned: Placed, other: Network, refuse: (theirs: string, rule: string) => void): void {
  const common = commonVlans(planned.vlans, other.vlans);
  if (common.length === 0) return;
  if (!planned.isVlanShared || !other.isVlanShared) {
    const remedy = other.isVlanShared ? "this one must say so too: shared-vlan=true" : "both must say shared-vlan=true";
    refuse(`with ${formatVlans(other.vlans)}`, `for VLAN ${formatVlanList(common)} in two networks ${remedy}`);
  }
  for (const { subnet } of planned.pools) {
    const met = other.pools.find((pool) => overlaps(parseSubnet(pool.subnet), parseSubnet(subnet)));
    if (met !== undefined)
      refuse(`with subnet ${met.subnet}`, `the subnets of one VLAN may not overlap, as ${subnet} does`);
  }
}

function commonVlans(one: PortVlans, other: PortVlans): readonly number[] {
  const ids = allVlans(other);
  return allVlans(one).filter((id) => ids.includes(id));
}

/**
 * Refuses a network whose subnets meet those of another one, if the host routes for either of them.
 *
 * @throws TsnetError `conflict` that names the other network.
 */
export function refuseOverlap(planned: PlannedNetwork, others: readonly Network[]): void {
  for (const other of others) {
    if (other.id === planned.id || !(other.isHostOnSwitch || planned.isHostOnSwitch)) continue;
    for (const { subnet } of planned.pools) {
      const met = other.pools.find((pool) => overlaps(parseSubnet(pool.subnet), parseSubnet(subnet)));
      if (met === undefined) continue;
      const why = "where the host routes for a network (modes nat and routed) no other may have its addresses";
      throw new TsnetError("conflict", `subnet ${subnet} overlaps ${met.subnet} of network ${short(other.id)}; ${why}`);
    }
  }
}

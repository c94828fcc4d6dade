// Finds the switch for a new network: the one that the user named, whoever made it, or a new one with a free name.
import { TsnetError } from "../errors.ts";
import type { Datapath } from "./datapath.ts";
import { switchNames } from "./names.ts";
import type { IfName, Network } from "./network.ts";
import type { PlannedNetwork } from "./plan.ts";
import { type Registry, short } from "./registry.ts";

/**
 * Completes a planned network with its switch. Changes nothing.
 *
 * @param wanted - the switch that the user named; absent: a switch of the network's own.
 * @throws TsnetError `conflict` if that switch cannot serve this network.
 */
export async function placeNetwork(
  planned: PlannedNetwork,
  wanted: IfName | undefined,
  registry: Registry,
  datapath: Datapath,
): Promise<Network> {
  if (wanted === undefined) {
    const switchName = await freeSwitchName(planned, datapath);
    return { ...planned, switchName, isSwitchOurs: true, keptAddresses: [] };
  }
  const sharers = registry.networksOn(wanted);
  for (const other of sharers) refuseToShare(planned, other);
  const found = await datapath.inspectSwitch(wanted);
  if (found.state === "foreign" && planned.mode === "isolated" && found.addresses.length > 0) {
    const why = `the host has ${found.addresses.join(", ")} on it, and mode isolated needs a switch without host addresses`;
    throw new TsnetError("conflict", `bridge ${wanted} cannot be used: ${why}`);
  }
  const isSwitchOurs = sharers[0]?.isSwitchOurs ?? found.state !== "foreign";
  const present = found.state === "foreign" ? found.addresses.map((address) => address.replace(/\/.*/, "")) : [];
  const keptAddresses = planned.pools.flatMap(({ gateway }) => (gateway && present.includes(gateway) ? [gateway] : []));
  return { ...planned, switchName: wanted, isSwitchOurs, keptAddresses };
}

async function freeSwitchName(planned: PlannedNetwork, datapath: Datapath): Promise<IfName> {
  for (const switchName of switchNames(planned.id)) {
    if (!(await datapath.isNameTaken(switchName))) return switchName;
  }
  throw new TsnetError("conflict", `every name for the switch of network ${short(planned.id)} is taken on this host`);
}

/** Networks of one switch see each other's frames, so they must agree on what the host does there. */
function refuseToShare(planned: PlannedNetwork, other: Network): void {
  const what = [`mode ${other.mode}`, other.isInternal ? "--internal" : ""].filter(Boolean).join(" and ");
  if (planned.mode !== other.mode || planned.isInternal !== other.isInternal) {
    const why = `network ${short(other.id)} uses it with ${what}, and the networks of one switch must have the same`;
    throw new TsnetError("conflict", `bridge ${other.switchName} cannot be shared: ${why}`);
  }
  if (planned.isIccAllowed !== other.isIccAllowed) {
    const why = `network ${short(other.id)} uses it with icc=${other.isIccAllowed}, and the networks of one switch must have the same`;
    throw new TsnetError("conflict", `bridge ${other.switchName} cannot be shared: ${why}`);
  }
  if (planned.mtu !== other.mtu) {
    const why = `network ${short(other.id)} uses it with mtu ${other.mtu}, and the networks of one switch must have the same`;
    throw new TsnetError("conflict", `bridge ${other.switchName} cannot be shared with mtu ${planned.mtu}: ${why}`);
  }
  if (planned.isHostOnSwitch && planned.hasIpv6 !== other.hasIpv6) {
    const family = other.hasIpv6 ? "with IPv6" : "without IPv6";
    const why = `network ${short(other.id)} uses it ${family}, and the host has IPv6 on a switch or has it not`;
    throw new TsnetError("conflict", `bridge ${other.switchName} cannot be shared: ${why}`);
  }
}

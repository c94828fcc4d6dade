// Finds the switch for a new network: the one that the user named, whoever made it, the one that has the network's uplink,
// or a new one with a free name. What the networks of one switch must agree on is in `switch-sharing.ts`.
import { TsnetError } from "../errors.ts";
import type { FoundSwitch } from "./datapath.ts";
import { hostLinkName, switchNames } from "./names.ts";
import type { IfName, Network } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import type { PlannedNetwork } from "./plan.ts";
import { type Registry, short } from "./registry.ts";
import { refuseToShare } from "./switch-sharing.ts";

type Parts = Pick<CnmParts, "registry" | "datapaths" | "links">;

/** Of a network without uplink whose user names none. Bytes. */
const DEFAULT_MTU = 1500;

/**
 * Completes a planned network with its switch. Changes nothing.
 *
 * @param wanted - the switch that the user named; absent: that of the uplink, or one of the network's own.
 * @throws TsnetError `conflict` if that switch cannot serve this network; `not-found`, `invalid` for its uplink.
 */
export async function placeNetwork(
  planned: PlannedNetwork,
  wanted: IfName | undefined,
  { registry, datapaths, links }: Parts,
): Promise<Network> {
  const named = switchOfUplink(planned, wanted, registry) ?? wanted;
  const switchName = named ?? (await freeSwitchName(planned, links));
  const sharers = registry.networksOn(switchName).filter(({ id }) => id !== planned.id);
  const network = {
    ...planned,
    switchName,
    hostLink: hostLinkName(planned.backend, switchName, planned.vlans),
    mtu: await mtuFor(planned, sharers, links),
    datapathType: planned.datapathType ?? sharers[0]?.datapathType ?? "auto",
  };
  for (const other of sharers) refuseToShare(network, other);
  if (named === undefined) return { ...network, isSwitchOurs: true, keptAddresses: [] };
  const found = await datapaths[planned.backend].inspectSwitch(switchName);
  const isSwitchOurs = sharers[0]?.isSwitchOurs ?? found.state !== "foreign";
  if (!isSwitchOurs) refuseSettings(network);
  return { ...network, isSwitchOurs, keptAddresses: keptAddresses(network, found) };
}

/** The switch of which the uplink is a port already, by another network. */
function switchOfUplink(planned: PlannedNetwork, wanted: IfName | undefined, registry: Registry): IfName | undefined {
  const { uplink, backend } = planned;
  if (uplink === undefined) return undefined;
  const isUser = ({ network }: { network: Network }) => network.uplink?.parent === uplink.parent;
  const user = registry.networks().find((record) => isUser(record) && record.network.id !== planned.id)?.network;
  if (user === undefined) return undefined;
  const where = `it is the uplink of ${user.switchName}, backend ${user.backend}, for network ${short(user.id)}`;
  if (user.backend !== backend || (wanted !== undefined && wanted !== user.switchName)) {
    throw new TsnetError("conflict", `link ${uplink.parent} cannot be shared: ${where}, and can be in one switch only`);
  }
  if (user.uplink?.isAddressMoved !== uplink.isAddressMoved) {
    const how = `parent-address=${user.uplink?.isAddressMoved === true ? "move" : "keep"}`;
    const why = `network ${short(user.id)} uses it with ${how}, and the networks of one uplink must have the same`;
    throw new TsnetError("conflict", `link ${uplink.parent} cannot be shared: ${why}`);
  }
  return user.switchName;
}

async function mtuFor(planned: PlannedNetwork, sharers: readonly Network[], links: CnmParts["links"]): Promise<number> {
  const { uplink, hasIpv6 } = planned;
  const most = uplink && (await links.mtuOf(uplink.parent));
  if (uplink !== undefined && most === undefined) {
    throw new TsnetError("not-found", `option parent: this host has no link ${uplink.parent}`);
  }
  const mtu = planned.mtu ?? sharers[0]?.mtu ?? most ?? DEFAULT_MTU;
  if (most !== undefined && mtu > most) {
    throw new TsnetError(
      "invalid",
      `mtu ${mtu} is more than the ${most} of ${uplink?.parent}; permitted: up to ${most}`,
    );
  }
  if (hasIpv6 && mtu < 1280) {
    throw new TsnetError("invalid", `mtu ${mtu} is too small for IPv6; permitted: 1280-65535`);
  }
  return mtu;
}

async function freeSwitchName(planned: PlannedNetwork, links: CnmParts["links"]): Promise<IfName> {
  for (const switchName of switchNames(planned.id)) {
    if (!(await links.isNameTaken(switchName))) return switchName;
  }
  throw new TsnetError("conflict", `every name for the switch of network ${short(planned.id)} is taken on this host`);
}

function refuseSettings({ switchName, switchSettings }: Pick<Network, "switchName" | "switchSettings">): void {
  const given = Object.keys(switchSettings);
  if (given.length === 0) return;
  const why = "tsnet did not make it and leaves its settings alone";
  throw new TsnetError("conflict", `switch ${switchName} cannot be set up by option ${given.join(", ")}: ${why}`);
}

/** Gateways that somebody gave to the switch before: they stay. */
function keptAddresses(
  network: Omit<Network, "isSwitchOurs" | "keptAddresses">,
  found: FoundSwitch,
): readonly string[] {
  if (found.state !== "foreign" || network.hostLink !== network.switchName) return [];
  if (network.mode === "isolated" && found.addresses.length > 0) {
    const why = `the host has ${found.addresses.join(", ")} on it, and mode isolated needs a switch without host addresses`;
    throw new TsnetError("conflict", `bridge ${network.switchName} cannot be used: ${why}`);
  }
  const present = found.addresses.map((address) => address.replace(/\/.*/, ""));
  return network.pools.flatMap(({ gateway }) => (gateway && present.includes(gateway) ? [gateway] : []));
}

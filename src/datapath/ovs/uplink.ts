// A host's link as a port of the switch: it carries exactly the VLANs of the networks that use it, as a list, never all. The
// link keeps its own settings; it is set up, as a link that is down carries nothing.
import type { IfName, Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { select } from "../../host/ovsdb-operations.ts";
import { isWireless } from "../../host/wireless.ts";
import { refuseParent } from "../uplink/parent.ts";
import { uplinkVlans, uplinksOf } from "../uplink/uplink-vlans.ts";
import type { OvsHost } from "./datapath.ts";
import { networkMark, networkOf } from "./marks.ts";
import type { PortSpec } from "./rows.ts";
import { uplinkSettings } from "./settings.ts";
import { uplinkColumns } from "./vlan.ts";

/** The ports of all uplinks. @param networks - all networks of the switch; a new uplink gets the first one's mark. */
export function uplinkPorts(networks: readonly Network[]): PortSpec[] {
  return uplinksOf(networks).map((name) => {
    const users = networks.filter(({ uplink }) => uplink?.parent === name);
    const columns = { ...uplinkColumns(uplinkVlans(name, networks)), ...uplinkSettings(users) };
    const mark = networkMark(users[0]?.id ?? "");
    return { name, port: { ...columns, external_ids: mark }, interface: { external_ids: mark } };
  });
}

/**
 * Refuses a link that cannot become a port of the switch, or is one of somebody else's making.
 *
 * @throws TsnetError `not-found`, `invalid`, `conflict`.
 */
export async function requireFreeUplink(host: OvsHost, network: Network): Promise<void> {
  if (network.uplink === undefined) return;
  const { switchName } = network;
  const { parent: name, isAddressMoved } = network.uplink;
  const { row, bridgeName } = await findPortRow(host, name);
  if (bridgeName === switchName && row !== undefined && networkOf(row) !== undefined) return;
  if (bridgeName === switchName) {
    const why = `it is a port of ${switchName} already, and tsnet did not put it there`;
    throw new TsnetError("conflict", `${name} cannot be the parent: ${why} (option parent)`);
  }
  const refusal = refuseParent({
    name,
    parentAddress: isAddressMoved ? "move" : "keep",
    links: await host.links.listLinks(),
    addresses: await host.links.listAddresses(),
    isWireless: await isWireless(name),
    switchName,
    ovsBridge: bridgeName,
  });
  if (refusal !== undefined) throw refusal;
}

/** Sets the uplinks up. Open vSwitch takes in one that is missing as soon as it comes. */
export async function ensureUplinks(host: OvsHost, names: readonly IfName[]): Promise<void> {
  const present: IfName[] = [];
  for (const name of names) {
    const link = await host.links.findLink(name);
    if (link !== undefined) present.push(name);
    if (link?.isUp === false) await host.links.setLink(link.index, { isUp: true });
  }
  if (present.length > 0) await host.ovsdb.requireInterfaces("take over the uplink", present);
}

async function findPortRow(host: OvsHost, name: string) {
  const doing = `look up uplink ${name}`;
  const [[row]] = await host.ovsdb.transact(doing, [select("Port", [["name", "==", name]], ["_uuid", "external_ids"])]);
  if (row === undefined) return { row, bridgeName: undefined };
  const [[bridge]] = await host.ovsdb.transact(doing, [
    select("Bridge", [["ports", "includes", [row._uuid]]], ["name"]),
  ]);
  return { row, bridgeName: bridge?.name };
}

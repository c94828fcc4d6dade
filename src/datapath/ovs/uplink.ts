// A host's link as a port of the switch: it carries exactly the VLANs of the networks that use it, as a list, never all. The
// link keeps its own settings; it is set up, as a link that is down carries nothing.
import type { Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { mutate, select } from "../../host/ovsdb-operations.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import type { StringMap } from "../../host/ovsdb-values.ts";
import { isWireless } from "../../host/wireless.ts";
import { ARP_IGNORE, ensureIpv4 } from "../host-link.ts";
import { refuseParent } from "../uplink/parent.ts";
import { uplinkVlans, uplinksOf } from "../uplink/uplink-vlans.ts";
import type { OvsHost } from "./datapath.ts";
import { networkMark, networkOf } from "./marks.ts";
import { type FoundPort, type PortSpec, addPort, removePorts } from "./rows.ts";
import { uplinkSettings } from "./settings.ts";
import { uplinkColumns } from "./vlan.ts";

/** Another link under the same name has another one: Open vSwitch sends to it, and listens to the one that is no more. */
const IFINDEX = "tsnet-ifindex";

/** What the link's setting was before it became a port. */
const ARP_IGNORE_BEFORE = "tsnet-arp-ignore";

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
  const isOurs = row !== undefined && networkOf(row) !== undefined;
  if (bridgeName === switchName && !isOurs) {
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
    vlans: network.vlans,
    ovsBridge: bridgeName,
  });
  if (refusal !== undefined) throw refusal;
}

/**
 * Sets the uplinks up, and plugs those in again that went and came back.
 * One that is not there is taken in when it comes (the host is watched).
 */
export async function ensureUplinks(host: OvsHost, bridgeName: string, specs: readonly PortSpec[]): Promise<void> {
  for (const spec of specs) {
    const link = await host.links.findLink(spec.name);
    if (link === undefined) continue;
    const before = (await host.links.ipv4Conf(link.index)).arpIgnore;
    await plugUplinkIn(host, bridgeName, spec, link, { [ARP_IGNORE_BEFORE]: String(before) });
    // In userspace the host hears what comes in, too. It has no address there, and must not answer for those of other links.
    await ensureIpv4(host, link.index, { arpIgnore: ARP_IGNORE.never });
  }
}

/** Sets an uplink up, and plugs it in if it is not. @param more - to be remembered of the link. */
export async function plugUplinkIn(
  host: OvsHost,
  bridgeName: string,
  spec: PortSpec,
  link: Link,
  more: StringMap = {},
): Promise<void> {
  if (!link.isUp) await host.links.setLink(link.index, { isUp: true });
  const marks = { ...more, [IFINDEX]: String(link.index) };
  if (!(await isPluggedIn(host, link, marks))) await plugIn(host, bridgeName, spec, marks);
}

/** Makes links that were uplinks answer ARP again as they did before. Their rows are as they were then. */
export async function releaseUplinks(host: OvsHost, ports: readonly FoundPort[]): Promise<void> {
  for (const { port, interface: row } of ports) {
    const before = row?.external_ids[ARP_IGNORE_BEFORE];
    const link = before === undefined ? undefined : await host.links.findLink(port.name);
    if (link !== undefined) await ensureIpv4(host, link.index, { arpIgnore: Number(before) });
  }
}

/** By the number that the link had when it was plugged in; the first time, it is written down. */
async function isPluggedIn({ ovsdb }: OvsHost, { name, index }: Link, marks: StringMap): Promise<boolean> {
  const doing = `look at uplink ${name}`;
  const where: [["name", "==", string]] = [["name", "==", name]];
  const [[row]] = await ovsdb.transact(doing, [select("Interface", where, ["ifindex", "external_ids"])]);
  const known = row?.external_ids[IFINDEX];
  if (known !== undefined || row?.ifindex !== index) return known === String(index);
  await ovsdb.transact(doing, [mutate("Interface", where, [["external_ids", "insert", marks]])]);
  return true;
}

async function plugIn(host: OvsHost, bridgeName: string, spec: PortSpec, marks: StringMap): Promise<void> {
  const doing = `plug in uplink ${spec.name}`;
  const { row } = await findPortRow(host, spec.name);
  if (row !== undefined) await host.ovsdb.apply(doing, removePorts([row._uuid]));
  const external_ids = { ...spec.interface.external_ids, ...marks };
  await host.ovsdb.apply(doing, addPort(bridgeName, { ...spec, interface: { ...spec.interface, external_ids } }));
  await host.ovsdb.requireInterfaces(doing, [spec.name]);
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

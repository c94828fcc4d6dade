// An uplink whose addresses are the switch's (`parent-address=move`): they are on an internal port for untagged frames. The
// NIC becomes a port when that has its MAC address, and the flows follow at once: a switch without them is closed.
import type { IfName, Network } from "../../cnm/network.ts";
import { select } from "../../host/ovsdb-operations.ts";
import type { RowId } from "../../host/ovsdb-values.ts";
import { HOST_GROUP } from "../../link-group.ts";
import { ARP_IGNORE, ensureIpv4, ensureIpv6 } from "../host-link.ts";
import { readMark } from "../mark.ts";
import { originOf } from "../uplink/moved-uplinks.ts";
import { datapathTypeOf } from "./datapath-type.ts";
import type { OvsHost } from "./datapath.ts";
import { networkMark, networkOf } from "./marks.ts";
import { type FoundBridge, type PortSpec, findRows, removePorts } from "./rows.ts";
import { plugUplinkIn, uplinkPorts } from "./uplink.ts";
import { vlanColumns } from "./vlan.ts";

/** The network that says which uplink's addresses a switch has; there is one uplink at most. */
export function findMoved(networks: readonly Network[]): (Network & Required<Pick<Network, "uplink">>) | undefined {
  for (const network of networks) {
    const { uplink } = network;
    if (uplink?.isAddressMoved === true) return { ...network, uplink };
  }
  return undefined;
}

/** The host's port for untagged frames. Its MAC address is set on the link: Open vSwitch would set another one back. */
export function untaggedPort({ id, untaggedLink, mtu }: Network): PortSpec {
  const mark = networkMark(id);
  const made = { type: "internal", mtu_request: mtu, external_ids: mark };
  return { name: untaggedLink, port: { ...vlanColumns({}), external_ids: mark }, interface: made };
}

/** Makes the uplink be a port, and the host's addresses be on the untagged link, which is there. */
export async function ensureMovedUplink(host: OvsHost, networks: readonly Network[]): Promise<void> {
  const network = findMoved(networks);
  if (network === undefined) return;
  const { switchName, untaggedLink, uplink } = network;
  const { parent } = uplink;
  const { bridge, ports } = await findRows(host.ovsdb, `look up uplink ${parent}`, switchName, [parent]);
  const found = ports.get(parent);
  const enslave = async () => {
    const spec = uplinkPorts(networks).find(({ name }) => name === parent);
    const link = await host.links.findLink(parent);
    if (spec !== undefined && link !== undefined) await plugUplinkIn(host, switchName, spec, link);
    await host.flows.ensureSwitch(switchName, networks);
  };
  const isEnslaved = found !== undefined && bridge?.ports.includes(found.port._uuid) === true;
  await host.moved.ensure(parent, untaggedLink, {
    isEnslaved,
    enslave,
    release: () => release(host, switchName, parent),
  });
  if (bridge !== undefined) await silence(host, bridge, parent);
}

/** Gives the uplink back if no other network has it. */
export async function releaseMovedUplink(host: OvsHost, network: Network, others: readonly Network[]): Promise<void> {
  const { switchName } = network;
  const parent = findMoved([network])?.uplink.parent;
  if (parent === undefined || findMoved(others)?.uplink.parent === parent) return;
  await host.moved.giveBack(parent, () => release(host, switchName, parent));
}

/** Gives what the host is on a bridge whose records were lost to the NIC from which it came. */
export async function rescueAddresses(
  host: OvsHost,
  { name, ports }: { readonly name: string; readonly ports: readonly RowId[] },
): Promise<void> {
  const [rows] = await host.ovsdb.transact("look up ports", [select("Port", [], ["_uuid", "name", "external_ids"])]);
  const names = new Set(rows.filter(({ _uuid }) => ports.includes(_uuid)).map((row) => row.name));
  const links = (await host.links.listLinks()).filter((link) => names.has(link.name));
  const switchLink = links.find((one) => one.group === HOST_GROUP && readMark("network", one) !== undefined);
  if (switchLink === undefined) return;
  const nics = links.filter((one) => one.alias === undefined || !one.alias.startsWith("tsnet:"));
  const origin = originOf(switchLink, nics);
  await host.moved.rescue(switchLink, origin, () => release(host, name, origin.name));
}

async function release(host: OvsHost, switchName: string, parent: string): Promise<void> {
  const { ports } = await findRows(host.ovsdb, `look up uplink ${parent}`, switchName, [parent]);
  const found = ports.get(parent);
  if (found === undefined || networkOf(found.port) === undefined) return;
  await host.ovsdb.apply(`give back uplink ${parent}`, removePorts([found.port._uuid]));
}

/** In userspace the kernel sees the NIC's frames as well: it would take them a second time. */
async function silence(host: OvsHost, bridge: FoundBridge, parent: IfName): Promise<void> {
  const link = await host.links.findLink(parent);
  if (link === undefined || datapathTypeOf(bridge) !== "netdev") return;
  await ensureIpv6(host, parent, false);
  await ensureIpv4(host, link.index, { arpIgnore: ARP_IGNORE.never, rpFilter: 1 });
}

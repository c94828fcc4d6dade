// A host's link as a port of the switch: it carries exactly the VLANs of the networks that use it, as a list, never all. The
// link keeps its own settings; it is set up, as a link that is down carries nothing.
import type { IfName, Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import type { OvsHost } from "./datapath.ts";
import { networkMark, networkOf } from "./marks.ts";
import { type PortSpec, findRows } from "./rows.ts";
import { uplinkSettings } from "./settings.ts";
import { uplinkVlans, uplinksOf } from "../uplink/uplink-vlans.ts";
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
 * @throws TsnetError `not-found`, `conflict`, `unsupported`.
 */
export async function requireFreeUplink(host: OvsHost, network: Network): Promise<void> {
  if (network.uplink === undefined) return;
  const { parent, isAddressMoved } = network.uplink;
  const refuse = (why: string) => {
    throw new TsnetError("conflict", `link ${parent} cannot be the uplink of ${network.switchName}: ${why}`);
  };
  const link = await host.links.findLink(parent);
  if (link === undefined) throw new TsnetError("not-found", `option parent: there is no link ${parent} on this host`);
  if (parent === "lo") refuse("it is the loopback device");
  const { bridge, ports } = await findRows(host.ovsdb, `look up uplink ${parent}`, network.switchName, [parent]);
  const found = ports.get(parent)?.port;
  const isInSwitch = found !== undefined && bridge?.ports.includes(found._uuid) === true;
  if (isInSwitch && networkOf(found) !== undefined) return;
  if (found !== undefined) {
    return refuse(
      `it is a port of ${isInSwitch ? "that" : "another"} Open vSwitch bridge, and tsnet did not put it there`,
    );
  }
  if (link.masterIndex !== undefined) refuse(`it belongs to ${await masterName(host, link.masterIndex)} already`);
  if (isAddressMoved) {
    throw new TsnetError(
      "unsupported",
      "option parent-address: move is not possible with backend=ovs; permitted: keep",
    );
  }
  const addresses = (await host.links.listAddresses(link.index)).filter(({ scope }) => scope === "global");
  if (addresses.length > 0) {
    refuse(
      "the host has addresses on it, which are out of reach as soon as it is a port; permitted: parent-address=move",
    );
  }
}

async function masterName(host: OvsHost, index: number): Promise<string> {
  const links = await host.links.listLinks();
  return links.find((link) => link.index === index)?.name ?? "another link";
}

/** Sets the uplinks up. @throws TsnetError `host` for one that is missing. */
export async function ensureUplinks(host: OvsHost, names: readonly IfName[]): Promise<void> {
  if (names.length === 0) return;
  for (const name of names) {
    const link = await host.links.requireLink(name);
    if (!link.isUp) await host.links.setLink(link.index, { isUp: true });
  }
  await host.ovsdb.requireInterfaces("take over the uplink", names);
}

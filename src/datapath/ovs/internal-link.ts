// The links that Open vSwitch makes for internal ports: the switch's own, which is inert, and the host's into a network. Both
// get our group and mark, as Open vSwitch makes them anew now and then.
import type { Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import { LINK_GROUP } from "../../link-group.ts";
import { ensureGateways, ensureHostSettings } from "../host-link.ts";
import { formatMark, readMark } from "../mark.ts";
import type { OvsHost } from "./datapath.ts";

/** Its own kind of link in the kernel, a tap device in userspace. */
const KINDS: readonly (string | undefined)[] = ["openvswitch", "tun"];

/** Refuses a link that has a switch's name and is no bridge of Open vSwitch. @throws TsnetError `conflict`. */
export async function requireNoLink(host: OvsHost, name: string): Promise<void> {
  const link = await host.links.findLink(name);
  if (link === undefined || isOurs(link)) return;
  const what = link.kind ?? "a network card";
  throw new TsnetError("conflict", `link ${name} is no bridge of Open vSwitch (it is ${what})`);
}

/** The switch's own link: down, so that the host has nothing to do with frames that flows bring there. */
export async function ensureOwnLink(host: OvsHost, network: Network): Promise<void> {
  const link = await requireInternal(host, network.switchName);
  await ensureMark(host, network, link);
  if (link.isUp) await host.links.setLink(link.index, { isUp: false });
}

/** The host's link, with the gateway addresses, set up. */
export async function ensureHostLink(host: OvsHost, network: Network): Promise<void> {
  const link = await requireInternal(host, network.hostLink);
  await ensureMark(host, network, link);
  await ensureHostSettings(host, network, link);
  await ensureGateways(host, network, link.index);
  if (!link.isUp) await host.links.setLink(link.index, { isUp: true });
}

/** Removes what a stopped Open vSwitch left of a link of ours: its tap devices outlive it. */
export async function removeLeftLink(host: OvsHost, name: string): Promise<void> {
  const link = await host.links.findLink(name);
  if (link?.kind === "tun" && isOurs(link)) await host.links.deleteLink(link.index);
}

/** A link that Open vSwitch makes; without it, Open vSwitch's words say why. */
async function requireInternal(host: OvsHost, name: string): Promise<Link> {
  const link = await host.links.findLink(name);
  if (link !== undefined && KINDS.includes(link.kind)) return link;
  await host.ovsdb.waitForVswitchd(`make link ${name}`);
  await host.ovsdb.requireInterfaces(`make link ${name}`, [name]);
  return host.links.requireLink(name);
}

async function ensureMark(host: OvsHost, { id, mtu }: Network, link: Link): Promise<void> {
  const isMarked = link.group === LINK_GROUP && readMark("network", link) !== undefined;
  if (!isMarked) await host.links.setLink(link.index, { group: LINK_GROUP, alias: formatMark("network", id) });
  if (link.mtu !== mtu) await host.links.setLink(link.index, { mtu });
}

function isOurs(link: Link): boolean {
  return KINDS.includes(link.kind) && readMark("network", link) !== undefined;
}

// The end of a container's link that is inside: its MTU and its addresses, changed by `ip` in the container's network
// namespace. With its last address a link loses its routes (fib_frontend.c, fib_del_ifaddr), so they are put back.
import { existsSync } from "node:fs";
import type { AttachmentOwner } from "../cnm/attachment.ts";
import type { InsideChange } from "../cnm/change-requests.ts";
import { TsnetError, codeOf } from "../errors.ts";
import type { Undo } from "../undo.ts";
import type { HostTools } from "./host-tools.ts";
import type { Tools } from "./tools.ts";

/** Of `ip -json -details link`. */
interface FoundLink {
  readonly ifname: string;
  readonly address?: string;
  readonly mtu: number;
  readonly linkinfo?: { readonly info_kind?: string };
}

/** Of `ip -json route`. */
interface FoundRoute {
  readonly dst: string;
  readonly gateway?: string;
  readonly protocol?: string;
  readonly scope?: string;
  readonly metric?: number;
  readonly flags?: readonly string[];
}

type Swap = InsideChange["addresses"][number];

/**
 * Changes the link, then each address. Of who is attached and has no link now nothing is to be changed: the next one gets what is
 * recorded.
 *
 * @param undo - gets what takes back what was done.
 * @returns what is to be said then, after the owner's name: `does not run: …`.
 * @throws TsnetError `host`, `not-found`.
 */
export async function changeInside(tools: InsideTools, change: InsideChange, undo: Undo): Promise<string | undefined> {
  const { path, absence } = await findNamespace(tools, change);
  if (path === undefined) return absence;
  const host = tools.host.inside(path);
  const link = await findLink(host, change.mac);
  if (link === undefined && change.owner !== undefined)
    return "has no interface there: it gets this when it is attached again";
  if (link === undefined) throw new TsnetError("not-found", `there is no link with the MAC address ${change.mac}`);
  await changeLink(host, link, change, undo);
  return undefined;
}

type InsideTools = Pick<Tools, "host" | "findContainer" | "findEngine">;

/** The file that stands for the namespace, or what is to be said of an owner that has none now. */
type Place = { readonly path: string; readonly absence?: never } | { readonly path?: never; readonly absence: string };

const GONE: Place = { absence: "is gone, and only its record was changed: `tsnet detach` takes it off" };

async function findNamespace(tools: InsideTools, { sandboxKey, owner }: InsideChange): Promise<Place> {
  if (owner === undefined) return { path: sandboxKey };
  if (owner.kind === "container") return findContainersNamespace(tools, owner);
  const path = owner.kind === "pid" ? pathOf(owner.id) : owner.id;
  if (existsSync(path)) return { path };
  return owner.kind === "pid" ? GONE : { absence: "is not there: it gets this when it is made and attached again" };
}

async function findContainersNamespace(tools: InsideTools, { id, engine }: AttachmentOwner): Promise<Place> {
  try {
    const { isRunning, pid } = await tools.findContainer(id);
    if (isRunning) return { path: pathOf(pid) };
    return { absence: "does not run: it gets this when it is started and attached again" };
  } catch (failure) {
    if (codeOf(failure) === "not-found" && (await tools.findEngine()) === engine) return GONE;
    throw failure; // another engine may have it
  }
}

function pathOf(pid: number | string): string {
  return `/proc/${pid}/ns/net`;
}

async function changeLink(
  tools: HostTools,
  { ifname: name, mtu: former }: FoundLink,
  { mac, mtu, addresses }: InsideChange,
  undo: Undo,
): Promise<void> {
  if (mtu !== undefined) {
    await setMtu(tools, name, mtu);
    undo.add(() => setMtu(tools, name, former));
  }
  for (const swap of addresses) await swapAddress(tools, name, swap, undo);
  if (addresses.length > 0) await tellNeighbours(tools, name, mac).catch(() => {}); // they find out by themselves, later
}

async function findLink(tools: HostTools, mac: string): Promise<FoundLink | undefined> {
  const links = await tools.json<readonly FoundLink[]>("ip", "-json", "-details", "link", "show");
  return links.find(({ address, linkinfo }) => address === mac && linkinfo?.info_kind === "veth");
}

async function setMtu(tools: HostTools, name: string, mtu: number): Promise<void> {
  await tools.text("ip", "link", "set", "dev", name, "mtu", `${mtu}`);
}

async function swapAddress(tools: HostTools, name: string, { from, to }: Swap, undo: Undo): Promise<void> {
  const family = to.includes(":") ? "-6" : "-4";
  const found = await tools.json<readonly FoundRoute[]>("ip", "-json", family, "route", "show", "dev", name);
  const routes = found.filter(({ protocol }) => protocol !== "kernel" && protocol !== "ra");
  await tools.text("ip", family, "address", "delete", from, "dev", name);
  undo.add(async () => {
    await tools.text("ip", family, "address", "delete", to, "dev", name).catch(() => {}); // perhaps it never came
    await putAddress(tools, name, from, routes);
  });
  await putAddress(tools, name, to, routes);
}

async function putAddress(tools: HostTools, name: string, text: string, routes: readonly FoundRoute[]): Promise<void> {
  const isIpv6 = text.includes(":");
  const family = isIpv6 ? "-6" : "-4";
  await tools.text("ip", family, "address", "replace", text, "dev", name, ...(isIpv6 ? ["nodad"] : []));
  for (const { dst, gateway, protocol, scope, metric, flags = [] } of routes) {
    const words = [
      ...(gateway === undefined ? [] : ["via", gateway]),
      ...(protocol === undefined ? [] : ["proto", protocol]),
      ...(scope === undefined || isIpv6 ? [] : ["scope", scope]),
      ...(metric === undefined ? [] : ["metric", `${metric}`]),
      ...(flags.includes("onlink") ? ["onlink"] : []),
    ];
    await tools.text("ip", family, "route", "replace", dst, ...words, "dev", name);
  }
}

/** Linux does so when a link gets a MAC address, the same one too, if it is told to (ip-sysctl.rst, arp_notify). */
async function tellNeighbours(tools: HostTools, name: string, mac: string): Promise<void> {
  const settings = [`net/ipv4/conf/${name}/arp_notify`, `net/ipv6/conf/${name}/ndisc_notify`];
  for (const setting of settings) await tools.text("sysctl", "-q", "-e", "-w", `${setting}=1`);
  await tools.text("ip", "link", "set", "dev", name, "address", mac);
  for (const setting of settings) await tools.text("sysctl", "-q", "-e", "-w", `${setting}=0`);
}

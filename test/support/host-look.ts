// A host with switches of both kinds at one time, and what came between two such times, in the words of `told-plan.ts`. Read by
// ip(8), nft(8) and ovs-vsctl(8), never by our own getters.
import { formatVlanList, formatVlans } from "../../src/vlan.ts";
import type { ServeHost } from "./serve-host.ts";
import { type Effects, type Guest, masked } from "./told-plan.ts";

interface Link {
  readonly ifname: string;
  readonly mtu: number;
  readonly master?: string;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: Readonly<Record<string, unknown>> };
  /** Of a VXLAN link: the peers to which it sends what is for all. */
  readonly flood: readonly string[];
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number; readonly scope: string }[];
}

/** A port of Open vSwitch; no VLAN is 0. */
interface OvsPort {
  readonly bridge: string;
  readonly vlan: number;
  readonly trunks: readonly number[];
  readonly type: string;
  /** Of a tunnel. */
  readonly local: string;
  readonly remote: string;
}

/** A host at one time. */
export interface HostLook {
  readonly links: ReadonlyMap<string, Link>;
  readonly bridges: readonly string[];
  readonly ports: ReadonlyMap<string, OvsPort>;
  /** Elements of nftables by their sets, `tsn-… 10.80.0.0/24`. */
  readonly sets: ReadonlyMap<string, readonly string[]>;
}

/** What the engine is told of a container (cnm-protocol.md 2.8). */
export interface Joined {
  readonly InterfaceName: { readonly DstPrefix: string };
  readonly Gateway?: string;
  readonly GatewayIPv6?: string;
  readonly StaticRoutes?: readonly { readonly Destination: string; readonly NextHop?: string }[] | null;
}

/** The host's port that leads to each container. */
export const PUBLISHED = 8080;

/** Looks at all of it. */
export async function lookAt(host: ServeHost): Promise<HostLook> {
  const list = async (table: string, columns: string) => {
    const format = ["--format=csv", "--no-headings", "--data=bare", `--columns=${columns}`];
    return linesOf(await host.ovs.vsctl(...format, "list", table)).map((row) => row.split(","));
  };
  const [ip, fdb, sets, bridges, ports, interfaces] = await Promise.all([
    host.exec("ip", "-json", "-details", "address"),
    host.exec("bridge", "fdb", "show"),
    setsOf(host),
    list("Bridge", "name,ports"),
    list("Port", "_uuid,name,tag,trunks"),
    list("Interface", "name,type,options"),
  ]);
  const links = JSON.parse(ip) as Link[]; // ip-address(8)
  const flooded = linesOf(fdb).flatMap((line) => {
    const [, name = "", peer = ""] = /^00:00:00:00:00:00 dev (\S+) dst (\S+)/.exec(line) ?? [];
    return name === "" ? [] : [{ name, peer }];
  });
  const floodOf = (name: string) => flooded.flatMap((entry) => (entry.name === name ? [entry.peer] : []));
  return {
    links: new Map(links.map((link) => [link.ifname, { ...link, flood: floodOf(link.ifname) }])),
    bridges: bridges.map(([name = ""]) => name),
    ports: new Map(
      ports.map(([id = "", name = "", tag, trunks = ""]): [string, OvsPort] => {
        const [bridge = ""] = bridges.find(([, own = ""]) => own.includes(id)) ?? [];
        const [, type = "", options = ""] = interfaces.find(([own]) => own === name) ?? [];
        const option = (key: string) => new RegExp(`${key}=(\\S+)`).exec(options)?.[1] ?? "";
        const vlans = { vlan: Number(tag), trunks: trunks.split(" ").filter(Boolean).map(Number) };
        return [name, { bridge, ...vlans, type, local: option("local_ip"), remote: option("remote_ip") }];
      }),
    ),
    sets,
  };
}

async function setsOf(host: ServeHost): Promise<ReadonlyMap<string, readonly string[]>> {
  const ruleset = JSON.parse(await host.exec("nft", "--json", "list", "ruleset")) as {
    readonly nftables: readonly Readonly<
      Record<string, { readonly name: string; readonly elem?: readonly unknown[] }>
    >[];
  };
  const sets = ruleset.nftables.flatMap(({ set, map }) => set ?? map ?? []);
  return new Map(sets.map(({ name, elem = [] }) => [name, elem.map(elementText)]));
}

/** Of libnftables-json(5). */
function elementText(element: unknown): string {
  if (typeof element !== "object" || element === null) return String(element);
  if (Array.isArray(element)) return elementText(element[0]); // of a map: key and value
  const [[kind, content] = []] = Object.entries(element) as [string, unknown][];
  if (kind === "elem") return elementText(Reflect.get(Object(content), "val"));
  if (kind === "concat" && Array.isArray(content)) return content.map(elementText).join(" ");
  if (kind !== "prefix") return JSON.stringify(element);
  const { addr, len } = content as { addr: string; len: number };
  return `${addr}/${len}`;
}

/** What came. */
export function effectsBetween(before: HostLook, after: HostLook): Omit<Effects, "container"> {
  const links = [...after.links.values()];
  const isNew = ({ ifname }: Link) => !before.links.has(ifname);
  const bridges = links.filter((link) => isNew(link) && link.linkinfo?.info_kind === "bridge");
  const ofOvs = after.bridges.filter((name) => !before.bridges.includes(name));
  const had = new Map(
    [...before.links.values()].flatMap((link) => addressesOf(link).map((text) => [text, link.ifname])),
  );
  const addresses = links.flatMap((link) =>
    addressesOf(link).map((text) => ({ text, on: link.ifname, was: had.get(text) })),
  );
  const open = newSubnets(before, after, "open");
  return {
    switches: [
      ...bridges.map(({ ifname, mtu }) => `bridge ${masked(ifname)}, mtu ${mtu}`),
      ...ofOvs.map((name) => `Open vSwitch bridge ${masked(name)}, mtu ${after.links.get(name)?.mtu}`),
    ],
    settings: bridges.flatMap(settingsOf),
    uplinks: uplinksBetween(before, after),
    moved: addresses.flatMap(({ on, was }) => (was === undefined || was === on ? [] : [`${was} to ${masked(on)}`])),
    tunnels: [...links.filter(isNew).flatMap(tunnelsOf), ...ovsTunnels(before, after)],
    hostLinks: links
      .filter((link) => isNew(link) && link.ifname.startsWith("tsg"))
      .map((link) => hostLink(link, after)),
    addresses: addresses.flatMap(({ text, on, was }) => (was === undefined ? [`${masked(on)} ${text}`] : [])),
    forwarded: open,
    sealed: newSubnets(before, after, "pools").filter((subnet) => !open.includes(subnet)),
    masqueraded: newSubnets(before, after, "masq"),
  };
}

function addressesOf({ addr_info }: Link): readonly string[] {
  return addr_info.flatMap(({ local, prefixlen, scope }) => (scope === "global" ? [`${local}/${prefixlen}`] : []));
}

function settingsOf({ linkinfo }: Link): readonly string[] {
  const { stp_state: stp, ageing_time: ageing } = linkinfo?.info_data ?? {};
  return [...(stp === 1 ? ["stp=true"] : []), ...(ageing === 30_000 ? [] : [`ageing=${Number(ageing) / 100}`])];
}

function hostLink({ ifname }: Link, { ports }: HostLook): string {
  const { vlan = 0 } = ports.get(ifname) ?? {};
  return `${masked(ifname)}${vlan === 0 ? "" : ` in VLAN ${vlan}`}`;
}

/** Links of the host that were there before, and carry more now. */
function uplinksBetween(before: HostLook, after: HostLook): readonly string[] {
  return [...before.links.keys()].flatMap((name) => {
    const [was, is] = [before.links.get(name)?.master, after.links.get(name)?.master];
    const isKernels = is !== undefined && is !== "ovs-system" && was === undefined;
    if (isKernels) return [`${name} in ${masked(is)}: its untagged frames`];
    const [port, former] = [after.ports.get(name), before.ports.get(name)];
    const more = port?.trunks.filter((vlan) => former?.trunks.includes(vlan) !== true) ?? [];
    if (port === undefined || more.length === 0) return [];
    const what = more.join() === "0" ? "its untagged frames" : `${formatVlanList(more)} tagged`;
    return [`${name} in ${masked(port.bridge)}: ${what}`];
  });
}

function tunnelsOf({ linkinfo, flood }: Link): readonly string[] {
  if (linkinfo?.info_kind !== "vxlan") return [];
  return flood.map((peer) => `vxlan from ${String(linkinfo.info_data?.["local"])} to ${peer}`);
}

function ovsTunnels(before: HostLook, after: HostLook): readonly string[] {
  return [...after.ports].flatMap(([name, { type, local, remote }]) =>
    remote === "" || before.ports.has(name) ? [] : [`${type} from ${local} to ${remote}`],
  );
}

/** Of both families. */
function newSubnets(before: HostLook, after: HostLook, set: string): readonly string[] {
  return [`${set}4`, `${set}6`].flatMap((name) => {
    const there = before.sets.get(name) ?? [];
    const come = (after.sets.get(name) ?? []).filter((element) => !there.includes(element));
    return come.map((element) => element.split(" ").at(-1) ?? "");
  });
}

/** What a container has that joined. @param port - the host's end of its link. */
export function guestIn(before: HostLook, after: HostLook, port: string, joined: Joined): Guest {
  const ovs = after.ports.get(port);
  const elementsOf = (set: string) => after.sets.get(set) ?? [];
  const published = elementsOf("at4").find((element) => element.endsWith(` ${PUBLISHED}`));
  const { vlan = 0, trunks = [] } = ovs ?? {};
  const gateways = [joined.Gateway, joined.GatewayIPv6].filter((gateway) => gateway !== undefined && gateway !== "");
  const routes = (joined.StaticRoutes ?? []).map(({ Destination, NextHop = "" }) => `${Destination} via ${NextHop}`);
  const toHost = routes.filter((route) => route.endsWith(" via "));
  return {
    link: `${joined.InterfaceName.DstPrefix}0`,
    mtu: after.links.get(port)?.mtu ?? 0,
    vlans: formatVlans({ ...(vlan > 0 && { vlan }), ...(trunks.length > 0 && { trunk: trunks }) }),
    hasDefaultRoute: gateways.length > 0,
    routes: toHost.length > 0 ? [] : routes,
    ...(ovs === undefined && { isGuarded: !elementsOf("unguarded").includes(port) }),
    isPrivate: elementsOf("private").length > (before.sets.get("private") ?? []).length,
    isByHost: toHost.length > 0,
    ...(published !== undefined && { publishedOn: published.split(" ")[1] ?? "" }),
  };
}

function linesOf(text: string): readonly string[] {
  return text.split("\n").filter(Boolean);
}

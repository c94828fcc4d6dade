// The link of an attachment inside of its namespace: what ip(8) says of it, and which commands make it what it shall be. Where it
// is so already there are none, so that attaching twice changes nothing.
import type { AttachAnswer } from "../api/attachment-messages.ts";
import { TsnetError } from "../errors.ts";
import type { HostTools } from "./host-tools.ts";

/** One link, as `ip -json address` shows it. */
export interface InsideLink {
  readonly ifname: string;
  readonly ifindex: number;
  /** Of the other end, which is in another namespace. */
  readonly link_index?: number;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly address?: string;
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[];
}

/** One route, as `ip -json route` shows it. */
export interface InsideRoute {
  /** `default`; a route to one address alone has no prefix length. */
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
}

/** What a namespace has. */
export interface Inside {
  readonly links: readonly InsideLink[];
  readonly routes: readonly InsideRoute[];
}

/** What the link shall be. */
export type WantedLink = Pick<
  AttachAnswer,
  "Link" | "Interface" | "MacAddress" | "MTU" | "Addresses" | "Gateways" | "Routes"
>;

/** A command without its name in front: arguments of ip(8), or of sysctl(8). */
export type Step = readonly [tool: "ip" | "sysctl", ...args: string[]];

/** Looks at a namespace. */
export async function readInside(tools: HostTools): Promise<Inside> {
  const links = await tools.json<InsideLink[]>("ip", "-json", "address", "show");
  const routes = await tools.json<InsideRoute[]>("ip", "-json", "-4", "route", "show");
  const routesIpv6 = await tools.json<InsideRoute[]>("ip", "-json", "-6", "route", "show");
  return { links, routes: [...routes, ...routesIpv6] };
}

/** The first name with that beginning that no link there has: `eth0`, `eth1`. */
export function freeName(prefix: string, { links }: Inside): string {
  const taken = new Set(links.map(({ ifname }) => ifname));
  let number = 0;
  while (taken.has(`${prefix}${number}`)) number += 1;
  return `${prefix}${number}`;
}

/**
 * The steps that are left to make a link, which is in the namespace by now, what it shall be; in order.
 *
 * @throws TsnetError `conflict` if the namespace has another default route, or another link with that name.
 */
export function planInside(link: InsideLink, wanted: WantedLink, inside: Inside): readonly Step[] {
  const { Link, Interface, MacAddress, MTU, Addresses } = wanted;
  const name = link.ifname === Link ? Interface : link.ifname; // who gave it another name wants that
  if (inside.links.some(({ ifname, ifindex }) => ifname === name && ifindex !== link.ifindex))
    throw new TsnetError("conflict", `there is a link ${name} already; another name is given with --ifname`);
  refuseSecondDefault(name, wanted, inside);
  const has = new Set(link.addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`));
  const isUp = link.flags.includes("UP");
  const hasIpv6 = Addresses.some((address) => address.includes(":"));
  const missing = Addresses.filter((address) => !has.has(address));
  return [
    ...(name === link.ifname ? [] : [step("link", "set", "dev", link.ifname, "name", name)]),
    ...(link.address === MacAddress ? [] : [step("link", "set", "dev", name, "address", MacAddress)]),
    ...(link.mtu === MTU ? [] : [step("link", "set", "dev", name, "mtu", `${MTU}`)]),
    // As the engine does it: an interface without an IPv6 address has no link-local one either.
    ...(isUp && missing.length === 0 ? [] : [sysctl(`net/ipv6/conf/${name}/disable_ipv6=${hasIpv6 ? 0 : 1}`)]),
    ...missing.map((address) => addAddress(address, name)),
    ...(isUp ? [] : [step("link", "set", "dev", name, "up")]),
    ...planRoutes(name, wanted, inside),
  ];
}

function step(...args: readonly string[]): Step {
  return ["ip", ...args];
}

function sysctl(setting: string): Step {
  return ["sysctl", "-q", "-e", "-w", setting]; // -e: a kernel without IPv6 has no such setting
}

function addAddress(address: string, name: string): Step {
  const isIpv6 = address.includes(":");
  return step("address", "replace", address, "dev", name, ...(isIpv6 ? ["nodad"] : []));
}

function planRoutes(name: string, { Routes, Gateways }: WantedLink, { routes }: Inside): readonly Step[] {
  const wanted = [
    ...Routes.map(({ Destination, NextHop }) => ({ destination: Destination, via: NextHop })),
    ...Gateways.map((via) => ({ destination: "default", via })),
  ];
  const isThere = (destination: string, via: string | undefined) =>
    routes.some(({ dst, gateway, dev }) => dst === withoutHostLength(destination) && gateway === via && dev === name);
  const left = wanted.filter(({ destination, via }) => !isThere(destination, via));
  return left.map(({ destination, via }) => {
    const isIpv6 = (via ?? destination).includes(":");
    const hop = via === undefined ? [] : ["via", via];
    return step(isIpv6 ? "-6" : "-4", "route", "replace", destination, ...hop, "dev", name);
  });
}

/** As ip(8) shows it. */
function withoutHostLength(destination: string): string {
  return destination.replace(destination.includes(":") ? /\/128$/ : /\/32$/, "");
}

function refuseSecondDefault(name: string, { Gateways }: WantedLink, { routes }: Inside): void {
  const families = new Set(Gateways.map((gateway) => gateway.includes(":")));
  const other = routes.find(
    ({ dst, gateway = "", dev }) => dst === "default" && dev !== name && families.has(gateway.includes(":")),
  );
  if (other === undefined) return;
  const advice = "attach without --default-route; --route 10.0.0.0/8 leads a part by the new link";
  throw new TsnetError("conflict", `there is a default route by ${other.dev} already; ${advice}`);
}

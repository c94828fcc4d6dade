// The links of this host as ip(8) and bridge(8) print them, with what the commands make of it.
import type { HostTools } from "./host-tools.ts";

/** One link of `ip -json -details address`; fields that are not read are left out. */
export interface HostLink {
  readonly ifname: string;
  readonly mtu: number;
  /** The link below: of a VLAN link the one that it is on. */
  readonly link?: string;
  /** The switch whose port it is. */
  readonly master?: string;
  /** Of a pair whose other end is in another namespace. */
  readonly link_netnsid?: number;
  /** `UP`, `LOWER_UP`, `NO-CARRIER`, … */
  readonly flags: readonly string[];
  readonly ifalias?: string;
  readonly address?: string;
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: {
      /** Of VXLAN and Geneve the VNI, of a VLAN link the VLAN. */
      readonly id?: number;
      readonly remote?: string;
      readonly remote6?: string;
      /** Of GRE, written as an IPv4 address. */
      readonly okey?: string;
      readonly vlan_filtering?: number;
    };
  };
  readonly addr_info: readonly { readonly local?: string; readonly prefixlen?: number; readonly scope?: string }[];
}

/** VLANs of one port. */
export interface CarriedVlans {
  /** Of the untagged frames; 0 where there is no VLAN in it. Absent: untagged frames do not pass. */
  readonly untagged?: number;
  readonly tagged: readonly number[];
  /** Of Open vSwitch: a port to which no VLAN was given carries all. */
  readonly isAll?: boolean;
}

/** One port of `bridge -json vlan show`. */
interface PortVlans {
  readonly ifname: string;
  readonly vlans: readonly { readonly vlan: number; readonly vlanEnd?: number; readonly flags?: readonly string[] }[];
}

/** An entry of `bridge -json fdb show`. */
export interface FdbEntry {
  readonly mac: string;
  readonly ifname: string;
  readonly vlan?: number;
  readonly master?: string;
  /** Of a tunnel: the peer. */
  readonly dst?: string;
  readonly flags?: readonly string[];
  /** `permanent`, `static`; absent or empty for what was learned. */
  readonly state?: string;
  /** Seconds since a frame came from there. */
  readonly updated?: number;
}

/** All links with their addresses. */
export async function readLinks(host: HostTools): Promise<readonly HostLink[]> {
  return host.json<readonly HostLink[]>("ip", "-json", "-details", "address");
}

/** The VLANs of ports of Linux bridges by the ports' names. Empty where the kernel has no VLAN filtering. */
export async function readPortVlans(host: HostTools): Promise<ReadonlyMap<string, CarriedVlans>> {
  const ports = await host.json<readonly PortVlans[]>("bridge", "-json", "vlan", "show");
  return new Map(ports.map(({ ifname, vlans }) => [ifname, carriedBy(vlans)]));
}

/** The forwarding table of one bridge, with the age of its entries. */
export async function readFdb(host: HostTools, bridge: string): Promise<readonly FdbEntry[]> {
  return host.json<readonly FdbEntry[]>("bridge", "-json", "-statistics", "fdb", "show", "br", bridge);
}

/** Where a VXLAN link sends frames for all: its peers. */
export async function readFloodPeers(host: HostTools, link: string): Promise<readonly string[]> {
  const entries = await host.json<readonly FdbEntry[]>("bridge", "-json", "fdb", "show", "dev", link);
  return entries.flatMap(({ mac, dst }) => (mac === "00:00:00:00:00:00" && dst !== undefined ? [dst] : []));
}

/** CIDRs that others on the network can speak to. */
export function addressesOf({ addr_info }: Pick<HostLink, "addr_info">): readonly string[] {
  const own = addr_info.filter(({ scope }) => scope !== "link");
  return own.map(({ local = "", prefixlen = 0 }) => `${local}/${prefixlen}`);
}

/** The id in the mark that tsnet gives its links (README, marks); undefined if it carries no mark of that purpose. */
export function markOf(
  purpose: "network" | "endpoint",
  { ifalias = "" }: Pick<HostLink, "ifalias">,
): string | undefined {
  const prefix = `tsnet:${purpose}:`;
  return ifalias.startsWith(prefix) ? ifalias.slice(prefix.length) : undefined;
}

/** Whether it is set up. */
export function isUp({ flags }: Pick<HostLink, "flags">): boolean {
  return flags.includes("UP");
}

function carriedBy(vlans: PortVlans["vlans"]): CarriedVlans {
  const all = vlans.flatMap(({ vlan, vlanEnd = vlan, flags = [] }) =>
    Array.from({ length: vlanEnd - vlan + 1 }, (_none, at) => ({ vid: vlan + at, flags })),
  );
  const untagged = all.find(({ flags }) => flags.includes("PVID"))?.vid;
  const tagged = all.flatMap(({ vid, flags }) => (flags.includes("Egress Untagged") ? [] : [vid]));
  return { ...(untagged !== undefined && { untagged }), tagged };
}

// The ways to the other hosts of tunnels: who they are stands in the links and ports that carry tsnet's mark.
import type { HostTools } from "../host-tools.ts";
import { type HostLink, markOf, readFloodPeers } from "../host-links.ts";
import type { OvsRow, OvsView } from "./ovs-facts.ts";

/** The way to one peer. */
export interface TunnelPath {
  readonly networkId: string;
  /** The link or port of the tunnel. */
  readonly link: string;
  readonly kind: TunnelKind;
  /** Bare address. */
  readonly peer: string;
  /** How it is reached; absent if there is no way. */
  readonly route?: { readonly dev: string; readonly mtu: number };
}

export type TunnelKind = "vxlan" | "geneve" | "gre";

type TunnelEnd = Omit<TunnelPath, "route">;

/** As the kernel and Open vSwitch call them. */
const KINDS: Readonly<Record<string, TunnelKind>> = {
  vxlan: "vxlan",
  geneve: "geneve",
  gre: "gre",
  gretap: "gre",
  ip6gretap: "gre",
};

interface FoundRoute {
  readonly dev: string;
  readonly metrics?: readonly { readonly mtu?: number }[];
}

/** Of the tunnels of all networks. @throws TsnetError `host`. */
export async function readTunnels(
  host: HostTools,
  links: readonly HostLink[],
  ovs: OvsView,
): Promise<readonly TunnelPath[]> {
  const ofBridges = await Promise.all(links.map((link) => endsOf(host, link)));
  const ends = [...ofBridges.flat(), ...ovs.interfaces.flatMap(endOf)];
  return Promise.all(ends.map((end) => followTo(host, links, end)));
}

async function endsOf(host: HostTools, link: HostLink): Promise<readonly TunnelEnd[]> {
  const networkId = markOf("network", link);
  const kind = KINDS[link.linkinfo?.info_kind ?? ""];
  if (networkId === undefined || kind === undefined) return [];
  const { ifname } = link;
  const { remote, remote6 } = link.linkinfo?.info_data ?? {};
  const told = [remote, remote6].filter((peer): peer is string => typeof peer === "string");
  const flooded = kind === "vxlan" ? await readFloodPeers(host, ifname) : [];
  return [...new Set([...told, ...flooded])].map((peer) => ({ networkId, link: ifname, kind, peer }));
}

function endOf({ name, type, external_ids, options }: OvsRow): readonly TunnelEnd[] {
  const [networkId, kind, peer] = [external_ids["tsnet-network"], KINDS[type], options["remote_ip"]];
  if (networkId === undefined || kind === undefined || peer === undefined) return [];
  return [{ networkId, link: name, kind, peer }];
}

async function followTo(host: HostTools, links: readonly HostLink[], end: TunnelEnd): Promise<TunnelPath> {
  const found = await host.json<readonly FoundRoute[]>("ip", "-json", "route", "get", end.peer).catch(() => []);
  const [route] = found;
  if (route === undefined) return end;
  const ofRoute = route.metrics?.find(({ mtu }) => mtu !== undefined)?.mtu;
  const ofLink = links.find(({ ifname }) => ifname === route.dev)?.mtu;
  return { ...end, route: { dev: route.dev, mtu: ofRoute ?? ofLink ?? Infinity } };
}

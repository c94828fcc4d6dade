// Where the ends of a tunnel are: which of the peers this host is, by which of its addresses it speaks to the others, and how
// large a packet of the network may be on the way there.
import { TsnetError } from "../errors.ts";
import type { HostLinks, HostRoute } from "./datapath.ts";
import type { PlannedNetwork, RequestedTunnel, Tunnel } from "./network.ts";
import { overheadOf } from "./tunnel.ts";

/** A tunnel with its place. */
export interface PlacedTunnel {
  readonly tunnel: Tunnel;
  /** The largest packet of the network that every peer can be sent. Bytes. */
  readonly mtu: number;
  /** The links by which the peers are reached. */
  readonly links: ReadonlySet<string>;
}

/**
 * Finds the ends of the tunnel that a network asks for. Changes nothing.
 *
 * @throws TsnetError `invalid`, `not-found` for addresses that this host does not have or has no route to.
 */
export async function placeTunnel(
  { requested, vlans }: PlannedNetwork,
  links: HostLinks,
): Promise<PlacedTunnel | undefined> {
  if (requested.tunnel === undefined) return undefined;
  const { peers: named, local: wanted, ...kind } = requested.tunnel;
  const ways = await Promise.all(named.map(async (peer) => ({ peer, route: await links.routeTo(peer) })));
  const [lost] = ways.filter(({ route }) => route === undefined);
  if (lost !== undefined) throw new TsnetError("not-found", `option peers: this host has no route to ${lost.peer}`);
  const routes = ways.flatMap(({ peer, route }) => (route === undefined ? [] : [{ peer, ...route }]));
  const others = routes.filter(({ isOwn, peer }) => !isOwn && peer !== wanted);
  const local = wanted === undefined ? ownEnd(requested.tunnel, routes) : await requireOwn(wanted, links);
  const family = local.includes(":") ? 6 : 4;
  const most = Math.min(...others.map(({ mtu }) => mtu), (await links.routeTo(local))?.mtu ?? Infinity);
  return {
    tunnel: { ...kind, local, peers: others.map(({ peer }) => peer) },
    mtu: most - overheadOf(kind, family, vlans),
    links: new Set(others.map(({ link }) => link)),
  };
}

async function requireOwn(local: string, links: HostLinks): Promise<string> {
  if ((await links.routeTo(local))?.isOwn === true) return local;
  throw new TsnetError("not-found", `option local: ${local} is no address of this host`);
}

/** The one of the peers that this host is, else the address from which packets go to the others. */
function ownEnd({ peers }: RequestedTunnel, routes: readonly (HostRoute & { readonly peer: string })[]): string {
  const own = routes.filter(({ isOwn }) => isOwn).map(({ peer }) => peer);
  const sources = [...new Set(own.length > 0 ? own : routes.map(({ source }) => source))];
  const [source] = sources;
  if (source !== undefined && sources.length === 1) return source;
  const why =
    own.length > 0
      ? `${own.join(" and ")} of ${peers.join(",")} are addresses of this host`
      : `this host would speak to them from ${sources.join(" and ")}`;
  throw new TsnetError("invalid", `option peers: ${why}; say which with option local`);
}

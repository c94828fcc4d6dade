// An endpoint's veth pair: one end is a port of the network's switch, whichever that is, the other is for libnetwork to move
// into the sandbox.
import type { Endpoint } from "../cnm/endpoint.ts";
import { isErrno } from "../host/netlink.ts";
import type { Link } from "../host/rtnetlink-link.ts";
import type { Rtnetlink } from "../host/rtnetlink.ts";
import type { PairRemoval } from "./pair-removal.ts";
import type { HostOfLinks } from "./host-link.ts";
import { LINK_GROUP } from "../link-group.ts";
import { isHalfMade, readMark } from "./mark.ts";

/** The host as what makes and removes pairs needs it. */
export interface HostOfPairs extends HostOfLinks {
  readonly pairs: PairRemoval;
}

/** What is needed to find an endpoint's port. */
export type PortOf = Pick<Endpoint, "endpointId" | "hostIfName">;

/**
 * Makes the pair anew, down: what an interrupted attempt left is removed.
 *
 * @param masterIndex - the bridge of which it becomes a port; absent for none.
 * @returns the index of the host's end.
 */
export async function addPair(links: Rtnetlink, endpoint: Endpoint, masterIndex?: number): Promise<number> {
  const { hostIfName: name, sandboxIfName, mac, mtu } = endpoint;
  const peer = { name: sandboxIfName, mac };
  const master = masterIndex !== undefined && { masterIndex };
  const pair = { name, mtu, group: LINK_GROUP, ...master, isUp: false, peer };
  return links.addVeth(pair).catch(async (failure: unknown) => {
    if (!isErrno(failure, "EEXIST")) throw failure;
    const left = await findPair(links, endpoint);
    if (left !== undefined) await links.deleteLink(left.index);
    return links.addVeth(pair);
  });
}

/**
 * Deletes the pair, wherever its other end is. Absent is no failure; a link without our mark for it is left alone.
 */
export async function removePair({ links, pairs }: HostOfPairs, port: PortOf): Promise<void> {
  const link = await findPair(links, port);
  if (link !== undefined) await pairs.remove(link);
}

async function findPair(links: Rtnetlink, port: PortOf): Promise<Link | undefined> {
  const link = await links.findLink(port.hostIfName);
  return link !== undefined && isPairOf(link, port) ? link : undefined;
}

/** Whether the link is the host's end of that endpoint's pair. */
export function isPairOf(link: Link, port: PortOf): boolean {
  return link.kind === "veth" && (readMark("endpoint", link) === port.endpointId || isHalfMade(link));
}

// What the other hosts of a tunnel are told about an endpoint: where its MAC is, and which MAC its addresses have.
import { parseAddressWithLength } from "../cidr.ts";
import type { Endpoint } from "../cnm/endpoint.ts";
import type { Network } from "../cnm/network.ts";
import { announcementFrame, sendFrames } from "../host/announce.ts";
import { isErrno } from "../host/netlink.ts";

/** A link that went, that is down, or whose queue is full: whoever missed it learns from what the endpoint sends. */
const LOST = ["ENODEV", "ENXIO", "ENETDOWN", "ENOBUFS", "EAGAIN"];

/** The frames, tagged as the tunnel carries the endpoint's VLAN; none for an endpoint without untagged frames or addresses. */
export function announcementFrames(
  network: Network,
  { mac, address, addressIpv6, vlans }: Endpoint,
): readonly Buffer[] {
  const { vlan, trunk } = vlans;
  if (vlan === undefined && trunk !== undefined) return [];
  const tag = vlan === undefined || vlan === network.vlans.vlan ? {} : { vlanId: vlan };
  const addresses = [address, addressIpv6].filter((text) => text !== undefined);
  return addresses.map((text) => announcementFrame({ mac, address: parseAddressWithLength(text).address, ...tag }));
}

/** Sends them out of links. @throws TsnetError `host`. */
export function announce(network: Network, endpoint: Endpoint, links: readonly { readonly index: number }[]): void {
  const frames = announcementFrames(network, endpoint);
  for (const { index } of links) {
    try {
      sendFrames(index, frames);
    } catch (failure) {
      if (!isErrno(failure, ...LOST)) throw failure;
    }
  }
}

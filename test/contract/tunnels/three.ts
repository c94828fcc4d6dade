// With what most tests begin, and what more than one of them sends.
import type { Network } from "../../../src/cnm/network.ts";
import { BROADCAST_MAC, ETHERTYPE, ethernet, ipv4, udpPacket } from "../../support/frames.ts";
import type { TunnelContainer } from "../../support/tunnel-stand.ts";
import type { TunnelSuite } from "../tunnels.ts";

/** Makes the network on every host, with a container on each. @param more - what differs from the stand's network. */
export async function threeContainers(
  { stand, kind }: TunnelSuite,
  more: Partial<Network> = {},
): Promise<readonly [TunnelContainer, TunnelContainer, TunnelContainer]> {
  await stand.make(kind, more);
  const on = (n: number) => stand.attach(n, stand.network(n, kind, more));
  return await Promise.all([on(1), on(2), on(3)]);
}

/** A datagram from a container to all of its network that nobody answers. @param to - the MAC address to which it goes. */
export function datagram({ endpoint, address }: TunnelContainer, text: string, to = BROADCAST_MAC): Buffer {
  const packet = udpPacket({ from: address[4], to: "10.1.1.255", fromPort: 7, toPort: 7, data: Buffer.from(text) });
  return ethernet({ to, from: endpoint.mac, type: ETHERTYPE.ipv4, payload: ipv4(packet) });
}

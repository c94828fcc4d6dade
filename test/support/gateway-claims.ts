// Frames by which somebody says that a network's gateway is he, for tests of what other hosts are not believed.
import { uniqueBytes } from "./attacks.ts";
import { BROADCAST_MAC, ETHERTYPE, type Packet, arp, ethernet, ipv4, udpPacket } from "./frames.ts";
import {
  ALL_NODES,
  ALL_NODES_MAC,
  UNSPECIFIED,
  ipv6,
  linkLocalOf,
  macOption,
  neighbourAdvertisement,
  neighbourSolicitation,
  solicitedNodeOf,
} from "./frames-ipv6.ts";

const CLAIMANT_MAC = "02:66:66:66:66:66";

/** The frames, each way of claiming by its name. No two end alike. @param address - what is claimed. */
export function gatewayClaims(address: Readonly<Record<4 | 6, string>>): Readonly<Record<string, readonly Buffer[]>> {
  const [senderMac, sender] = [CLAIMANT_MAC, address[4]];
  const inArp = (payload: Buffer) =>
    ethernet({
      from: senderMac,
      to: BROADCAST_MAC,
      type: ETHERTYPE.arp,
      payload: Buffer.concat([payload, uniqueBytes()]),
    });
  const in6 = (packet: Packet) =>
    ethernet({ from: senderMac, to: ALL_NODES_MAC, type: ETHERTYPE.ipv6, payload: ipv6(packet) });
  const other = linkLocalOf(senderMac);
  const option = (of: "sourceMac" | "targetMac", n: number) => macOption(of, `02:66:66:66:66:${n.toString(16)}0`);
  const datagram = (from: string, to: string) => udpPacket({ from, to, fromPort: 9, toPort: 9, data: uniqueBytes() });
  return {
    "ARP that asks": [
      inArp(arp({ operation: "request", senderMac, sender, target: "10.1.1.2" })),
      inArp(arp({ operation: "request", senderMac, sender, target: sender })),
    ],
    "ARP that answers": [
      inArp(arp({ operation: "reply", senderMac, sender, targetMac: BROADCAST_MAC, target: sender })),
    ],
    "a neighbour advertisement": [
      in6(neighbourAdvertisement(other, ALL_NODES, address[6], option("targetMac", 1))),
      in6(neighbourAdvertisement(address[6], ALL_NODES, "fd00:1:1::7", option("targetMac", 2))),
    ],
    "a neighbour solicitation": [
      in6(neighbourSolicitation(address[6], solicitedNodeOf("fd00:1:1::2"), "fd00:1:1::2", option("sourceMac", 3))),
      in6(neighbourSolicitation(UNSPECIFIED, solicitedNodeOf(address[6]), address[6])),
      in6(neighbourSolicitation(other, solicitedNodeOf(address[6]), address[6], option("sourceMac", 4))),
    ],
    "IPv4 from its address": [
      ethernet({
        from: senderMac,
        to: BROADCAST_MAC,
        type: ETHERTYPE.ipv4,
        payload: ipv4(datagram(sender, "10.1.1.2")),
      }),
    ],
    "IPv6 from its address": [in6(datagram(address[6], ALL_NODES))],
  };
}

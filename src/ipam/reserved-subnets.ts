// Which subnets can never be a container network, whoever asks for them. Follows the special-purpose registries of RFC 6890
// and its updates as far as a Linux host cannot use an address as an ordinary one.
import { type Subnet, bitsOf, formatSubnet, overlaps, parseSubnet } from "../cidr.ts";

const RESERVED = [
  { subnet: parseSubnet("0.0.0.0/8"), meaning: "this host on this network, RFC 1122" },
  { subnet: parseSubnet("127.0.0.0/8"), meaning: "loopback" },
  { subnet: parseSubnet("224.0.0.0/4"), meaning: "multicast" },
  { subnet: parseSubnet("240.0.0.0/4"), meaning: "reserved and broadcast, RFC 1112" },
  { subnet: parseSubnet("::/127"), meaning: "unspecified address and loopback" },
  { subnet: parseSubnet("::ffff:0:0/96"), meaning: "IPv4-mapped" },
  { subnet: parseSubnet("ff00::/8"), meaning: "multicast" },
];

/** Why `subnet` can be no pool; undefined when it can. */
export function findReservation(subnet: Subnet): string | undefined {
  if (subnet.prefixLength === 0) {
    return (
      `prefix length 0 of ${formatSubnet(subnet)} is outside 1..${bitsOf(subnet.family)}` +
      " (a network without addresses is made with --ipam-driver null)"
    );
  }
  const reserved = RESERVED.find((entry) => overlaps(entry.subnet, subnet));
  if (reserved === undefined) return undefined;
  return `${formatSubnet(subnet)} overlaps ${formatSubnet(reserved.subnet)} (${reserved.meaning})`;
}

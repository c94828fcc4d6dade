// Keys and data of set elements as bytes: what the kernel keeps in a set is the concatenation of its parts, each filled
// up with zero bytes to a multiple of 4 (net/netfilter/nf_tables_api.c, NFT_REG32_SIZE; nft_payload.c, nft_meta.c).
import { type Subnet, bytesOfAddress, lastOf, parseAddress } from "../cidr.ts";
import type { PortProtocol } from "../cnm/ports.ts";

/** IFNAMSIZ: the kernel compares the whole field (nft_meta.c, NFT_META_IIFNAME). */
const IF_NAME_LENGTH = 16;

/** Numbers of protocols (RFC 5237, IANA "Protocol Numbers"). */
export const PROTOCOL_NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const satisfies Record<PortProtocol, number>;

/** `ifname`: 16 bytes. @param name - at most 15 characters, checked where it came in. */
export function ifNamePart(name: string): Buffer {
  const part = Buffer.alloc(IF_NAME_LENGTH);
  part.write(name, 0, IF_NAME_LENGTH - 1, "latin1");
  return part;
}

/** `ipv4_addr` or `ipv6_addr`: 4 or 16 bytes. @throws TsnetError `invalid` for text that is no address. */
export function addressPart(text: string): Buffer {
  return bytesOfAddress(parseAddress(text));
}

/** The first and the last address of a subnet, as intervals have them. */
export function subnetParts(subnet: Subnet): { readonly first: Buffer; readonly last: Buffer } {
  const { family } = subnet;
  const last = bytesOfAddress({ family, value: lastOf(subnet) });
  return { first: bytesOfAddress({ family, value: subnet.first }), last };
}

/** `ether_addr`: 6 bytes and 2 of zero. @param text - `02:42:0a:01:02:03`. */
export function macPart(text: string): Buffer {
  const part = Buffer.alloc(8);
  Buffer.from(text.replaceAll(":", ""), "hex").copy(part, 0, 0, 6);
  return part;
}

/** `inet_proto`: 1 byte and 3 of zero. */
export function protocolPart(protocol: PortProtocol): Buffer {
  return Buffer.of(PROTOCOL_NUMBERS[protocol], 0, 0, 0);
}

/** `inet_service`: 2 bytes in network order and 2 of zero. */
export function portPart(port: number): Buffer {
  const part = Buffer.alloc(4);
  part.writeUInt16BE(port);
  return part;
}

/** `vlan id`: 2 bytes in network order, whose highest 4 bits are zero, and 2 of zero. */
export function vlanPart(id: number): Buffer {
  return portPart(id);
}

/** The VNI of VXLAN and Geneve: 3 bytes in network order and 1 of zero. @param vni - 0 to 16,777,215. */
export function vniPart(vni: number): Buffer {
  const part = Buffer.alloc(4);
  part.writeUIntBE(vni, 0, 3);
  return part;
}

/** The key of GRE: 4 bytes in network order. */
export function keyPart(key: number): Buffer {
  const part = Buffer.alloc(4);
  part.writeUInt32BE(key);
  return part;
}

/** The link-local address that a MAC address leads to (RFC 4291 appendix A): `fe80::` and the modified EUI-64. */
export function linkLocalPart(mac: string): Buffer {
  const bytes = macPart(mac);
  const part = Buffer.alloc(16);
  part.writeUInt16BE(0xfe80);
  bytes.copy(part, 8, 0, 3);
  part.writeUInt16BE(0xfffe, 11);
  bytes.copy(part, 13, 3, 6);
  part.writeUInt8(part.readUInt8(8) ^ 0x02, 8);
  return part;
}

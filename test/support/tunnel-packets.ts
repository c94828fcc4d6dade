// Packets of a tunnel as bytes, for tests that speak in one as somebody else (RFC 7348 5, RFC 8926 3.4, RFC 2890 2).
import type { Tunnel } from "../../src/cnm/network.ts";
import { type Packet, checksum, u16, u32, udpPacket } from "./frames.ts";

const GRE = 47;
const ETHERNET_IN_GRE = 0x6558;

/** @param inner - the frame inside. @param hasChecksum - of GRE. */
export function tunnelPacket(
  { kind, vni, port = 0 }: Pick<Tunnel, "kind" | "vni" | "port">,
  [from, to]: readonly [from: string, to: string],
  inner: Buffer,
  hasChecksum = false,
): Packet {
  if (kind === "gre") {
    const flags = (hasChecksum ? 0x8000 : 0) | (vni === undefined ? 0 : 0x2000);
    const fixed = Buffer.concat([u16(flags), u16(ETHERNET_IN_GRE)]);
    const rest = Buffer.concat([...(vni === undefined ? [] : [u32(vni)]), inner]);
    const sum = hasChecksum ? [u16(checksum(Buffer.concat([fixed, u32(0), rest]))), u16(0)] : [];
    return { from, to, protocol: GRE, payload: Buffer.concat([fixed, ...sum, rest]) };
  }
  const start = kind === "vxlan" ? Buffer.of(8, 0, 0, 0) : Buffer.concat([u16(0), u16(ETHERNET_IN_GRE)]);
  const data = Buffer.concat([start, u32((vni ?? 0) * 256), inner]);
  return udpPacket({ from, to, fromPort: 50_000, toPort: port, data });
}

// What passes between the hosts of a tunnel, seen on the wire: packets of IP around the frames of the network.
import { ETHERTYPE } from "./frames.ts";

/** The size of each IP packet of the underlay, and whether it is part of one that was broken up. */
export function outerPackets(frames: readonly Buffer[]): { readonly size: number; readonly isFragment: boolean }[] {
  return frames.flatMap((frame) => {
    const [type, ip] = [frame.readUInt16BE(12), frame.subarray(14)];
    if (type === ETHERTYPE.ipv4) return [{ size: ip.readUInt16BE(2), isFragment: (ip.readUInt16BE(6) & 0x3fff) !== 0 }];
    if (type === ETHERTYPE.ipv6) return [{ size: 40 + ip.readUInt16BE(4), isFragment: ip.readUInt8(6) === 44 }];
    return [];
  });
}

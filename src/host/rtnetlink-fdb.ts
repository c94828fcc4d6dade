// Entries of a bridge's forwarding table as rtnetlink says them: which address is behind which port. Follows bridge(8),
// `bridge fdb`, include/uapi/linux/neighbour.h and net/bridge/br_fdb.c (fdb_add_entry, br_fdb_update).
import { AF_BRIDGE } from "./libc.ts";
import { formatMac, parseMac } from "./mac.ts";
import { bytesAttribute, parseAttributes } from "./netlink.ts";

const NDA_LLADDR = 2;
const NTF_SELF = 0x02;
const NTF_MASTER = 0x04;
const NTF_STICKY = 0x40;
/** What bridge(8) calls `static`. NUD_PERMANENT would be the bridge's own address: frames to it would go to the host. */
const NUD_NOARP = 0x40;
const HEADER_LENGTH = 12;

/** RTM_NEWNEIGH or RTM_DELNEIGH for an entry that neither ages nor, since Linux 4.19, moves to another port. */
export function fdbEntryParts(portIndex: number, mac: string): Buffer[] {
  const header = Buffer.alloc(HEADER_LENGTH); // struct ndmsg
  header.writeUInt8(AF_BRIDGE, 0);
  header.writeInt32LE(portIndex, 4);
  header.writeUInt16LE(NUD_NOARP, 8);
  header.writeUInt8(NTF_MASTER | NTF_STICKY, 10);
  return [header, bytesAttribute(NDA_LLADDR, parseMac(mac))];
}

/** RTM_GETNEIGH, to list the entries of one port. */
export function fdbListParts(portIndex: number): Buffer[] {
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt8(AF_BRIDGE, 0);
  header.writeInt32LE(portIndex, 4);
  return [header];
}

/** Reads the payload of an RTM_NEWNEIGH message. @returns the address of an entry as `fdbEntryParts` makes it, else undefined. */
export function parseStaticFdbEntry(payload: Buffer): string | undefined {
  const isOfBridge = (payload.readUInt8(10) & NTF_SELF) === 0; // else it is a filter of the card
  const mac = parseAttributes(payload.subarray(HEADER_LENGTH)).get(NDA_LLADDR);
  return isOfBridge && payload.readUInt16LE(8) === NUD_NOARP && mac ? formatMac(mac) : undefined;
}

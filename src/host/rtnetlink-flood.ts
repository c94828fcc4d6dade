// To which hosts a VXLAN link sends what is for all, and what is for an address that it does not know: entries for the MAC
// address of zeros in its forwarding table, one for each host. Follows bridge(8), `bridge fdb append ... self permanent`,
// include/uapi/linux/neighbour.h and drivers/net/vxlan/vxlan_core.c (vxlan_fdb_add, vxlan_fdb_delete, vxlan_fdb_info).
import { type Address, bytesOfAddress, formatAddress } from "../cidr.ts";
import { AF_BRIDGE } from "./libc.ts";
import { NLM_F, bytesAttribute, parseAttributes } from "./netlink.ts";
import { addressOf } from "./rtnetlink-address.ts";
import { fdbListParts } from "./rtnetlink-fdb.ts";
import { type LinkRequests, RTM } from "./rtnetlink-requests.ts";

const NDA = { DST: 1, LLADDR: 2, PORT: 6, VNI: 7, IFINDEX: 8, SRC_VNI: 11 } as const;
/** What, besides the MAC address, makes it one destination. What is as the link has it stands in no entry but DST. */
const DESTINATION = [NDA.DST, NDA.PORT, NDA.VNI, NDA.IFINDEX, NDA.SRC_VNI] as const;
const NTF_SELF = 0x02;
const NUD_PERMANENT = 0x80;
const NUD_NOARP = 0x40;
const HEADER_LENGTH = 12;
const NO_MAC = Buffer.alloc(6);

/** One destination of one MAC address. */
interface Entry {
  readonly mac: Buffer;
  readonly isPermanent: boolean;
  /** It is from a frame that came, and ages. */
  readonly isLearned: boolean;
  /** The attributes of DESTINATION, as they were received. */
  readonly destination: Buffer;
  readonly peer: Address;
}

/** The hosts to which a VXLAN link floods, none for any other link. @throws TsnetError `host`, ENODEV. */
export async function listFloodPeers(requests: LinkRequests, index: number): Promise<Address[]> {
  return (await listEntries(requests, index)).filter(isFlooding).map(({ peer }) => peer);
}

/**
 * Makes a VXLAN link flood to exactly these hosts, see `Rtnetlink.setFloodPeers`.
 *
 * @param peers - each once or more, of the family of the link.
 */
export async function setFloodPeers(requests: LinkRequests, index: number, peers: readonly Address[]): Promise<void> {
  const entries = await listEntries(requests, index);
  const flooding = entries.filter(isFlooding);
  const present = new Set(flooding.filter(({ isPermanent }) => isPermanent).map(keyOf));
  const wanted = new Map(peers.map((peer) => [destinationOf(peer).toString("hex"), peer]));
  for (const [key, peer] of wanted) {
    if (present.has(key)) continue;
    const parts = [entryHeader(index), bytesAttribute(NDA.LLADDR, NO_MAC), destinationOf(peer)];
    const doing = `add ${formatAddress(peer)} to the hosts of`;
    await requests.change({ index, doing, type: RTM.NEWNEIGH, parts, flags: NLM_F.CREATE | NLM_F.APPEND });
  }
  const surplus = flooding.filter((entry) => !wanted.has(keyOf(entry)));
  const gone = new Set(surplus.map(keyOf));
  const stale = entries.filter((entry) => entry.isLearned && gone.has(keyOf(entry)));
  for (const { mac, destination, peer } of [...surplus, ...stale]) {
    const parts = [entryHeader(index), bytesAttribute(NDA.LLADDR, mac), destination];
    const doing = `remove ${formatAddress(peer)} from the hosts of`;
    await requests.change({ index, doing, type: RTM.DELNEIGH, parts, successes: ["ENOENT"] });
  }
}

async function listEntries(requests: LinkRequests, index: number): Promise<Entry[]> {
  const request = { type: RTM.GETNEIGH, parts: fdbListParts(index) };
  const payloads = await requests.dump(requests.naming("list the hosts of", index), request);
  return payloads.flatMap((payload) => parseEntry(payload) ?? []);
}

/** Reads the payload of an RTM_NEWNEIGH message. @returns undefined for what is no entry of a VXLAN link itself. */
function parseEntry(payload: Buffer): Entry | undefined {
  const attributes = parseAttributes(payload.subarray(HEADER_LENGTH));
  const [mac, peer] = [attributes.get(NDA.LLADDR), attributes.get(NDA.DST)];
  if ((payload.readUInt8(10) & NTF_SELF) === 0 || mac === undefined || peer === undefined) return undefined;
  const state = payload.readUInt16LE(8);
  const destination = DESTINATION.flatMap((type) => {
    const value = attributes.get(type);
    return value ? [bytesAttribute(type, value)] : [];
  });
  return {
    mac: Buffer.from(mac),
    isPermanent: (state & NUD_PERMANENT) !== 0,
    isLearned: (state & (NUD_PERMANENT | NUD_NOARP)) === 0,
    destination: Buffer.concat(destination),
    peer: addressOf(peer.length === 4 ? 4 : 6, peer),
  };
}

function isFlooding({ mac }: Entry): boolean {
  return mac.equals(NO_MAC);
}

function keyOf({ destination }: Entry): string {
  return destination.toString("hex");
}

function destinationOf(peer: Address): Buffer {
  return bytesAttribute(NDA.DST, bytesOfAddress(peer));
}

/** A `struct ndmsg` for an entry that does not age. */
function entryHeader(index: number): Buffer {
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt8(AF_BRIDGE, 0);
  header.writeInt32LE(index, 4);
  header.writeUInt16LE(NUD_PERMANENT, 8);
  header.writeUInt8(NTF_SELF, 10);
  return header;
}

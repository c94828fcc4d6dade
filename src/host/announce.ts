// Telling all stations of a link where an address now is, so that they, and the switches between, need not find out: a
// gratuitous ARP packet (RFC 826; as RFC 5227 1.1 wants it, a request) or an unsolicited neighbour advertisement (RFC 4861
// 4.4 and 7.2.6). Frames are sent as they stand by packet(7), without a process.
import { type Address, bytesOfAddress } from "../cidr.ts";
import { TsnetError, inContext } from "../errors.ts";
import { AF_PACKET, SOCK_RAW, bindSocket, closeSocket, openSocket, sendNow } from "./libc.ts";
import { parseMac } from "./mac.ts";

const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, tag: 0x8100, ipv6: 0x86dd } as const;
const BROADCAST = Buffer.alloc(6, 0xff);
const NO_MAC = Buffer.alloc(6);
const ARP_REQUEST = 1;
const ETHERNET = 1; // hardware type, iana.org: ARP parameters

const ALL_NODES = Buffer.from("ff020000000000000000000000000001", "hex");
const ALL_NODES_MAC = Buffer.from("333300000001", "hex"); // RFC 2464 7
const ICMPV6 = 58;
const NEIGHBOUR_ADVERTISEMENT = 136;
const OVERRIDE = 0x20000000; // neither a router's nor an answer
const TARGET_MAC_OPTION = 2;

/** Of a `struct sockaddr_ll`. */
const SOCKADDR_LENGTH = 20;

/** Where an address now is. */
export interface Announcement {
  readonly mac: string;
  readonly address: Address;
  /** 1 to 4094: the frame carries this tag (802.1Q). */
  readonly vlanId?: number;
}

/** The frame that says it to all: ARP for IPv4, neighbour discovery for IPv6. @throws TsnetError `internal` for a wrong MAC address or VLAN. */
export function announcementFrame(announcement: Announcement): Buffer {
  return announcement.address.family === 4 ? gratuitousArp(announcement) : neighbourAdvertisement(announcement);
}

/**
 * Sends frames out of a link of this thread's network namespace, in their order, without waiting. It is done when it returns.
 *
 * @param frames - from the destination's MAC address on, without checksum at the end.
 * @throws TsnetError `host`: ENODEV for an absent link, ENETDOWN for one that is down, EMSGSIZE for a frame too long,
 * ENOBUFS or EAGAIN when the link's queue is full; the frames before the one refused are sent.
 */
export function sendFrames(linkIndex: number, frames: readonly Buffer[]): void {
  const address = Buffer.alloc(SOCKADDR_LENGTH); // u16 family, u16 protocol (0: receives nothing), i32 index, for receiving the rest
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeInt32LE(linkIndex, 4);
  const fd = openSocket(AF_PACKET, SOCK_RAW, 0);
  try {
    bindSocket(fd, address);
    for (const frame of frames) sendNow(fd, frame);
  } catch (failure) {
    throw inContext(`send frames out of link ${linkIndex}`, failure);
  } finally {
    closeSocket(fd);
  }
}

/** A request for the address by the address itself: everybody who knows it notes the MAC address. */
function gratuitousArp({ mac, address, vlanId }: Announcement): Buffer {
  const [sender, target] = [parseMac(mac), bytesOfAddress(address)];
  const layout = [u16(ETHERNET), u16(ETHERTYPE.ipv4), Buffer.of(6, 4), u16(ARP_REQUEST)];
  const payload = Buffer.concat([...layout, sender, target, NO_MAC, target]);
  return ethernet(BROADCAST, sender, vlanId, ETHERTYPE.arp, payload);
}

function neighbourAdvertisement({ mac, address, vlanId }: Announcement): Buffer {
  const [sender, target] = [parseMac(mac), bytesOfAddress(address)];
  const option = [Buffer.of(TARGET_MAC_OPTION, 1), sender];
  const message = Buffer.concat([Buffer.of(NEIGHBOUR_ADVERTISEMENT, 0), u16(0), u32(OVERRIDE), target, ...option]);
  const pseudoHeader = Buffer.concat([target, ALL_NODES, u32(message.length), u32(ICMPV6)]); // RFC 8200 8.1
  message.writeUInt16BE(checksum(Buffer.concat([pseudoHeader, message])), 2);
  const header = [u32(0x60000000), u16(message.length), Buffer.of(ICMPV6, 255), target, ALL_NODES];
  return ethernet(ALL_NODES_MAC, sender, vlanId, ETHERTYPE.ipv6, Buffer.concat([...header, message]));
}

function ethernet(to: Buffer, from: Buffer, vlanId: number | undefined, type: number, payload: Buffer): Buffer {
  if (vlanId !== undefined && !(vlanId >= 1 && vlanId <= 4094)) {
    throw new TsnetError("internal", `VLAN ${vlanId} is outside 1..4094`);
  }
  const tag = vlanId === undefined ? [] : [u16(ETHERTYPE.tag), u16(vlanId)];
  return Buffer.concat([to, from, ...tag, u16(type), payload]);
}

/** RFC 1071. @param bytes - an even number, the field that takes the result zero. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

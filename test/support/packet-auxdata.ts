// Frames from a packet socket with the VLAN tag that the kernel took off them. The receiving stack moves the outermost tag from
// the frame into what it notes about it, and a packet socket tells it in a control message (packet(7), PACKET_AUXDATA).
import { constants } from "node:os";
import koffi from "koffi";
import { setSocketOption } from "../../src/host/libc.ts";

const SOL_PACKET = 263;
const PACKET_AUXDATA = 8;
const TP_STATUS_VLAN_VALID = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID = 1 << 6;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const { EAGAIN, EINTR, ENETDOWN } = constants.errno;
const CUSTOMER_TAG = 0x8100;
/** Of both MAC addresses: a tag stands behind them. */
const ADDRESSES = 12;

/** `struct cmsghdr` (cmsg(3)), where addresses have 8 bytes: u64 length, i32 level, i32 type, data. */
const CONTROL = { level: 8, type: 12, data: 16 } as const;
/** `struct tpacket_auxdata` (linux/if_packet.h): u32 status, length, snaplen, u16 mac, net, tci, tpid. */
const AUXDATA = { status: 0, tci: 16, tpid: 18, length: 20 } as const;

/**
 * `struct msghdr` (recvmsg(2)), likewise: name, its length, parts, their count, control, its length, flags. Behind it, in the
 * same bytes so that they live as long, its only `struct iovec` and the control message.
 */
const MESSAGE = {
  parts: 16,
  partCount: 24,
  control: 32,
  controlLength: 40,
  part: 56,
  partLength: 64,
  note: 72,
} as const;

const receiveMessage = koffi.load(null).func("long recvmsg(int fd, void *message, int flags)") as unknown as (
  fd: number,
  message: Buffer,
  flags: number,
) => number; // koffi types its functions with `any`

/** Asks for the control messages. @returns what takes the next frame, undefined when there is none. @throws Error. */
export function openEnvelope(fd: number): () => Buffer | undefined {
  const on = Buffer.alloc(4);
  on.writeInt32LE(1);
  setSocketOption(fd, SOL_PACKET, PACKET_AUXDATA, on);
  const frame = Buffer.alloc(65_536);
  const message = Buffer.alloc(MESSAGE.note + CONTROL.data + AUXDATA.length + 4);
  const control = message.subarray(MESSAGE.note);
  const address = koffi.address(message);
  message.writeBigUInt64LE(address + BigInt(MESSAGE.part), MESSAGE.parts);
  message.writeBigUInt64LE(1n, MESSAGE.partCount);
  message.writeBigUInt64LE(address + BigInt(MESSAGE.note), MESSAGE.control);
  message.writeBigUInt64LE(koffi.address(frame), MESSAGE.part);
  message.writeBigUInt64LE(BigInt(frame.length), MESSAGE.partLength);
  const receive = (): number | undefined => {
    for (;;) {
      message.writeBigUInt64LE(BigInt(control.length), MESSAGE.controlLength);
      const length = receiveMessage(fd, message, MSG_DONTWAIT | MSG_TRUNC);
      if (length >= 0) return length;
      const errno = koffi.errno();
      if (errno === EAGAIN) return undefined;
      if (errno !== EINTR && errno !== ENETDOWN) throw new Error(`recvmsg: errno ${errno}`); // a link that went down says so
    }
  };
  return () => {
    const length = receive();
    if (length === undefined) return undefined;
    if (length > frame.length) throw new Error(`a frame of ${length} bytes`);
    return withTag(frame.subarray(0, length), control);
  };
}

/** A copy of the frame as it was on the wire. */
function withTag(frame: Buffer, control: Buffer): Buffer {
  const isAuxdata =
    control.readInt32LE(CONTROL.level) === SOL_PACKET && control.readInt32LE(CONTROL.type) === PACKET_AUXDATA;
  if (!isAuxdata) throw new Error("a frame without PACKET_AUXDATA");
  const note = control.subarray(CONTROL.data);
  const status = note.readUInt32LE(AUXDATA.status);
  if ((status & TP_STATUS_VLAN_VALID) === 0) return Buffer.from(frame);
  const tag = Buffer.alloc(4);
  tag.writeUInt16BE((status & TP_STATUS_VLAN_TPID_VALID) === 0 ? CUSTOMER_TAG : note.readUInt16LE(AUXDATA.tpid), 0);
  tag.writeUInt16BE(note.readUInt16LE(AUXDATA.tci), 2);
  return Buffer.concat([frame.subarray(0, ADDRESSES), tag, frame.subarray(ADDRESSES)]);
}

// The netlink message format: header, attributes, acknowledgements. Pure functions over buffers; the socket is in
// `netlink-socket.ts`, what rtnetlink's numbers mean in `rtnetlink*.ts`. Follows RFC 3549 section 2, netlink(7) and
// include/uapi/linux/netlink.h. Numbers are in host byte order, which is little endian wherever tsnet is built.
//
//   nlmsghdr: u32 length, u16 type, u16 flags, u32 sequence, u32 port;   then the payload, padded to 4
//   nlattr:   u16 length, u16 type;                                      then the value, padded to 4
import { TsnetError } from "../errors.ts";

/** Flags of a message header (netlink.h, NLM_F_*). */
export const NLM_F = {
  REQUEST: 0x1,
  MULTI: 0x2,
  ACK: 0x4,
  DUMP_INTR: 0x10,
  DUMP: 0x300,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
  /** Only in acknowledgements: the request's payload is not repeated. */
  CAPPED: 0x100,
  /** Only in acknowledgements: attributes follow, among them the kernel's words. */
  ACK_TLVS: 0x200,
} as const;

/** Types of control messages (netlink.h, NLMSG_*). */
export const NLMSG = { ERROR: 2, DONE: 3 } as const;

const HEADER_LENGTH = 16;
const ATTRIBUTE_HEADER_LENGTH = 4;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const NLMSGERR_ATTR_MSG = 1;

/** One message as it was received. `payload` is a view into the buffer it was parsed from. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

/** One attribute as it was received. `type` comes without the flag bits. */
export interface Attribute {
  readonly type: number;
  readonly value: Buffer;
}

/** Makes a message to send. @param parts - the family's own header, then attributes, each padded already. */
export function encodeMessage(type: number, flags: number, sequence: number, parts: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(HEADER_LENGTH);
  const message = Buffer.concat([header, ...parts]);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(flags, 6);
  message.writeUInt32LE(sequence, 8);
  return message;
}

/** Parts one received datagram into its messages. @throws TsnetError `host` if lengths do not add up. */
export function parseMessages(datagram: Buffer): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < datagram.length;) {
    const length = at + HEADER_LENGTH <= datagram.length ? datagram.readUInt32LE(at) : 0;
    if (length < HEADER_LENGTH || at + length > datagram.length) throw malformed("message");
    messages.push({
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      payload: datagram.subarray(at + HEADER_LENGTH, at + length),
    });
    at += padded(length);
  }
  return messages;
}

/** An attribute of any bytes. @throws TsnetError `internal` if it is longer than the 16 bit length can say. */
export function bytesAttribute(type: number, value: Buffer): Buffer {
  const length = ATTRIBUTE_HEADER_LENGTH + value.length;
  if (length > 0xffff) throw new TsnetError("internal", `netlink attribute ${type} of ${length} bytes is too long`);
  const attribute = Buffer.alloc(padded(length));
  attribute.writeUInt16LE(length, 0);
  attribute.writeUInt16LE(type, 2);
  value.copy(attribute, ATTRIBUTE_HEADER_LENGTH);
  return attribute;
}

/** An attribute of one byte. */
export function u8Attribute(type: number, value: number): Buffer {
  return bytesAttribute(type, Buffer.of(value));
}

/** An attribute of 16 bits. */
export function u16Attribute(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytesAttribute(type, bytes);
}

/** An attribute of 32 bits. */
export function u32Attribute(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytesAttribute(type, bytes);
}

/** An attribute of 16 bits in network byte order. */
export function u16NetAttribute(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytesAttribute(type, bytes);
}

/** An attribute of 32 bits in network byte order. */
export function u32NetAttribute(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytesAttribute(type, bytes);
}

/** An attribute of text, ended by a zero byte as the kernel's NLA_NUL_STRING wants it. */
export function textAttribute(type: number, value: string): Buffer {
  return bytesAttribute(type, Buffer.from(`${value}\0`));
}

/** An attribute that holds attributes. */
export function nestedAttribute(type: number, children: readonly Buffer[]): Buffer {
  return bytesAttribute(type | NLA_F_NESTED, Buffer.concat(children));
}

/** All attributes in a row, repeated types included. @throws TsnetError `host` if lengths do not add up. */
export function parseAttributeList(bytes: Buffer): Attribute[] {
  const attributes: Attribute[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = attributeLength(bytes, at);
    const type = bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK;
    attributes.push({ type, value: bytes.subarray(at + ATTRIBUTE_HEADER_LENGTH, at + length) });
    at += padded(length);
  }
  return attributes;
}

/** Attributes by type; of a repeated type the last one. @throws TsnetError `host` if lengths do not add up. */
export function parseAttributes(bytes: Buffer): ReadonlyMap<number, Buffer> {
  return new Map(parseAttributeList(bytes).map(({ type, value }) => [type, value]));
}

/**
 * The value of the first attribute of that type, without reading those behind it: for messages that come in thousands.
 *
 * @throws TsnetError `host` if lengths up to there do not add up.
 */
export function findAttribute(bytes: Buffer, type: number): Buffer | undefined {
  for (let at = 0; at < bytes.length;) {
    const length = attributeLength(bytes, at);
    if ((bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK) === type) {
      return bytes.subarray(at + ATTRIBUTE_HEADER_LENGTH, at + length);
    }
    at += padded(length);
  }
  return undefined;
}

/** The text of an attribute, without the zero byte at its end. */
export function textOf(value: Buffer): string {
  const end = value.indexOf(0);
  return value.toString("utf8", 0, end < 0 ? value.length : end);
}

/**
 * Reads an NLMSG_ERROR message, which is also the positive acknowledgement, or the NLMSG_DONE at the end of a dump.
 *
 * @returns the errno, 0 for success, and the kernel's own words if it sent some (NLMSGERR_ATTR_MSG).
 */
export function parseAck(message: NetlinkMessage): { readonly errno: number; readonly words?: string } {
  const { payload, flags } = message;
  if (payload.length < 4) return { errno: 0 };
  const errno = Math.abs(payload.readInt32LE(0));
  if ((flags & NLM_F.ACK_TLVS) === 0) return { errno };
  const words = parseAttributes(payload.subarray(lengthBeforeTlvs(message))).get(NLMSGERR_ATTR_MSG);
  return words === undefined ? { errno } : { errno, words: textOf(words) };
}

/** Whether a failure, or one of its causes, is the kernel's refusal with one of these errno names. */
export function isErrno(failure: unknown, ...names: readonly string[]): boolean {
  for (let error = failure; error instanceof Error; error = error.cause) {
    const { cause } = error;
    if (typeof cause !== "object" || cause === null || !("errno" in cause)) continue;
    if (typeof cause.errno === "string") return names.includes(cause.errno);
  }
  return false;
}

/** An NLMSG_ERROR repeats the request's header, and its payload too unless NLM_F_CAPPED says otherwise. */
function lengthBeforeTlvs({ type, flags, payload }: NetlinkMessage): number {
  if (type === NLMSG.DONE) return 4;
  return 4 + ((flags & NLM_F.CAPPED) === 0 ? padded(payload.readUInt32LE(4)) : HEADER_LENGTH);
}

/** Header included, padding not. */
function attributeLength(bytes: Buffer, at: number): number {
  const length = at + ATTRIBUTE_HEADER_LENGTH <= bytes.length ? bytes.readUInt16LE(at) : 0;
  if (length < ATTRIBUTE_HEADER_LENGTH || at + length > bytes.length) throw malformed("attribute");
  return length;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function malformed(what: string): TsnetError {
  return new TsnetError("host", `the kernel sent a netlink ${what} whose length is wrong`);
}

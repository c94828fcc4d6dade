// Messages of OpenFlow as they stand in the stream: their header (OpenFlow 1.4, 7.1), and where one ends.
import { TsnetError } from "../errors.ts";

/** OFPT_*. */
export const TYPE = {
  hello: 0,
  error: 1,
  echoRequest: 2,
  echoReply: 3,
  setConfig: 9,
  packetOut: 13,
  flowMod: 14,
  multipartRequest: 18,
  multipartReply: 19,
  barrierRequest: 20,
  barrierReply: 21,
} as const;

/** Versions on the wire: 1.3 and 1.4. */
export const VERSIONS = [4, 5] as const;

const HEADER_LENGTH = 8;

/** One message of either direction. */
export interface Message {
  readonly version: number;
  readonly type: number;
  /** An answer has that of its request. */
  readonly xid: number;
  readonly body: Buffer;
}

/** A message as bytes. @throws TsnetError `invalid` for one that is longer than its header can say. */
export function encodeMessage({ version, type, xid, body }: Message): Buffer {
  const length = HEADER_LENGTH + body.length;
  if (length > 0xffff) throw new TsnetError("invalid", `a message of ${length} bytes is outside 8..65535`);
  const head = Buffer.alloc(HEADER_LENGTH);
  head.writeUInt8(version, 0);
  head.writeUInt8(type, 1);
  head.writeUInt16BE(length, 2);
  head.writeUInt32BE(xid, 4);
  return Buffer.concat([head, body]);
}

/** Puts messages together from what arrives; keeps one incomplete message at most, which has 64 KiB at most. */
export class MessageStream {
  #parts: Buffer[] = [];
  #length = 0;

  /** @returns the messages that are complete now. @throws TsnetError `host` for a length that cannot be. */
  push(chunk: Buffer): readonly Message[] {
    this.#parts.push(chunk);
    this.#length += chunk.length;
    if (this.#length < HEADER_LENGTH) return [];
    let rest = Buffer.concat(this.#parts);
    const messages: Message[] = [];
    while (rest.length >= HEADER_LENGTH) {
      const length = rest.readUInt16BE(2);
      if (length < HEADER_LENGTH) throw new TsnetError("host", `a message of ${length} bytes`);
      if (rest.length < length) break;
      const [version, type, xid] = [rest.readUInt8(0), rest.readUInt8(1), rest.readUInt32BE(4)];
      messages.push({ version, type, xid, body: rest.subarray(HEADER_LENGTH, length) });
      rest = rest.subarray(length);
    }
    this.#parts = [rest];
    this.#length = rest.length;
    return messages;
  }
}

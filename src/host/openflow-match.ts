// What a flow matches, as OXM (OpenFlow 1.4, 7.2.2 and 7.2.3).
import { TsnetError } from "../errors.ts";
import {
  FIELD_NAMES,
  type FieldName,
  type FieldValue,
  bytesIn,
  decodeValue,
  encodeValue,
  fieldOf,
  headerOf,
} from "./openflow-fields.ts";

/** OFPMT_OXM. */
const OXM_MATCH = 1;
const HAS_MASK = 0x100;

/** Only the bits that are set in the mask count. */
export interface Masked {
  readonly value: FieldValue;
  readonly mask: FieldValue;
}

/** All of these must hold; none: every frame. */
export type Match = { readonly [Name in FieldName]?: FieldValue | Masked };

/** `struct ofp_match`, filled up to a multiple of 8 bytes. @throws TsnetError `invalid`. */
export function encodeMatch(match: Match): Buffer {
  const oxm = FIELD_NAMES.map((name) => encodeField(name, match[name]));
  const length = oxm.reduce((sum, part) => sum + part.length, 4);
  const head = Buffer.alloc(4);
  head.writeUInt16BE(OXM_MATCH, 0);
  head.writeUInt16BE(length, 2);
  return Buffer.concat([head, ...oxm], paddedLength(length));
}

/**
 * Reads a match, in the order of the table of fields.
 *
 * @returns the match, and how many bytes it takes.
 * @throws TsnetError `host` for bytes that make no sense. A field that tsnet does not know is in `unknown`.
 */
export function decodeMatch(bytes: Buffer): {
  readonly match: Match;
  readonly unknown: readonly string[];
  readonly length: number;
} {
  const end = bytes.length < 4 ? 0 : bytes.readUInt16BE(2);
  if (end < 4 || paddedLength(end) > bytes.length) throw new TsnetError("host", "a match ends before its end");
  const found = new Map<FieldName, FieldValue | Masked>();
  const unknown: string[] = [];
  for (let at = 4; at < end;) {
    const { header, name, value, length } = decodeOxm(bytes.subarray(at, end));
    if (name === undefined || value === undefined) unknown.push(`0x${header.toString(16)}`);
    else found.set(name, value);
    at += length;
  }
  const known = FIELD_NAMES.flatMap((name) => {
    const value = found.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return { match: Object.fromEntries(known), unknown, length: paddedLength(end) };
}

/** One field and its value, as a match has it and as actions set it. */
export function encodeOxm(name: FieldName, value: FieldValue): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(headerOf(name));
  return Buffer.concat([header, encodeValue(name, value)]);
}

/** The reverse, also for one with a mask. @throws TsnetError `host` for bytes that make no sense. */
export function decodeOxm(bytes: Buffer): {
  readonly header: number;
  readonly name: FieldName | undefined;
  readonly value: FieldValue | Masked | undefined;
  readonly length: number;
} {
  const header = bytes.length < 4 ? 0 : bytes.readUInt32BE();
  const length = 4 + (header & 0xff);
  if (bytes.length < length || length === 4) throw new TsnetError("host", "a field ends before its end");
  const name = fieldOf(header);
  const size = name === undefined ? -1 : bytesIn(name);
  const isMasked = (header & HAS_MASK) !== 0;
  if (name === undefined || length - 4 !== (isMasked ? 2 * size : size))
    return { header, name: undefined, value: undefined, length };
  const value = decodeValue(name, bytes.subarray(4, 4 + size));
  if (!isMasked) return { header, name, value, length };
  return { header, name, value: { value, mask: decodeValue(name, bytes.subarray(4 + size, length)) }, length };
}

/** Multiples of 8: what messages of OpenFlow are made of. */
export function paddedLength(length: number): number {
  return Math.ceil(length / 8) * 8;
}

function encodeField(name: FieldName, value: FieldValue | Masked | undefined): Buffer {
  if (value === undefined) return Buffer.alloc(0);
  if (typeof value !== "object") return encodeOxm(name, value);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(headerOf(name) + HAS_MASK + bytesIn(name));
  return Buffer.concat([header, encodeValue(name, value.value), encodeValue(name, value.mask)]);
}

// The action by which a flow makes others: NXAST_LEARN2 (ovs-actions(7), "The learn action"; ofp-actions.c, struct
// nx_action_learn and nx_action_learn2).
import { type FieldName, fieldOf, headerOf } from "./openflow-fields.ts";

/** Behind the header of every action: 24 bytes of `learn`, 8 of `learn2`. */
const FIXED_LENGTH = 30;

/** What a copy becomes: a match of the learned flow, or an action that loads it. */
const BECOMES = { match: 0, load: 1 } as const;

/** The flows that one frame after the other makes; a frame with the same matches makes the same one. */
export interface Learn {
  readonly table: number;
  readonly priority: number;
  readonly cookie: bigint;
  /** A learned flow goes so long after the last frame that made it. */
  readonly seconds: number;
  /** So many at most bear this cookie; what comes after them is not learned. */
  readonly limit: number;
  /** From fields of the frame as it is now. */
  readonly copies: readonly LearnCopy[];
}

/** `bits` of a field, from its lowest one on. */
export interface LearnCopy {
  readonly from: FieldName;
  readonly to: FieldName;
  readonly bits: number;
  readonly becomes: keyof typeof BECOMES;
}

/** What follows the subtype. */
export function encodeLearn({ table, priority, cookie, seconds, limit, copies }: Learn): Buffer {
  const fixed = Buffer.alloc(FIXED_LENGTH);
  fixed.writeUInt16BE(seconds, 2);
  fixed.writeUInt16BE(priority, 4);
  fixed.writeBigUInt64BE(cookie, 6);
  fixed.writeUInt8(table, 16);
  fixed.writeUInt32BE(limit, 22);
  return Buffer.concat([fixed, ...copies.map(encodeCopy)]);
}

/** @returns undefined for one of a kind that tsnet never writes. */
export function decodeLearn(body: Buffer): Learn | undefined {
  if (body.length < FIXED_LENGTH || body.readUInt16BE(0) !== 0) return undefined;
  const copies: LearnCopy[] = [];
  for (let at = FIXED_LENGTH; at + 2 <= body.length && body.readUInt16BE(at) !== 0; at += 14) {
    const copy = decodeCopy(body.subarray(at, at + 14));
    if (copy === undefined) return undefined;
    copies.push(copy);
  }
  const [table, priority, cookie] = [body.readUInt8(16), body.readUInt16BE(4), body.readBigUInt64BE(6)];
  return { table, priority, cookie, seconds: body.readUInt16BE(2), limit: body.readUInt32BE(22), copies };
}

function encodeCopy({ from, to, bits, becomes }: LearnCopy): Buffer {
  const spec = Buffer.alloc(14);
  spec.writeUInt16BE((BECOMES[becomes] << 11) | bits, 0);
  spec.writeUInt32BE(headerOf(from), 2);
  spec.writeUInt32BE(headerOf(to), 8);
  return spec;
}

function decodeCopy(spec: Buffer): LearnCopy | undefined {
  if (spec.length < 14) return undefined;
  const head = spec.readUInt16BE(0);
  const [from, to] = [fieldOf(spec.readUInt32BE(2)), fieldOf(spec.readUInt32BE(8))];
  if (head >> 12 !== 0 || spec.readUInt16BE(6) !== 0 || spec.readUInt16BE(12) !== 0) return undefined;
  if (from === undefined || to === undefined) return undefined;
  return { from, to, bits: head & 0x7ff, becomes: head >> 11 === BECOMES.load ? "load" : "match" };
}

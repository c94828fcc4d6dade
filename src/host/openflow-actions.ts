// What a flow does with a frame: actions of OpenFlow 1.4 (7.2.5), and of Open vSwitch (ovs-actions(7), ofp-actions.c).
import { TsnetError } from "../errors.ts";
import { type FieldName, type FieldValue, fieldOf, headerOf, longPort, shortPort } from "./openflow-fields.ts";
import { type Learn, decodeLearn, encodeLearn } from "./openflow-learn.ts";
import { decodeOxm, encodeOxm, paddedLength } from "./openflow-match.ts";

/** OFPP_IN_PORT and OFPP_NORMAL, in the 16 bits of the database. */
const RESERVED_PORTS = { inPort: 0xfff8, normal: 0xfffa } as const;

/** OFPAT_*. */
const TYPE = { output: 0, pushVlan: 17, popVlan: 18, setField: 25, experimenter: 0xffff } as const;

/** NXAST_*. */
const SUBTYPE = { move: 6, resubmit: 14, learn: 45 } as const;
const NICIRA = 0x2320;
const CUSTOMER_TAG = 0x8100;

/** Bits of a field, from the lowest one on. */
export interface Bits {
  readonly field: FieldName;
  /** Default 0. */
  readonly offset?: number;
}

/** One step. A flow without any drops the frame. */
export type Action =
  /** `inPort`: back to where it came from, where no other output goes. `normal`: as a switch that learns and has VLANs. */
  | { readonly kind: "output"; readonly port: number | keyof typeof RESERVED_PORTS }
  | { readonly kind: "set"; readonly field: FieldName; readonly value: FieldValue }
  /** Copies so many bits. */
  | { readonly kind: "move"; readonly from: Bits; readonly to: Bits; readonly bits: number }
  | { readonly kind: "popVlan" }
  /** An 802.1Q tag of VLAN 0, to be set afterwards. */
  | { readonly kind: "pushVlan" }
  /** Does what that table says, and goes on here. */
  | { readonly kind: "resubmit"; readonly table: number }
  | { readonly kind: "learn"; readonly learn: Learn }
  /** One that tsnet never writes, in hexadecimal digits. */
  | { readonly kind: "unknown"; readonly bytes: string };

/** Actions one behind the other. @throws TsnetError `invalid`. */
export function encodeActions(actions: readonly Action[]): Buffer {
  return Buffer.concat(actions.map(encodeAction));
}

/** The reverse. @throws TsnetError `host` for bytes that make no sense. */
export function decodeActions(bytes: Buffer): readonly Action[] {
  const actions: Action[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.length - at < 8 ? 0 : bytes.readUInt16BE(at + 2);
    if (length < 8 || at + length > bytes.length) throw new TsnetError("host", "an action ends before its end");
    actions.push(decodeAction(bytes.subarray(at, at + length)));
    at += length;
  }
  return actions;
}

function encodeAction(action: Action): Buffer {
  switch (action.kind) {
    case "output":
      return encodeOutput(action.port);
    case "set":
      return framed(TYPE.setField, encodeOxm(action.field, action.value));
    case "move":
      return encodeMove(action.from, action.to, action.bits);
    case "popVlan":
      return framed(TYPE.popVlan, Buffer.alloc(4));
    case "pushVlan":
      return framed(TYPE.pushVlan, Buffer.of(CUSTOMER_TAG >> 8, CUSTOMER_TAG & 0xff, 0, 0));
    case "resubmit":
      return extension(SUBTYPE.resubmit, Buffer.of(0xff, 0xf8, action.table, 0, 0, 0)); // in_port: as it is
    case "learn":
      return extension(SUBTYPE.learn, encodeLearn(action.learn));
    case "unknown":
      throw new TsnetError("internal", `an action that is not known cannot be written: ${action.bytes}`);
  }
}

function decodeAction(bytes: Buffer): Action {
  const type = bytes.readUInt16BE(0);
  const body = bytes.subarray(4);
  if (type === TYPE.output && bytes.length === 16) return { kind: "output", port: portOf(body.readUInt32BE(0)) };
  if (type === TYPE.popVlan) return { kind: "popVlan" };
  if (type === TYPE.pushVlan && body.readUInt16BE(0) === CUSTOMER_TAG) return { kind: "pushVlan" };
  if (type === TYPE.setField) {
    const { name, value } = decodeOxm(body);
    if (name !== undefined && value !== undefined && typeof value !== "object")
      return { kind: "set", field: name, value };
  }
  const isOvs = type === TYPE.experimenter && bytes.length >= 16 && body.readUInt32BE(0) === NICIRA;
  const known = isOvs ? decodeExtension(body.readUInt16BE(4), body.subarray(6)) : undefined;
  return known ?? { kind: "unknown", bytes: bytes.toString("hex") };
}

function decodeExtension(subtype: number, body: Buffer): Action | undefined {
  if (subtype === SUBTYPE.resubmit && body.readUInt16BE(0) === RESERVED_PORTS.inPort) {
    return { kind: "resubmit", table: body.readUInt8(2) };
  }
  if (subtype === SUBTYPE.move && body.length === 14) {
    const [from, to] = [fieldOf(body.readUInt32BE(6)), fieldOf(body.readUInt32BE(10))];
    if (from === undefined || to === undefined) return undefined;
    const bitsAt = (field: FieldName, offset: number) => ({ field, ...(offset !== 0 && { offset }) });
    const [bits, fromOffset, toOffset] = [0, 2, 4].map((at) => body.readUInt16BE(at)) as [number, number, number];
    return { kind: "move", from: bitsAt(from, fromOffset), to: bitsAt(to, toOffset), bits };
  }
  const learn = subtype === SUBTYPE.learn ? decodeLearn(body) : undefined;
  return learn && { kind: "learn", learn };
}

function encodeOutput(port: number | keyof typeof RESERVED_PORTS): Buffer {
  const body = Buffer.alloc(12);
  body.writeUInt32BE(longPort(typeof port === "number" ? port : RESERVED_PORTS[port]), 0);
  return framed(TYPE.output, body);
}

function portOf(long: number): number | keyof typeof RESERVED_PORTS {
  const port = shortPort(long);
  if (port === RESERVED_PORTS.inPort) return "inPort";
  return port === RESERVED_PORTS.normal ? "normal" : port;
}

/** NXAST_REG_MOVE. */
function encodeMove(from: Bits, to: Bits, bits: number): Buffer {
  const body = Buffer.alloc(14);
  body.writeUInt16BE(bits, 0);
  body.writeUInt16BE(from.offset ?? 0, 2);
  body.writeUInt16BE(to.offset ?? 0, 4);
  body.writeUInt32BE(headerOf(from.field), 6);
  body.writeUInt32BE(headerOf(to.field), 10);
  return extension(SUBTYPE.move, body);
}

function extension(subtype: number, body: Buffer): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt32BE(NICIRA, 0);
  head.writeUInt16BE(subtype, 4);
  return framed(TYPE.experimenter, Buffer.concat([head, body]));
}

function framed(type: number, body: Buffer): Buffer {
  const length = paddedLength(4 + body.length);
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(length, 2);
  return Buffer.concat([head, body], length);
}

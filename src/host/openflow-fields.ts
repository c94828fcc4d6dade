// The fields of a frame that a flow can match and set, as OXM has them (OpenFlow 1.4, 7.2.3), and Open vSwitch's own ones as
// NXM has them (ovs-fields(7), nicira-ext.h).
import { bytesOfAddress, formatAddress, parseAddress } from "../cidr.ts";
import { TsnetError } from "../errors.ts";

/** OXM_OF_*, NXM_NX_*, NXM_OF_*. */
const [BASIC, NICIRA, NICIRA_OLD] = [0x8000, 0x0001, 0x0000];

const MAC = "mac";
const ADDRESS = "address";

/** Class, number, bytes, and how a value reads; a field stands behind those that it needs. */
const FIELDS = {
  inPort: [BASIC, 0, 4, "port"],
  reg0: [NICIRA, 0, 4, "number"],
  reg1: [NICIRA, 1, 4, "number"],
  reg2: [NICIRA, 2, 4, "number"],
  reg3: [NICIRA, 3, 4, "number"],
  reg15: [NICIRA, 15, 4, "number"],
  ethDst: [BASIC, 3, 6, MAC],
  ethSrc: [BASIC, 4, 6, MAC],
  ethType: [BASIC, 5, 2, "number"],
  /** 0: no tag. 0x1000 and the VLAN: with that tag. */
  vlanVid: [BASIC, 6, 2, "number"],
  /** As `vlanVid`, with the priority in the three highest bits. */
  vlanTci: [NICIRA_OLD, 4, 2, "number"],
  ipProto: [BASIC, 10, 1, "number"],
  /** 0: no fragment. 1: the first one. 3: another one. */
  ipFrag: [NICIRA, 26, 1, "number"],
  ipv4Src: [BASIC, 11, 4, ADDRESS],
  ipv4Dst: [BASIC, 12, 4, ADDRESS],
  ipv6Src: [BASIC, 26, 16, ADDRESS],
  ipv6Dst: [BASIC, 27, 16, ADDRESS],
  tcpSrc: [BASIC, 13, 2, "number"],
  tcpDst: [BASIC, 14, 2, "number"],
  udpSrc: [BASIC, 15, 2, "number"],
  udpDst: [BASIC, 16, 2, "number"],
  arpOp: [BASIC, 21, 2, "number"],
  arpSpa: [BASIC, 22, 4, ADDRESS],
  arpTpa: [BASIC, 23, 4, ADDRESS],
  arpSha: [BASIC, 24, 6, MAC],
  arpTha: [BASIC, 25, 6, MAC],
  icmpv6Type: [BASIC, 29, 1, "number"],
  icmpv6Code: [BASIC, 30, 1, "number"],
  ndTarget: [BASIC, 31, 16, ADDRESS],
  ndSll: [BASIC, 32, 6, MAC],
  ndTll: [BASIC, 33, 6, MAC],
  /** The port in 16 bits, as a source of copies. */
  shortInPort: [NICIRA_OLD, 0, 2, "number"],
} as const satisfies Record<string, readonly [oxmClass: number, number: number, bytes: number, kind: ValueKind]>;

type ValueKind = "number" | "port" | typeof MAC | typeof ADDRESS;

/** A field by its name. */
export type FieldName = keyof typeof FIELDS;

/** A number, `02:42:0a:01:02:03`, or an address, as the field has it. */
export type FieldValue = number | string;

/** All fields, each behind those without which it cannot be matched. */
export const FIELD_NAMES = Object.keys(FIELDS) as readonly FieldName[]; // the keys of that very object

/** Headers of NXM under which Open vSwitch tells fields in a `learn`. */
const OLD_NAMES = [
  [0x0206, "ethDst"],
  [0x0406, "ethSrc"],
] as const;

const BY_HEADER = new Map<number, FieldName>([
  ...FIELD_NAMES.map((name) => [headerOf(name) >>> 9, name] as const),
  ...OLD_NAMES.map(([header, name]) => [header >>> 9, name] as const),
]);

/** The header of a field without a mask: class, number, length of the value. */
export function headerOf(name: FieldName): number {
  const [oxmClass, number, bytes] = FIELDS[name];
  return ((oxmClass << 16) | (number << 9) | bytes) >>> 0;
}

/** The field of a header of any length; undefined for one that is not in the table. */
export function fieldOf(header: number): FieldName | undefined {
  return BY_HEADER.get(header >>> 9);
}

/** Bytes of a field's value. */
export function bytesIn(name: FieldName): number {
  return FIELDS[name][2];
}

/**
 * A value as bytes.
 *
 * @throws TsnetError `invalid` for one that the field cannot have.
 */
export function encodeValue(name: FieldName, value: FieldValue): Buffer {
  const [, , length, kind] = FIELDS[name];
  const bytes =
    typeof value === "number" ? numberBytes(kind === "port" ? longPort(value) : value, length) : textBytes(kind, value);
  if (bytes?.length !== length)
    throw new TsnetError("invalid", `${JSON.stringify(value)} is no value for ${name} of a flow`);
  return bytes;
}

/** The value that those bytes stand for. */
export function decodeValue(name: FieldName, bytes: Buffer): FieldValue {
  const kind: ValueKind = FIELDS[name][3];
  if (kind === "number") return bytes.readUIntBE(0, bytes.length);
  if (kind === "port") return shortPort(bytes.readUInt32BE());
  if (kind === MAC) return bytes.toString("hex").replace(/..(?!$)/g, "$&:");
  return formatAddress({ family: bytes.length === 4 ? 4 : 6, value: BigInt(`0x${bytes.toString("hex")}`) });
}

/** The database numbers reserved ports in 16 bits (65534: the bridge's own), OpenFlow since 1.1 in 32. */
export function longPort(port: number): number {
  return port >= 0xff00 && port <= 0xffff ? (0xffff0000 | port) >>> 0 : port;
}

/** The reverse of `longPort`. */
export function shortPort(port: number): number {
  return port >= 0xffffff00 ? port & 0xffff : port;
}

function numberBytes(value: number, length: number): Buffer | undefined {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * length)) return undefined;
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(value, 0, length);
  return bytes;
}

function textBytes(kind: ValueKind, text: string): Buffer | undefined {
  if (kind === ADDRESS) return bytesOfAddress(parseAddress(text));
  if (kind === MAC && /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return Buffer.from(text.replaceAll(":", ""), "hex");
  return undefined;
}

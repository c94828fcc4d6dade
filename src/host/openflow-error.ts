// What a switch says when it refuses something (OpenFlow 1.4, 7.5.4), and the error for one that says nothing.
import { TsnetError } from "../errors.ts";
import type { OvsdbAddress } from "./ovsdb-address.ts";

/** OFPET_*, and the codes of those that flows can bring about. */
const TYPES: Readonly<Record<number, readonly [name: string, codes: readonly string[]]>> = {
  0: ["hello failed", ["incompatible", "eperm"]],
  1: [
    "bad request",
    [
      "bad version",
      "bad type",
      "bad multipart",
      "bad experimenter",
      "bad experimenter type",
      "eperm",
      "bad length",
      "buffer empty",
      "buffer unknown",
      "bad table id",
    ],
  ],
  2: [
    "bad action",
    [
      "bad type",
      "bad length",
      "bad experimenter",
      "bad experimenter type",
      "bad output port",
      "bad argument",
      "eperm",
      "too many",
      "bad queue",
      "bad output group",
      "match inconsistent",
      "unsupported order",
      "bad tag",
      "bad set type",
      "bad set length",
      "bad set argument",
    ],
  ],
  3: ["bad instruction", ["unknown", "unsupported", "bad table id"]],
  4: [
    "bad match",
    [
      "bad type",
      "bad length",
      "bad tag",
      "bad datalink address mask",
      "bad network address mask",
      "bad wildcards",
      "bad field",
      "bad value",
      "bad mask",
      "bad prerequisite",
      "duplicate field",
      "eperm",
    ],
  ],
  5: [
    "flow mod failed",
    ["unknown", "table full", "bad table id", "overlap", "eperm", "bad timeout", "bad command", "bad flags"],
  ],
};

/** OFPET_EXPERIMENTER: Open vSwitch's own errors. */
const EXPERIMENTER = 0xffff;

/** The body of OFPT_ERROR in words: `bad match: bad prerequisite`. */
export function errorText(body: Buffer): string {
  if (body.length < 4) return "an error without a reason";
  const [type, code] = [body.readUInt16BE(0), body.readUInt16BE(2)];
  if (type === EXPERIMENTER) return `error ${code} of Open vSwitch (ofp-errors.h)`;
  const [name = `error of type ${type}`, codes = []] = TYPES[type] ?? [];
  return `${name}: ${codes[code] ?? `code ${code}`}`;
}

/** The error for a switch that cannot be reached: `unavailable`. @param reason - an errno's name, or words. */
export function silent(address: OvsdbAddress, reason: string, cause?: unknown): TsnetError {
  const remedy = "check that ovs-vswitchd runs and that the bridge is there (ovs-vsctl show)";
  return new TsnetError("unavailable", `the switch does not answer on ${address.text} (${reason}): ${remedy}`, {
    cause,
  });
}

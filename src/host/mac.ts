// MAC addresses: text with colons outside, six bytes in messages and frames.
import { TsnetError } from "../errors.ts";

/** Bytes as text, lower case with colons. */
export function formatMac(bytes: Buffer): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** The six bytes of a MAC address. @throws TsnetError `internal` if it is none. */
export function parseMac(text: string): Buffer {
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return Buffer.from(text.replaceAll(":", ""), "hex");
  throw new TsnetError("internal", `${JSON.stringify(text)} is no MAC address`);
}

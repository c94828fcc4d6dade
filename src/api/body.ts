// From the bytes of a request to one JSON value. Size, nesting and number of values are limited before anything is
// built out of them: `JSON.parse` takes 200,000 levels, but whatever walks through the result afterwards overflows.
import { TsnetError } from "../errors.ts";

/** Bytes of a body that are read at most. */
export const MAX_BODY_BYTES = 1 << 20;
const MAX_DEPTH = 32;
// A body of the permitted size that is full of port mappings has about 90,000.
const MAX_VALUES = 131_072;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPENING: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSING: ReadonlySet<number> = new Set([0x5d, 0x7d]);

/**
 * Parses a body. UTF-8 without a byte order mark; of two equal keys the last one counts.
 *
 * @throws TsnetError `invalid` if it is no JSON, too deep, has too many values or a key `__proto__`.
 */
export function parseBody(bytes: Uint8Array): unknown {
  checkShape(bytes);
  const value = parseJson(decode(bytes));
  refusePrototypeKeys(value, "the body");
  return value;
}

/** Looks at the brackets and commas outside of strings only; whether it is JSON is seen later. */
function checkShape(bytes: Uint8Array): void {
  let depth = 0;
  let values = 1;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) at = endOfString(bytes, at);
    else if (byte === COMMA) values++;
    else if (OPENING.has(byte)) depth++;
    else if (CLOSING.has(byte)) depth--;
    if (depth > MAX_DEPTH) throw new TsnetError("invalid", `the body is nested deeper than ${MAX_DEPTH} levels`);
    if (values > MAX_VALUES) throw new TsnetError("invalid", `the body has more than ${MAX_VALUES} values`);
  }
}

/** @returns where the closing quote of the string that opens at `start` is, or the end of the bytes. */
function endOfString(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new TsnetError("invalid", "the body is not UTF-8", { cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may hold a secret.
    throw new TsnetError("invalid", "the body is not JSON");
  }
}

function refusePrototypeKeys(value: unknown, path: string): void {
  if (typeof value !== "object" || value === null) return;
  for (const [key, member] of Object.entries(value)) {
    if (key === "__proto__") throw new TsnetError("invalid", `${path} has the key __proto__, which is refused`);
    refusePrototypeKeys(member, key);
  }
}

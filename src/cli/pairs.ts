// KEY=VALUE as operators write it.
import { TsnetError } from "../errors.ts";

/** @throws TsnetError `invalid` for what is none, and for a key that is named twice. */
export function parsePairs(words: readonly string[]): Readonly<Record<string, string>> {
  const pairs = new Map<string, string>();
  for (const word of words) {
    const [, key = "", value = ""] = /^([^=]+)=(.*)$/s.exec(word) ?? [];
    if (key === "") throw new TsnetError("invalid", `${JSON.stringify(word)} is no KEY=VALUE`);
    if (pairs.has(key)) throw new TsnetError("invalid", `${key} is named twice`);
    pairs.set(key, value);
  }
  return Object.fromEntries(pairs);
}

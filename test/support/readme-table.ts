// Tables of the README that packet tests have measured: each stands between two comments, and is compared with what has just
// been measured. `vitest -u` writes it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { EngineVersion } from "./engines.ts";

const README = join(import.meta.dirname, "../../README.md");

/** Engines with tables in the README: of all that was measured, or of what Docker's own driver does differently alone. */
export const IN_README: Readonly<Partial<Record<EngineVersion, "all" | "differences">>> = {
  "20.10": "all",
  "28.5": "differences",
};

/** One word, or two when a host with br_netfilter has another one. */
export function inBothStates(off: string, on: string): string {
  return off === on ? off : `${off} (br_netfilter: ${on})`;
}

/** One word, or two when IPv6 has another one. Empty: not asked. */
export function inBothFamilies(four: string, six: string): string {
  return six === "" || six === four ? four : `${four}, IPv6: ${six}`;
}

/**
 * Asserts that the README has this table between `<!-- measured: NAME -->` and `<!-- end: NAME -->`.
 *
 * @param rows - the head first.
 * @throws Error when it has no such comments, or with the rows that differ.
 */
export async function matchReadme(name: string, rows: readonly (readonly string[])[]): Promise<void> {
  const text = await readFile(README, "utf8");
  const [start, end] = [`<!-- measured: ${name} -->\n`, `<!-- end: ${name} -->\n`];
  const [before, after] = splitAt(text, start);
  const [, rest] = splitAt(after, end);
  const wanted = `${before}${start}\n${formatPlain(rows)}\n\n${end}${rest}`;
  await expect(wanted).toMatchFileSnapshot(README);
}

function splitAt(text: string, mark: string): readonly [string, string] {
  const at = text.indexOf(mark);
  if (at === -1) throw new Error(`README.md has no "${mark.trim()}" where one is wanted`);
  return [text.slice(0, at), text.slice(at + mark.length)];
}

/** A table in Markdown, not padded. */
function formatPlain([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [head, head.map(() => "---"), ...rows].map(line).join("\n");
}

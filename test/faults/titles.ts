// Finds the ids of the catalogue in the sources of the tests: which file has a title with `[F37]` or `[F86, F87]`, and which
// projects of `vitest.config.ts` run it. Suites that several files share (`test/contract`) are run by those that import them.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** The folder of all tests. */
const TEST = join(import.meta.dirname, "..");

/** Ids in brackets, as they stand in titles and nowhere else in the sources. */
const TAG = /\[([FS]\d+(?:,? *[FS]\d+)*)\]/g;

/** Where tests with one id are. */
export interface Proof {
  /** With the titles, relative to `test`: `kernel/nat/rules.test.ts`, `contract/attacks.ts`. Sorted. */
  readonly sites: readonly string[];
  /** The files that run them. Sorted. */
  readonly files: readonly string[];
}

/** The ids in a title, of its `describe`s too. */
export function idsIn(title: string): readonly string[] {
  const ids = Array.from(title.matchAll(TAG), ([, list = ""]) => list.match(/[FS]\d+/g) ?? []);
  return [...new Set(ids.flat())];
}

/** By id. Ids that are in no catalogue are there as well. */
export function findProofs(): ReadonlyMap<string, Proof> {
  const sources = readSources();
  const importers = importersIn(sources);
  const proofs = new Map<string, Proof>();
  for (const [path, text] of sources) {
    const ids = idsIn(withoutComments(text));
    const runners = ids.length > 0 ? runnersOf(path, importers) : [];
    for (const id of ids) {
      const { sites, files } = proofs.get(id) ?? { sites: [], files: [] };
      proofs.set(id, { sites: [...sites, path], files: [...new Set([...files, ...runners])].sort() });
    }
  }
  return proofs;
}

/** The project that runs a file: that of its folder. @param file - `kernel/nat/rules.test.ts`. */
export function projectOf(file: string): string {
  const [folder = "", next] = file.split("/");
  return next === "long" ? `${folder}-long` : folder;
}

/** All that may hold titles, by path relative to `test`, sorted. */
function readSources(): ReadonlyMap<string, string> {
  const paths = readdirSync(TEST, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
  return new Map(paths.sort().map((path) => [path, readFileSync(join(TEST, path), "utf8")]));
}

function withoutComments(text: string): string {
  return text
    .split("\n")
    .filter((line) => !/^\s*(\/\/|\/?\*)/.test(line))
    .join("\n");
}

/** The test files that a file is, or that import it, by however many others. */
function runnersOf(path: string, importers: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const seen = new Set([path]);
  for (const reached of seen) for (const importer of importers.get(reached) ?? []) seen.add(importer);
  return [...seen].filter((file) => file.endsWith(".test.ts"));
}

/** Who imports each file. */
function importersIn(sources: ReadonlyMap<string, string>): ReadonlyMap<string, readonly string[]> {
  const importers = new Map<string, string[]>();
  for (const [path, text] of sources) {
    for (const [, to = ""] of text.matchAll(/from "(\.[^"]+)"/g)) {
      const imported = normalize(join(dirname(path), to));
      importers.set(imported, [...(importers.get(imported) ?? []), path]);
    }
  }
  return importers;
}

// The catalogue joined with the tests that prove it: as the README has it, and as a run of those tests came out.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestOutcome } from "../support/suite-count.ts";
import { ATTACKS, type Entry, FAULTS } from "./catalogue.ts";
import { findProofs, idsIn, projectOf } from "./titles.ts";

const README = join(import.meta.dirname, "../../README.md");

/** Run by `npm test`, which leaves out what takes long. */
const IN_NPM_TEST = ["unit", "wire", "fuzz", "kernel", "system", "vm"];

/** What came out for one id. */
interface Verdict {
  readonly id: string;
  readonly entry: Entry;
  readonly outcome: "passed" | "failed" | "skipped";
  readonly tests: number;
  readonly reason: string;
}

/** Faults of the catalogue, sentence by sentence: unknown ids, entries that nothing proves, tier 1 outside `npm test`. */
export function findGaps(): readonly string[] {
  const proofs = findProofs();
  const entries = { ...FAULTS, ...ATTACKS };
  const unknown = [...proofs.keys()].filter((id) => !Object.hasOwn(entries, id));
  const gaps = Object.entries(entries).flatMap(([id, { isTier1, skip }]) => {
    const files = proofs.get(id)?.files;
    if (files !== undefined && skip !== undefined) return [`${id} has tests, and a reason to have none`];
    if (files === undefined && isTier1 && skip !== undefined) return [`${id} is of tier 1 and is skipped`];
    if (files === undefined && skip === undefined) return [`${id} has neither a test nor a reason`];
    if (files === undefined) return [];
    if (!isTier1 || files.some((file) => IN_NPM_TEST.includes(projectOf(file)))) return [];
    return [`${id} is of tier 1, and no test of it is in npm test`];
  });
  return [...unknown.map((id) => `${id} is in titles and not in the catalogue`), ...gaps];
}

/**
 * The files of one project that are worth running for the table.
 *
 * @param project - of a project that takes long: only what nothing else proves.
 * @returns relative to the repository, sorted.
 */
export function filesFor(project: string): readonly string[] {
  const files = [...findProofs().values()].flatMap((proof) => {
    const isProvenElsewhere = proof.files.some((file) => IN_NPM_TEST.includes(projectOf(file)));
    if (!IN_NPM_TEST.includes(project) && isProvenElsewhere) return [];
    return proof.files.filter((file) => projectOf(file) === project);
  });
  return [...new Set(files)].sort().map((file) => `test/${file}`);
}

/** The README with its two tables as they should be. @throws Error when it has no place for them. */
export function readmeWithTables(): { readonly is: string; readonly wanted: string } {
  const is = readFileSync(README, "utf8");
  const proofs = findProofs();
  const rows = (entries: Readonly<Record<string, Entry>>) =>
    Object.entries(entries).map(([id, { name, isTier1, skip }]) => {
      const sites = proofs.get(id)?.sites.map((site) => `\`${site.replace(/(\.test)?\.ts$/, "")}\``);
      return [isTier1 ? `**${id}**` : id, name, sites?.join(", ") ?? skip ?? "open"];
    });
  const wanted = between(between(is, "faults", rows(FAULTS)), "attacks", rows(ATTACKS));
  return { is, wanted };
}

/**
 * Prints how each entry came out, and the sums.
 *
 * @param tests - all that ran and have ids in their titles.
 * @returns the ids that are not as they must be: failed, or of tier 1 and not passed.
 */
export function printVerdicts(tests: readonly TestOutcome[]): readonly string[] {
  const proofs = findProofs();
  const judge = (entries: Readonly<Record<string, Entry>>) =>
    Object.entries(entries).map(([id, entry]) => verdictOn(id, entry, tests, proofs.has(id)));
  const faults = judge(FAULTS);
  const attacks = judge(ATTACKS);
  for (const verdicts of [faults, attacks]) {
    console.log("\nid   tier  outcome tests");
    for (const { id, entry, outcome, tests: count, reason } of verdicts) {
      const why = reason === "" ? "" : ` (${reason})`;
      const tier = entry.isTier1 ? "1" : "";
      console.log(`${id.padEnd(4)} ${tier.padEnd(5)} ${outcome} ${String(count).padStart(5)}  ${entry.name}${why}`);
    }
  }
  console.log(`\nattacks: ${sumOf(attacks)}\nfaults: ${sumOf(faults)}`);
  const bad = [...faults, ...attacks].filter(
    ({ entry, outcome }) => outcome === "failed" || (entry.isTier1 && outcome !== "passed"),
  );
  return bad.map(({ id }) => id);
}

function verdictOn(id: string, entry: Entry, tests: readonly TestOutcome[], hasTests: boolean): Verdict {
  const own = tests.filter(({ title }) => idsIn(title).includes(id));
  const verdict = (outcome: Verdict["outcome"], reason: string) =>
    ({ id, entry, outcome, tests: own.length, reason }) as const;
  if (!hasTests)
    return entry.skip === undefined ? verdict("failed", "neither a test nor a reason") : verdict("skipped", entry.skip);
  const failed = own.find(({ outcome, reason }) => outcome === "failed" || (outcome === "skipped" && reason === ""));
  if (failed !== undefined) return verdict("failed", failed.title);
  if (own.some(({ outcome }) => outcome === "passed")) return verdict("passed", "");
  return own[0] === undefined ? verdict("failed", "its tests did not run") : verdict("skipped", own[0].reason);
}

function sumOf(verdicts: readonly Verdict[]): string {
  const count = (wanted: Verdict["outcome"]) => verdicts.filter(({ outcome }) => outcome === wanted).length;
  return `${count("passed")} of ${verdicts.length} passed, ${count("failed")} failed, ${count("skipped")} skipped`;
}

function between(text: string, name: string, rows: readonly (readonly string[])[]): string {
  const [start, end] = [`<!-- generated: ${name} -->\n`, `<!-- end: ${name} -->\n`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`README.md has no "${start.trim()}" with an end behind it`);
  const lines = [["id", "what", "proven by"], ["---", "---", "---"], ...rows].map((row) => `| ${row.join(" | ")} |`);
  return `${text.slice(0, from)}${start}\n${lines.join("\n")}\n\n${text.slice(to)}`;
}

// `npm run bench:write -- FILE`: writes what `npm run bench -- --json=FILE` measured into the README, as a table between two
// comments and as a picture. Shown is what has a goal, and how large things are.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { draw } from "./draw.ts";
import { type Figure, type Measured, type Pair, hasMet } from "./measure.ts";

const README = join(import.meta.dirname, "../../README.md");
const PICTURE = join(import.meta.dirname, "bench.svg");
const [START, END] = ["<!-- generated: bench -->\n", "<!-- end: bench -->\n"];
const HEAD = ["what", "tsnet", "other", "ratio", "goal", "met"];

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error("usage: npm run bench:write -- FILE");
const results = JSON.parse(readFileSync(file, "utf8")) as Record<string, Measured>; // bench.ts wrote it
writeFileSync(PICTURE, draw(results));
writeFileSync(README, withTable(readFileSync(README, "utf8"), tableOf(Object.values(results))));

/** @throws Error when the README has no place for it. */
function withTable(readme: string, table: string): string {
  const [from, to] = [readme.indexOf(START), readme.indexOf(END)];
  if (from === -1 || to < from) throw new Error(`README.md has no "${START.trim()}" with an end behind it`);
  return `${readme.slice(0, from)}${START}\n${table}\n\n${readme.slice(to)}`;
}

function tableOf(measured: readonly Measured[]): string {
  const rows = measured.flatMap(({ pairs = [], figures = [] }) => [
    ...pairs.filter(({ goal }) => goal !== undefined).map(rowOfPair),
    ...figures.filter(({ goal, unit }) => goal !== undefined || unit === "MB").map(rowOfFigure),
  ]);
  return [HEAD, HEAD.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function rowOfPair({ title, sides, ratio, goal }: Pair): readonly string[] {
  const [ours, other] = Object.entries(sides).map(([name, { medianMs }]) => ({ name, ms: `${format(medianMs)} ms` }));
  return [title, ours?.ms ?? "", `${other?.name}: ${other?.ms}`, ratio.toFixed(2), ...judgement(ratio, goal)];
}

function rowOfFigure({ title, value, unit, goal }: Figure): readonly string[] {
  return [title, `${format(value)} ${unit}`, "", "", ...judgement(value, goal)];
}

function judgement(value: number, goal: Pair["goal"]): readonly [string, string] {
  if (goal === undefined) return ["", ""];
  const words = typeof goal === "number" ? `at most ${format(goal)}` : `at least ${format(goal.least)}`;
  return [words, hasMet(value, goal) ? "yes" : "**no**"];
}

/** Three digits, as far as they are behind the point. */
function format(value: number): string {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

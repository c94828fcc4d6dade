// Every regular expression of the sources, on texts made to be hard for it: parts of what it matches, repeated to 64 KiB, with
// something behind that it does not match. One that takes more than linear time needs seconds for such a text, others less
// than a millisecond, so that the limit between them need not be tight.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { transformSync } from "esbuild";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseAst } from "vitest/node";
import { PATTERN_WORDS } from "../../src/api/fields.ts";

const SRC = join(import.meta.dirname, "../../src");
const LENGTH = 65_536;
/** The catalogue asks for 5 ms of an idle machine; the least of several tries comes near that on a busy one. */
const LIMIT_MS = 5;
const TRIES = 12;
const ENDS = ["", "!", "\n", "\u0000", "\ud800"];
/** Characters that stand for the kinds that patterns tell apart. */
const UNITS = [
  "0",
  "a",
  "A",
  " ",
  "\t",
  ":",
  ".",
  "/",
  "-",
  "_",
  ",",
  ";",
  "=",
  "::",
  "0:",
  "1.",
  "a.",
  "0 ",
  "-0",
  "\n",
  "\r\n",
  "\ud800",
  "é",
  "%",
  "[",
  "]",
  "\0",
];

/** Of one place in the sources. */
interface Found {
  readonly where: string;
  readonly expression: RegExp;
}

/** Expressions as they stand in the sources, and where one is made of parts that are not known before. */
function expressionsIn(file: string): { found: Found[]; made: string[] } {
  const { code } = transformSync(readFileSync(join(SRC, file), "utf8"), {
    loader: "ts",
    target: "esnext",
    minifySyntax: false,
  });
  const [found, made]: [Found[], string[]] = [[], []];
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(visit);
    if (typeof node !== "object" || node === null) return;
    const { regex, type, callee } = node as {
      regex?: { pattern: string; flags: string };
      type?: string;
      callee?: { name?: string };
    };
    if (regex !== undefined) {
      found.push({
        where: `${file} /${regex.pattern}/${regex.flags}`,
        expression: new RegExp(regex.pattern, regex.flags),
      });
    }
    if ((type === "NewExpression" || type === "CallExpression") && callee?.name === "RegExp") made.push(file);
    Object.values(node).forEach(visit);
  };
  visit(parseAst(code).body);
  return { found, made };
}

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
const parsed = files.map(expressionsIn);
const ofSchemas = [...PATTERN_WORDS.keys()].map((pattern) => ({
  where: `api/fields.ts ${pattern}`,
  expression: new RegExp(pattern, "u"),
}));
const all: readonly Found[] = [...parsed.flatMap(({ found }) => found), ...ofSchemas];

/** Texts that it matches; none where the generator does not know what the pattern says. */
function matchesOf({ source, flags }: RegExp): readonly string[] {
  try {
    return fc.sample(fc.stringMatching(new RegExp(source, flags.replace("g", "")), { size: "small" }), {
      seed: 1,
      numRuns: 3,
    });
  } catch {
    return [];
  }
}

function* hardTexts(expression: RegExp, most: number): Generator<string> {
  for (const unit of UNITS) for (const end of ENDS) yield repeated("", unit, end, most);
  for (const match of matchesOf(expression).map((text) => text.slice(0, 24))) {
    for (let start = 0; start < match.length; start++) {
      for (const length of [1, 2, 5])
        yield repeated(match.slice(0, start), match.slice(start, start + length), "!", most);
    }
  }
}

function repeated(before: string, unit: string, end: string, length: number): string {
  return before + unit.repeat(Math.ceil(length / unit.length)).slice(0, length) + end;
}

/** Milliseconds, the least of some tries as long as that is too much: the machine may be busy with something else for once. */
function timeOf(work: () => void, limitMs: number): number {
  let least = Infinity;
  for (let tries = 0; tries < TRIES && least > limitMs; tries++) {
    const start = performance.now();
    work();
    least = Math.min(least, performance.now() - start);
    if (tries > 0 && least > 100 * limitMs) break;
  }
  return least;
}

/** The hardest of its texts, if there is one that takes too long. */
function tooHard(expression: RegExp, length = LENGTH): string | undefined {
  for (const text of hardTexts(expression, length)) {
    const time = timeOf(() => {
      expression.lastIndex = 0;
      if (expression.global) text.replaceAll(expression, "");
      else expression.test(text);
    }, LIMIT_MS);
    if (time > LIMIT_MS)
      return `${time.toFixed(1)} ms for ${JSON.stringify(text.slice(0, 40))}... ${JSON.stringify(text.slice(-5))}`;
  }
}

describe("regular expressions", () => {
  it("are found in the sources, and none is made out of what comes in", () => {
    expect(all.length).toBeGreaterThan(40);
    expect(parsed.flatMap(({ made }) => made)).toEqual([]);
  });

  it("that take more than linear time are seen as such", () => {
    expect(tooHard(/\s+$/, LENGTH / 4)).toBeDefined(); // quadratic: not for ever, and at full length for seconds
  });

  it.each(all)(
    "of 64 KiB take less than 5 ms: $where [F104]",
    ({ expression }) => {
      expect(tooHard(expression)).toBeUndefined();
    },
    120_000,
  );
});

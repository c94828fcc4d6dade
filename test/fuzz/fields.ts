// Structural fuzzing: a lawful request in which fields are replaced, removed, renamed, added or doubled, and whose text may be
// broken as a whole. What it must be answered with, whatever it is, is in `oracle.ts`.
import * as fc from "fast-check";
import { KEYS, TEXTS, TOKENS } from "./hostile.ts";
import { type Node, placesOf, raw, textOfTree, treeOf, withEntry, withKey, withNode, without } from "./json-tree.ts";
import { LAWFUL, type LawfulRequest, bytesOfCall } from "./requests.ts";

type Operation = "replace" | "remove" | "rename" | "add" | "double" | "wrap";
type Break = "none" | "cut" | "behind" | "before" | "bad byte" | "mark" | "utf-16" | "empty";

/** One change of the body. */
interface Edit {
  readonly operation: Operation;
  /** Which place, counted over all there are. */
  readonly at: number;
  readonly key: string;
  /** As JSON text, or what is none. */
  readonly value: string;
}

/** One input. */
export interface FieldInput {
  readonly request: LawfulRequest;
  readonly edits: readonly Edit[];
  readonly broken: { readonly how: Break; readonly at: number };
}

/** Lone surrogates too. */
const textOf = (units: readonly number[]) => String.fromCharCode(...units);

const value: fc.Arbitrary<string> = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...TEXTS).map((text) => JSON.stringify(text)) },
  { weight: 4, arbitrary: fc.constantFrom(...TOKENS) },
  { weight: 1, arbitrary: fc.array(fc.nat(0xffff), { maxLength: 20 }).map((units) => JSON.stringify(textOf(units))) },
  { weight: 1, arbitrary: fc.double().map((number) => JSON.stringify(number)) },
  { weight: 1, arbitrary: fc.integer({ min: -2, max: 70_000 }).map(String) },
  { weight: 1, arbitrary: fc.stringMatching(/^[0-9a-f:.,/ -]{1,24}$/).map((text) => JSON.stringify(text)) },
);

const edit: fc.Arbitrary<Edit> = fc.record({
  operation: fc.oneof(
    { weight: 10, arbitrary: fc.constant<Operation>("replace") },
    { weight: 6, arbitrary: fc.constantFrom<Operation>("remove", "rename", "add", "add", "double", "wrap") },
  ),
  at: fc.nat(200),
  key: fc.constantFrom(...KEYS),
  value,
});

/** Inputs, of which nearly all are unlawful. */
export const fieldInputs: fc.Arbitrary<FieldInput> = fc.record({
  request: fc.constantFrom(...LAWFUL.filter(({ body }) => body !== undefined), ...LAWFUL),
  edits: fc.array(edit, { minLength: 1, maxLength: 3, size: "max" }),
  broken: fc.record({
    how: fc.oneof(
      { weight: 15, arbitrary: fc.constant<Break>("none") },
      {
        weight: 1,
        arbitrary: fc.constantFrom<Break>("cut", "behind", "before", "bad byte", "mark", "utf-16", "empty"),
      },
    ),
    at: fc.nat(999),
  }),
});

/** Whether a verb that reads its body must refuse this one, whatever else is in it. */
export function mustBeRefused({ broken: { how } }: FieldInput): boolean {
  return how === "mark" || how === "utf-16" || how === "bad byte" || how === "empty";
}

/** @param withPoolIds - puts ids in the place of their stand-ins. */
export function bytesOfInput(input: FieldInput, withPoolIds: (text: string) => string): Buffer {
  const { request, edits, broken } = input;
  const tree = edits.reduce(applied, treeOf(request.body ?? {}));
  const text = withPoolIds(textOfTree(tree));
  return bytesOfCall(request.verb, brokenBody(text, broken.how, broken.at));
}

function applied(tree: Node, { operation, at, key, value: text }: Edit): Node {
  const places = placesOf(tree);
  const place = places[at % places.length] ?? [];
  switch (operation) {
    case "replace":
      return withNode(tree, place, () => raw(text));
    case "remove":
      return without(tree, place);
    case "rename":
      return withKey(tree, place, key);
    case "add":
      return withEntry(tree, place, key, raw(text));
    case "double":
      return withEntry(tree, place.slice(0, -1), keyAt(tree, place) ?? key, raw(text));
    case "wrap":
      return withNode(tree, place, (old) => ({ kind: "list", items: [old] }));
  }
}

function keyAt(tree: Node, [step, ...rest]: readonly number[]): string | undefined {
  if (step === undefined || tree.kind === "raw") return undefined;
  if (tree.kind === "list") return tree.items[step] && keyAt(tree.items[step], rest);
  const entry = tree.entries[step];
  if (entry === undefined) return undefined;
  return rest.length === 0 ? entry[0] : keyAt(entry[1], rest);
}

function brokenBody(text: string, how: Break, at: number): Buffer {
  const bytes = Buffer.from(text);
  const position = Math.floor((at * bytes.length) / 1000);
  switch (how) {
    case "none":
      return bytes;
    case "cut":
      return bytes.subarray(0, position);
    case "behind":
      return Buffer.concat([bytes, Buffer.from([text, "x", "\n\n", "\0", "null"][at % 5] ?? "")]);
    case "before":
      return Buffer.concat([Buffer.from(["\n", "\0", ")]}',\n", " ".repeat(5000), "\u00a0"][at % 5] ?? ""), bytes]);
    case "bad byte": {
      const bad = [[0x80], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xff]][at % 5] ?? [];
      return Buffer.concat([bytes.subarray(0, position), Buffer.from(bad), bytes.subarray(position)]);
    }
    case "mark":
      return Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes]);
    case "utf-16":
      return Buffer.from(text, "utf16le");
    case "empty":
      return Buffer.alloc(0);
  }
}

// How options are read: a table says for each what is permitted, and everything that is wrong is reported at once.
import { TsnetError, messageOf } from "../errors.ts";
import { nearest } from "../suggest.ts";

/** One option. */
export interface OptionRule<T> {
  /** The permitted values, as messages and the README name them. */
  readonly permitted: string;
  /** `undefined` for one that has no value of its own when it is absent. */
  readonly default: T;
  /** Docker's own spelling of the same option. */
  readonly alias?: string;
  /** @throws anything; the message becomes part of the answer. */
  readonly parse: (text: string) => T;
}

/**
 * Reads options by a table.
 *
 * @param passed - keys that are somebody else's.
 * @returns the values, with defaults, and the faults; the values are complete only if there is no fault.
 */
export function readOptions(
  options: ReadonlyMap<string, string>,
  table: Readonly<Record<string, OptionRule<unknown>>>,
  passed: ReadonlySet<string> = new Set(),
): { readonly values: Record<string, unknown>; readonly faults: string[] } {
  const canonical = new Map(Object.entries(table).flatMap(([key, { alias }]) => (alias ? [[alias, key]] : [])));
  const values: Record<string, unknown> = {};
  for (const [key, rule] of Object.entries(table)) if (rule.default !== undefined) values[key] = rule.default;
  const given = new Map<string, { text: string; as: string }>();
  const faults: string[] = [];
  for (const [name, text] of options) {
    if (passed.has(name)) continue;
    const key = canonical.get(name) ?? name;
    const rule = Object.hasOwn(table, key) ? table[key] : undefined;
    const earlier = given.get(key);
    if (rule === undefined) faults.push(unknownOption(name, Object.keys(table), [...canonical.keys()]));
    else if (earlier !== undefined) {
      if (earlier.text !== text) faults.push(`options ${earlier.as} and ${name} mean the same and differ`);
    } else {
      given.set(key, { text, as: name });
      try {
        values[key] = rule.parse(text);
      } catch (fault) {
        const reason = fault instanceof TsnetError ? ` (${messageOf(fault)})` : "";
        faults.push(`option ${name}: ${shown(text)} is not permitted${reason}; permitted: ${rule.permitted}`);
      }
    }
  }
  return { values, faults };
}

function unknownOption(name: string, keys: readonly string[], aliases: readonly string[]): string {
  const meant = nearest(name.toLowerCase(), [...keys, ...aliases]);
  const hint = meant === undefined ? "" : `, did you mean ${meant}`;
  return `unknown option ${shown(name)}${hint}; known: ${keys.join(", ")}`;
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}

/** One of some words. */
export function oneOf<const T extends string>(permitted: readonly T[], fallback: T): OptionRule<T>;
/** The same without a default. */
export function oneOf<const T extends string>(permitted: readonly T[]): OptionRule<T | undefined>;
/** @param fallback - the default. */
export function oneOf<const T extends string>(permitted: readonly T[], fallback?: T): OptionRule<T | undefined> {
  const parse = (text: string): T => {
    const found = permitted.find((value) => value === text);
    if (found === undefined) throw new Error(text);
    return found;
  };
  return { permitted: permitted.join(", "), default: fallback, parse };
}

/** `true` or `false`. */
export function bool(fallback: boolean): OptionRule<boolean>;
/** The same without a default. */
export function bool(): OptionRule<boolean | undefined>;
/** @param fallback - the default. */
export function bool(fallback?: boolean): OptionRule<boolean | undefined> {
  const { permitted, parse } = oneOf(["true", "false"], "true");
  return { permitted, default: fallback, parse: (text) => parse(text) === "true" };
}

/** A whole number, by default none. @param unit - for the list of what is permitted, such as ` seconds`. */
export function integer(least: number, most: number, unit = ""): OptionRule<number | undefined> {
  const parse = (text: string): number => {
    const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : NaN;
    if (!(value >= least && value <= most)) throw new Error(text);
    return value;
  };
  return { permitted: `${least}-${most}${unit}`, default: undefined, parse };
}

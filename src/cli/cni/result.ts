// What a CNI plugin hands back: the result of ADD, or an error. Kept as it came, since the next plugin is given all of it;
// the parts that are printed are checked.
//
// Source: CNI SPEC.md 1.0.0, section 5 (result types).
import { type JsonObject, isObject, parseObject } from "./json.ts";

/** The parts of a result that tsnet reads; it has others. */
export interface CniResult extends JsonObject {
  readonly interfaces?: readonly CniInterface[] | null;
  readonly ips?: readonly CniAddress[] | null;
  readonly routes?: readonly CniRoute[] | null;
  readonly dns?: { readonly nameservers?: readonly string[] | null } | null;
}

/** A link that was made, in the container or on the host. */
export interface CniInterface {
  readonly name: string;
  readonly mac?: string;
  /** Path of a namespace; of the host's links absent or empty. */
  readonly sandbox?: string;
}

/** An address with prefix length. */
export interface CniAddress {
  readonly address: string;
  readonly gateway?: string;
  /** Index into `interfaces`. */
  readonly interface?: number;
}

/** Through the gateway of the addresses where it names none. */
export interface CniRoute {
  readonly dst: string;
  readonly gw?: string;
}

/** @returns the result, or in words why it is none. */
export function parseResult(text: string): CniResult | string {
  const result = parseObject(text);
  if (result === undefined) return text.trim() === "" ? "it printed no result" : "what it printed is no JSON object";
  const faults = [
    ...faultsOfList(result, "interfaces", "name", ["mac", "sandbox"]),
    ...faultsOfList(result, "ips", "address", ["gateway"]),
    ...faultsOfList(result, "routes", "dst", ["gw"]),
    ...(hasGoodDns(result) ? [] : ["dns"]),
  ];
  if (faults.length > 0) return `its result is none of CNI: ${faults.join(", ")}`;
  return result; // checked just now
}

/** The reason that a plugin gave on standard output when it failed; undefined if that is none. */
export function explainError(text: string): string | undefined {
  const { code, msg, details } = parseObject(text) ?? {};
  if (typeof msg !== "string") return undefined;
  const more = typeof details === "string" && details !== "" ? ` (${details})` : "";
  return `code ${String(code)}: ${msg}${more}`;
}

function faultsOfList(
  result: JsonObject,
  key: string,
  required: string,
  optional: readonly string[],
): readonly string[] {
  const list = result[key] ?? [];
  if (!Array.isArray(list)) return [`${key} is no list`];
  const isGood = (entry: unknown) =>
    isObject(entry) &&
    typeof entry[required] === "string" &&
    optional.every((field) => typeof (entry[field] ?? "") === "string");
  return list.flatMap((entry, at) => (isGood(entry) ? [] : [`${key}[${at}]`]));
}

function hasGoodDns({ dns }: JsonObject): boolean {
  if (!isObject(dns ?? {})) return false;
  const servers = isObject(dns) ? (dns["nameservers"] ?? []) : [];
  return Array.isArray(servers) && servers.every((server) => typeof server === "string");
}

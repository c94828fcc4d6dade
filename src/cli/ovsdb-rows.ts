// Rows of Open vSwitch's database as ovs-vsctl(8) prints them, and their values.
// Source: ovs-vsctl(8), `--format=json`; RFC 7047, 5.1 for the notation of values.
import type { HostTools } from "./host-tools.ts";

/** A row by columns. */
export type OvsdbRow = ReadonlyMap<string, unknown>;

interface Listing {
  readonly headings?: readonly string[];
  readonly data?: readonly (readonly unknown[])[];
}

/** @param columns - `name,ports`. @throws TsnetError `host` where it is not installed or does not run. */
export async function listRows(host: HostTools, table: string, columns: string): Promise<readonly OvsdbRow[]> {
  const args = ["--timeout=5", "--format=json", `--columns=${columns}`, "list", table];
  const { headings = [], data = [] } = await host.json<Listing>("ovs-vsctl", ...args);
  return data.map((values) => new Map(headings.map((heading, at) => [heading, values[at]])));
}

/** By their column `_uuid`. */
export function byId(rows: readonly OvsdbRow[]): ReadonlyMap<string, OvsdbRow> {
  return new Map(rows.map((row) => [String(setOf(row.get("_uuid"))[0]), row]));
}

/** A set of one is written as the value alone, an id as `["uuid", ID]`. */
export function setOf(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return [value];
  const [kind, content]: readonly unknown[] = value;
  return kind === "set" && Array.isArray(content) ? content.flatMap(setOf) : [content];
}

/** Empty for what is no map. */
export function mapOf(value: unknown): ReadonlyMap<string, string> {
  const [kind, content]: readonly unknown[] = Array.isArray(value) ? value : [];
  if (kind !== "map" || !Array.isArray(content)) return new Map();
  return new Map(content.map((entry: readonly unknown[]) => [String(entry[0]), String(entry[1])]));
}

/** "" for the empty set. */
export function textOf(value: unknown): string {
  const [first] = setOf(value);
  return typeof first === "string" ? first : "";
}

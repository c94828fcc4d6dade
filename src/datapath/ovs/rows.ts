// Ports and bridges as rows of Open vSwitch's database: how they are found, added, changed and removed. A port comes with all
// its columns in one transaction, so that there is no moment in which it is a port like any other.
// Source: ovs-vswitchd.conf.db(5), tables Bridge, Port and Interface.
import { isDeepStrictEqual } from "node:util";
import { type Operation, expectNamed, insert, mutate, select, update } from "../../host/ovsdb-operations.ts";
import type { ColumnName, Row, Values } from "../../host/ovsdb-schema.ts";
import type { RowId, StringMap } from "../../host/ovsdb-values.ts";
import type { Ovsdb } from "../../host/ovsdb.ts";
import { TsnetError } from "../../errors.ts";
import { networkOf } from "./marks.ts";

/** A port as it shall be. Of maps, only the entries named here are tsnet's. */
export interface PortSpec {
  readonly name: string;
  readonly port: Values<"Port">;
  readonly interface: Values<"Interface">;
}

const BRIDGE = [
  "_uuid",
  "name",
  "ports",
  "datapath_type",
  "fail_mode",
  "stp_enable",
  "mcast_snooping_enable",
  "external_ids",
  "other_config",
] as const satisfies readonly ColumnName<"Bridge">[];
const PORT = [
  "_uuid",
  "name",
  "tag",
  "trunks",
  "vlan_mode",
  "protected",
  "external_ids",
  "other_config",
] as const satisfies readonly ColumnName<"Port">[];
const INTERFACE = [
  "_uuid",
  "name",
  "type",
  "options",
  "mac",
  "mtu_request",
  "ofport",
  "ifindex",
  "external_ids",
] as const satisfies readonly ColumnName<"Interface">[];

/** A bridge that there is. */
export type FoundBridge = Row<"Bridge", (typeof BRIDGE)[number]>;

/** A port that there is. */
export interface FoundPort {
  readonly port: Row<"Port", (typeof PORT)[number]>;
  /** Of the same name; absent for a bond. */
  readonly interface?: Row<"Interface", (typeof INTERFACE)[number]>;
}

/** Reads a bridge and some ports, which may be in any bridge. @returns the ports by their names. */
export async function findRows(ovsdb: Ovsdb, doing: string, bridgeName: string, portNames: readonly string[]) {
  const reads = portNames.flatMap((name) => [
    select("Port", [["name", "==", name]], PORT),
    select("Interface", [["name", "==", name]], INTERFACE),
  ]);
  const [bridges, ...rows] = await ovsdb.transact(doing, [
    select("Bridge", [["name", "==", bridgeName]], BRIDGE),
    ...(reads as readonly Operation<readonly object[]>[]),
  ]);
  const ports = new Map<string, FoundPort>();
  for (const [n, name] of portNames.entries()) {
    const [port] = rows[2 * n] as readonly FoundPort["port"][]; // as they were asked for
    const [found] = rows[2 * n + 1] as readonly NonNullable<FoundPort["interface"]>[]; // likewise
    if (port !== undefined) ports.set(name, { port, ...(found && { interface: found }) });
  }
  return { bridge: bridges[0], ports };
}

/** Adds a port to a bridge, which must be there. @param n - another number for each port of a transaction. */
export function addPort(bridgeName: string, spec: PortSpec, n = 0): Operation<unknown>[] {
  const { port, operations } = insertPort(spec, n);
  const addition = mutate("Bridge", [["name", "==", bridgeName]], [["ports", "insert", [port]]]);
  return [expectNamed("Bridge", bridgeName), ...operations, addition];
}

/** Makes a port's rows, which live as long as a bridge has the port. */
export function insertPort(spec: PortSpec, n = 0) {
  const port = `@port${n}` as const;
  const operations: Operation<unknown>[] = [
    insert("Interface", { ...spec.interface, name: spec.name }, `@interface${n}`),
    insert("Port", { ...spec.port, name: spec.name, interfaces: [`@interface${n}`] }, port),
  ];
  return { port, operations } as const;
}

/** What must be changed so that a port is as it shall be; nothing if it is so. */
export function changesTo(found: FoundPort, spec: PortSpec): Operation<unknown>[] {
  const ofInterface = found.interface && changesOf("Interface", found.interface, spec.interface);
  return [...changesOf("Port", found.port, spec.port), ...(ofInterface ?? [])];
}

/** The same for one row. Of a map, entries that are not named stay. */
export function changesOf<T extends "Bridge" | "Port" | "Interface">(
  table: T,
  row: { readonly _uuid: RowId },
  wanted: Values<T>,
): Operation<unknown>[] {
  const where: [["_uuid", "==", RowId]] = [["_uuid", "==", row._uuid]];
  const changed: Record<string, unknown> = {};
  const operations: Operation<unknown>[] = [];
  for (const [column, value] of Object.entries(wanted)) {
    const present: unknown = Reflect.get(row, column);
    if (!isMap(value)) {
      if (!isDeepStrictEqual(present, value)) changed[column] = value;
      continue;
    }
    const entries = Object.entries(value).filter(([key, text]) => Reflect.get(Object(present), key) !== text);
    if (entries.length === 0) continue;
    const map = column as "external_ids"; // the maps of `wanted` are maps of strings, as this one is
    const keys = entries.map(([key]) => key);
    const inserted = Object.fromEntries(entries) as StringMap; // texts, by the column's type
    operations.push(
      mutate<"Bridge">(table as "Bridge", where, [
        [map, "delete", keys],
        [map, "insert", inserted],
      ]),
    );
  }
  if (Object.keys(changed).length === 0) return operations;
  return [update<"Bridge">(table as "Bridge", where, changed), ...operations]; // columns of `wanted`, with their values
}

/** A port that is there keeps the mark and the MAC that it has: it may have been made for another network. */
export function portChanges(
  bridge: FoundBridge,
  found: FoundPort | undefined,
  spec: PortSpec,
  n: number,
): Operation<unknown>[] {
  if (found === undefined) return addPort(bridge.name, spec, n);
  if (!isOurPort(bridge, found)) {
    const why = "it is a port of Open vSwitch that tsnet did not make, or of another bridge";
    throw new TsnetError("conflict", `link ${spec.name} cannot be a port of ${bridge.name}: ${why}`);
  }
  const { external_ids: _mark, ...port } = spec.port;
  const { external_ids: _sameMark, mac: _mac, ...ofInterface } = spec.interface;
  return changesTo(found, { name: spec.name, port, interface: ofInterface });
}

/** Whether tsnet made it, in that bridge. */
export function isOurPort(bridge: FoundBridge, { port }: FoundPort): boolean {
  return bridge.ports.includes(port._uuid) && networkOf(port) !== undefined;
}

/** Takes ports from whichever bridges have them; their rows go with that. */
export function removePorts(ids: readonly RowId[]): Operation<number>[] {
  return ids.map((id) => mutate("Bridge", [["ports", "includes", [id]]], [["ports", "delete", [id]]]));
}

function isMap(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

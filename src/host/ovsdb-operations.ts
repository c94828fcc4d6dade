// The operations of which a transaction consists, what each gives back, and what a refused one looks like. All operations of
// a transaction happen, or none does. Source: RFC 7047, sections 5.2 (operations) and 4.1.3 (their results).
import { TsnetError } from "../errors.ts";
import {
  type ColumnName,
  type Row,
  TABLES,
  type Table,
  type Values,
  type WritableColumn,
  type Written,
} from "./ovsdb-schema.ts";
import {
  type Column,
  type NamedRow,
  type RowId,
  type StringMap,
  integer,
  reference,
  string,
  stringMap,
} from "./ovsdb-values.ts";

/** One operation. `Result` is what it gives back when the whole transaction happened. */
export interface Operation<Result> {
  /** As RFC 7047, section 5.2, writes it. */
  readonly json: Readonly<Record<string, unknown>>;
  /** For messages: `insert Port`. */
  readonly title: string;
  /** @throws TsnetError `host` for a result of another shape. */
  readonly parse: (result: object) => Result;
}

/** What each of some operations gives back. */
export type Results<O extends readonly Operation<unknown>[]> = {
  readonly [I in keyof O]: O[I] extends Operation<infer R> ? R : never;
};

/** Conditions that a row must meet, all of them; `includes` asks for some members of a set or entries of a map. */
export type Where<T extends Table> = readonly {
  [C in ColumnName<T>]: readonly [column: C, is: "==" | "!=" | "includes" | "excludes", value: Written<T, C>];
}[ColumnName<T>][];

/**
 * A change to what a column holds: `+=` for integers, `insert` and `delete` for members of sets and entries of maps. An
 * `insert` leaves the value of a key that is there; `delete` with an array of keys takes map entries whatever their value.
 */
export type Mutation<T extends Table> = {
  [C in WritableColumn<T>]: Written<T, C> extends number
    ? readonly [column: C, mutator: "+=", value: number]
    :
        | readonly [column: C, mutator: "insert", value: Written<T, C>]
        | readonly [column: C, mutator: "delete", value: Written<T, C> | KeysOf<Written<T, C>>];
}[WritableColumn<T>];

type KeysOf<V> = V extends StringMap ? readonly string[] : never;

/** Inserts a row. @param name - by which other operations of the transaction refer to it. @returns the row's UUID. */
export function insert<T extends Table>(table: T, values: Values<T>, name?: NamedRow): Operation<RowId> {
  const json = { op: "insert", table, row: rowJson(table, values), ...(name && { "uuid-name": name.slice(1) }) };
  return { json, title: `insert ${table}`, parse: (result) => reference.decode(member(result, "uuid")) };
}

/** Sets columns of the rows that meet the conditions. @returns how many those are. */
export function update<T extends Table>(table: T, where: Where<T>, values: Values<T>): Operation<number> {
  const json = { op: "update", table, where: whereJson(table, where), row: rowJson(table, values) };
  return { json, title: `update ${table}`, parse: count };
}

/** Changes columns of the rows that meet the conditions, each mutation after the other. @returns how many rows those are. */
export function mutate<T extends Table>(
  table: T,
  where: Where<T>,
  mutations: readonly Mutation<T>[],
): Operation<number> {
  const terms = mutations.map(([column, mutator, value]) => [column, mutator, mutationJson(table, column, value)]);
  const json = { op: "mutate", table, where: whereJson(table, where), mutations: terms };
  return { json, title: `mutate ${table}`, parse: count };
}

/** Removes rows. Ports and interfaces go by themselves when nothing refers to them. @returns how many rows those are. */
export function remove<T extends Table>(table: T, where: Where<T>): Operation<number> {
  const json = { op: "delete", table, where: whereJson(table, where) };
  return { json, title: `delete ${table}`, parse: count };
}

/** Reads rows, with what earlier operations of the transaction did to them. @returns them ordered by nothing in particular. */
export function select<T extends Table, const C extends ColumnName<T>>(
  table: T,
  where: Where<T>,
  columns: readonly C[],
): Operation<readonly Row<T, C>[]> {
  const json = { op: "select", table, where: whereJson(table, where), columns };
  const parse = (result: object) => list(member(result, "rows")).map((row) => parseRow(table, columns, row));
  return { json, title: `select ${table}`, parse };
}

/**
 * Lets the transaction come to nothing unless exactly one row has this name. Without it, an operation on a bridge that has
 * gone does nothing, and with it goes the port that was to come into it.
 */
export function expectNamed(table: "Bridge" | "Port" | "Interface", name: string): Operation<void> {
  const where = whereJson<"Bridge" | "Port" | "Interface">(table, [["name", "==", name]]);
  const json = { op: "wait", timeout: 0, table, where, columns: ["name"], until: "==", rows: [{ name }] };
  return { json, title: `${table} ${name}`, parse() {} };
}

/** What stands in the `cause` of a refused transaction's error. */
export interface Refusal {
  /** A word of the database, such as `constraint violation`; `timed out` for `expectNamed`. */
  readonly refusal: string;
  /** The position of the refused operation; absent when all of them together were refused. */
  readonly operation?: number;
}

/** Whether a transaction was refused, and so changed nothing, with one of these words. Without words: whether it was refused. */
export function isRefused(failure: unknown, ...words: readonly string[]): boolean {
  for (let error = failure; error instanceof Error; error = error.cause) {
    const { cause } = error;
    if (typeof cause !== "object" || cause === null || !("refusal" in cause)) continue;
    return words.length === 0 || words.some((word) => word === cause.refusal);
  }
  return false;
}

/**
 * Reads the database's answer to a transaction.
 *
 * @throws TsnetError `host` with what was refused, in the database's words, and why (`isRefused`).
 */
export function parseResults<const O extends readonly Operation<unknown>[]>(
  operations: O,
  answer: unknown,
): Results<O> {
  const results = list(answer);
  results.forEach((result, operation) => {
    if (typeof result === "object" && result !== null && "error" in result)
      throw refusalError(operations, operation, result);
  });
  const parsed = operations.map(({ parse }, i) => parse(object(results[i])));
  return parsed as unknown as Results<O>; // `map` keeps the length and the order
}

function refusalError(operations: readonly Operation<unknown>[], at: number, result: object): TsnetError {
  const refusal = string.decode(member(result, "error"));
  const details = "details" in result ? `: ${String(result.details)}` : "";
  const operation = operations[at]; // what is refused as a whole has its error behind the results of all
  const cause: Refusal = { refusal, ...(operation && { operation: at }) };
  const isAbsent = operation?.json["op"] === "wait" && refusal === "timed out";
  const words = `${operation?.title ?? "the whole transaction"}: ${refusal}${details}`;
  return new TsnetError("host", isAbsent ? `there is no ${operation.title}` : words, { cause });
}

/** The codec of a column; `never` because the value's type hangs on a column that is known only to the caller. */
function columnOf(table: Table, column: string): Column<unknown, never> {
  const columns: Readonly<Record<string, Column<unknown, never>>> = TABLES[table];
  const found = columns[column];
  if (found === undefined) throw new TsnetError("internal", `no column ${column} in ${table}`);
  return found;
}

function encode(table: Table, column: string, value: unknown): unknown {
  return columnOf(table, column).encode(value as never); // the callers' types see to it
}

function rowJson(table: Table, values: object): object {
  return Object.fromEntries(Object.entries(values).map(([column, value]) => [column, encode(table, column, value)]));
}

function whereJson<T extends Table>(table: T, where: Where<T>): unknown[] {
  return where.map(([column, is, value]) => [column, is, encode(table, column, value)]);
}

function mutationJson(table: Table, column: string, value: unknown): unknown {
  const isKeys = Array.isArray(value) && (columnOf(table, column) as unknown) === stringMap;
  return isKeys ? ["set", value] : encode(table, column, value);
}

function parseRow<T extends Table, C extends ColumnName<T>>(table: T, columns: readonly C[], row: unknown): Row<T, C> {
  const entries = columns.map((column) => [column, columnOf(table, column).decode(member(object(row), column))]);
  return Object.fromEntries(entries) as Row<T, C>; // each column was decoded by its codec
}

function count(result: object): number {
  return integer.decode(member(result, "count"));
}

function list(json: unknown): readonly unknown[] {
  if (!Array.isArray(json)) throw new TsnetError("host", "an answer that is no list");
  return json;
}

function object(json: unknown): object {
  if (typeof json !== "object" || json === null) throw new TsnetError("host", "an answer with too few results");
  return json;
}

function member(json: object, name: string): unknown {
  return (json as Readonly<Record<string, unknown>>)[name]; // absent is undefined, which no codec takes
}

// The values of columns as OVSDB writes them in JSON, and as we hold them: an optional value is a value or undefined, a set
// an array, a map an object. What the database sends is checked, since the schema there may be of another version.
// Source: RFC 7047, section 5.1, <value>, <atom>, <uuid>, <named-uuid>, <set>, <map>.
import { TsnetError } from "../errors.ts";

/** The database's name of a row, a UUID in text form. */
export type RowId = string & { readonly __brand: "RowId" };

/** A row that an operation of the same transaction inserts: `@` and the name that it is given there. */
export type NamedRow = `@${string}`;

/** A map of strings. What comes from the database has no prototype, so that any key may be asked for. */
export type StringMap = Readonly<Record<string, string>>;

/** How one kind of column is read, and written where more can be said than is ever read. */
export interface Column<Read, Written = Read> {
  /** @throws TsnetError `internal` for a value that the database could not take or that JSON would change. */
  readonly encode: (value: Written) => unknown;
  /** @throws TsnetError `host` for a value of another kind. */
  readonly decode: (json: unknown) => Read;
}

/** Integers that JSON numbers carry exactly; OVSDB's own go further, to 64 bits. */
export const integer: Column<number> = {
  encode(value) {
    if (!Number.isSafeInteger(value)) throw new TsnetError("internal", `${value} is no integer`);
    return value;
  },
  decode(json) {
    if (!Number.isSafeInteger(json)) throw unexpected(json, "an integer");
    return json as number; // checked
  },
};

/** `true` or `false`. */
export const boolean: Column<boolean> = {
  encode: (value) => value,
  decode(json) {
    if (typeof json !== "boolean") throw unexpected(json, "a boolean");
    return json;
  },
};

/** Text without the character U+0000, which OVSDB cannot store (RFC 7047, section 3.1, <string>). */
export const string: Column<string> = {
  encode(value) {
    if (value.includes("\0"))
      throw new TsnetError("internal", `${JSON.stringify(value)} contains the character U+0000`);
    return value;
  },
  decode(json) {
    if (typeof json !== "string") throw unexpected(json, "a string");
    return json;
  },
};

/** A row: `["uuid", ...]`, or `["named-uuid", ...]` on the way there. */
export const reference: Column<RowId, RowId | NamedRow> = {
  encode: (value) => (value.startsWith("@") ? ["named-uuid", value.slice(1)] : ["uuid", value]),
  decode(json) {
    const [tag, id] = pair(json);
    if (tag !== "uuid" || typeof id !== "string") throw unexpected(json, "the UUID of a row");
    return id as RowId; // the database vouches for it
  },
};

/** A value that may be absent: a set of at most one in OVSDB. */
export function optional<R, W>(column: Column<R, W>): Column<R | undefined, W | undefined> {
  return {
    encode: (value) => (value === undefined ? ["set", []] : column.encode(value)),
    decode(json) {
      const members = membersOf(json);
      if (members.length > 1) throw unexpected(json, "at most one value");
      return members.length === 0 ? undefined : column.decode(members[0]);
    },
  };
}

/** Any number of values, in the database's order. */
export function setOf<R, W>(column: Column<R, W>): Column<readonly R[], readonly W[]> {
  return {
    encode: (values) => ["set", values.map(column.encode)],
    decode: (json) => membersOf(json).map(column.decode),
  };
}

/** Strings by strings, as in `external_ids`, `options` and `other_config`. */
export const stringMap: Column<StringMap> = {
  encode: (map) => ["map", Object.entries(map).map((entry) => entry.map(string.encode))],
  decode(json) {
    const [tag, entries] = pair(json);
    if (tag !== "map" || !Array.isArray(entries)) throw unexpected(json, "a map");
    const map = Object.create(null) as Record<string, string>; // no prototype: nothing is inherited
    for (const entry of entries) {
      const [key, value] = pair(entry);
      map[string.decode(key)] = string.decode(value);
    }
    return map;
  },
};

/** A set with one member may come as that member alone. */
function membersOf(json: unknown): readonly unknown[] {
  const [tag, members] = pair(json);
  return tag === "set" && Array.isArray(members) ? members : [json];
}

function pair(json: unknown): readonly unknown[] {
  return Array.isArray(json) && json.length === 2 ? json : [];
}

function unexpected(json: unknown, what: string): TsnetError {
  return new TsnetError("host", `${JSON.stringify(json)?.slice(0, 100)} instead of ${what}`);
}

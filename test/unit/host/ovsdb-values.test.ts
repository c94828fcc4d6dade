import { describe, expect, it } from "vitest";
import {
  type Column,
  type RowId,
  boolean,
  integer,
  optional,
  reference,
  setOf,
  string,
  stringMap,
} from "../../../src/host/ovsdb-values.ts";

const ID = "36bef046-7da7-43a5-905a-c17899216fcb" as RowId;

describe("a column", () => {
  it.each<[string, Column<unknown, never>, unknown, unknown]>([
    ["an integer", integer, -1, -1],
    ["a boolean", boolean, false, false],
    ["a string", string, "añb€", "añb€"],
    ["a row", reference, ID, ["uuid", ID]],
    ["an optional value that is there", optional(integer), 0, 0],
    ["an optional value that is absent", optional(integer), undefined, ["set", []]],
    ["an empty set", setOf(integer), [], ["set", []]],
    ["a set of one", setOf(integer), [10], ["set", [10]]],
    [
      "a set of rows",
      setOf(reference),
      [ID, ID],
      [
        "set",
        [
          ["uuid", ID],
          ["uuid", ID],
        ],
      ],
    ],
    ["an empty map", stringMap, {}, ["map", []]],
    [
      "a map",
      stringMap,
      { a: "1", __proto: "2" },
      [
        "map",
        [
          ["a", "1"],
          ["__proto", "2"],
        ],
      ],
    ],
  ])("writes %s and reads it again", (_, column, value, json) => {
    expect(column.encode(value as never)).toEqual(json);
    expect(column.decode(json)).toEqual(value);
  });

  it("writes a row that the same transaction inserts", () => {
    expect(reference.encode("@port")).toEqual(["named-uuid", "port"]);
    expect(setOf(reference).encode(["@port", ID])).toEqual([
      "set",
      [
        ["named-uuid", "port"],
        ["uuid", ID],
      ],
    ]);
  });

  it("reads a set of one that comes without its brackets, as the database sends it", () => {
    expect(setOf(integer).decode(10)).toEqual([10]);
    expect(setOf(reference).decode(["uuid", ID])).toEqual([ID]);
  });

  it("reads a map whose keys are names of JavaScript's, and has no others", () => {
    const map = stringMap.decode(["map", [["__proto__", "a"]]]);

    expect(Object.entries(map)).toEqual([["__proto__", "a"]]);
    expect(map["constructor"]).toBeUndefined();
  });

  it.each<[string, Column<unknown, never>, unknown]>([
    ["a string for an integer", integer, "1"],
    ["a fraction for an integer", integer, 1.5],
    ["an integer that JSON changed", integer, 2 ** 53],
    ["null for a string", string, null],
    ["nothing for a string", string, undefined],
    ["a number for a boolean", boolean, 1],
    ["a string for a row", reference, ID],
    ["a name for a row", reference, ["named-uuid", "port"]],
    ["two values for an optional one", optional(integer), ["set", [1, 2]]],
    ["strings for a set of integers", setOf(integer), ["set", ["a"]]],
    ["a set for a map", stringMap, ["set", []]],
    ["a map of numbers for a map of strings", stringMap, ["map", [["a", 1]]]],
    ["a map with half an entry", stringMap, ["map", [["a"]]]],
  ])("refuses %s", (_, column, json) => {
    expect(() => column.decode(json)).toThrow(/ instead of (an?|at most one|the UUID of a) \w+/);
  });

  it("does not write what the database cannot take", () => {
    expect(() => integer.encode(Number.NaN)).toThrow("NaN is no integer");
    expect(() => string.encode("a\0b")).toThrow("contains the character U+0000");
    expect(() => stringMap.encode({ "a\0": "b" })).toThrow("contains the character U+0000");
  });
});

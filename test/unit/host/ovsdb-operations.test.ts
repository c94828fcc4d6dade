import { describe, expect, it } from "vitest";
import { inContext } from "../../../src/errors.ts";
import {
  type Operation,
  expectNamed,
  insert,
  isRefused,
  mutate,
  parseResults,
  remove,
  select,
  update,
} from "../../../src/host/ovsdb-operations.ts";
import type { RowId } from "../../../src/host/ovsdb-values.ts";

const ID = "36bef046-7da7-43a5-905a-c17899216fcb" as RowId;

describe("an operation", () => {
  it.each<[string, Operation<unknown>, object]>([
    [
      "insert, under a name, of a row that refers to another",
      insert("Port", { name: "tsv1", interfaces: ["@interface"], tag: 10, external_ids: { tsnet: "n" } }, "@port"),
      {
        op: "insert",
        table: "Port",
        row: {
          name: "tsv1",
          interfaces: ["set", [["named-uuid", "interface"]]],
          tag: 10,
          external_ids: ["map", [["tsnet", "n"]]],
        },
        "uuid-name": "port",
      },
    ],
    [
      "insert without a name",
      insert("Interface", { name: "tsv1" }),
      { op: "insert", table: "Interface", row: { name: "tsv1" } },
    ],
    [
      "update that empties an optional column",
      update("Port", [["name", "==", "tsv1"]], { tag: undefined, trunks: [10, 20] }),
      {
        op: "update",
        table: "Port",
        where: [["name", "==", "tsv1"]],
        row: { tag: ["set", []], trunks: ["set", [10, 20]] },
      },
    ],
    [
      "mutate of a set, a counter and the keys of a map",
      mutate(
        "Bridge",
        [["_uuid", "==", ID]],
        [
          ["ports", "insert", ["@port"]],
          ["external_ids", "delete", ["tsnet"]],
          ["external_ids", "insert", { tsnet: "n" }],
          ["external_ids", "delete", { other: "x" }],
        ],
      ),
      {
        op: "mutate",
        table: "Bridge",
        where: [["_uuid", "==", ["uuid", ID]]],
        mutations: [
          ["ports", "insert", ["set", [["named-uuid", "port"]]]],
          ["external_ids", "delete", ["set", ["tsnet"]]],
          ["external_ids", "insert", ["map", [["tsnet", "n"]]]],
          ["external_ids", "delete", ["map", [["other", "x"]]]],
        ],
      },
    ],
    [
      "delete of the rows with a mark",
      remove("Bridge", [["external_ids", "includes", { tsnet: "n" }]]),
      { op: "delete", table: "Bridge", where: [["external_ids", "includes", ["map", [["tsnet", "n"]]]]] },
    ],
    [
      "select of some columns of all rows",
      select("Port", [], ["name", "tag"]),
      { op: "select", table: "Port", where: [], columns: ["name", "tag"] },
    ],
    [
      "wait that waits for nothing",
      expectNamed("Bridge", "br0"),
      {
        op: "wait",
        timeout: 0,
        table: "Bridge",
        where: [["name", "==", "br0"]],
        columns: ["name"],
        until: "==",
        rows: [{ name: "br0" }],
      },
    ],
  ])("is written as RFC 7047 has it: %s", (_, { json }, expected) => {
    expect(json).toEqual(expected);
  });

  it("refuses columns and values that the table does not have", () => {
    // @ts-expect-error: a column of another table
    expect(() => insert("Port", { datapath_type: "netdev" })).toThrow("no column datapath_type in Port");
    // @ts-expect-error: a string for an integer
    expect(() => insert("Port", { tag: "10" })).toThrow("10 is no integer");
    // @ts-expect-error: a name is not counted up
    expect(() => mutate("Port", [], [["name", "+=", 1]])).toThrow();
    // @ts-expect-error: a misspelt word; here the database refuses it
    insert("Bridge", { fail_mode: "secured" });
  });
});

describe("parseResults", () => {
  const operations = [
    expectNamed("Bridge", "br0"),
    insert("Port", { name: "tsv1" }),
    mutate("Bridge", [], [["ports", "delete", [ID]]]),
    select("Interface", [], ["name", "ofport", "error"]),
  ] as const;

  it("gives each operation what is its own", () => {
    const rows = [
      { name: "tsv1", ofport: -1, error: ["set", ["gone"]] },
      { name: "tsv2", ofport: ["set", []], error: ["set", []] },
    ];

    const results = parseResults(operations, [{}, { uuid: ["uuid", ID] }, { count: 1 }, { rows }]);

    const id: RowId = results[1];
    const name: string | undefined = results[3][0]?.name;
    expect([results[0], id, results[2], name]).toEqual([undefined, ID, 1, "tsv1"]);
    expect(results[3]).toEqual([
      { name: "tsv1", ofport: -1, error: "gone" },
      { name: "tsv2", ofport: undefined, error: undefined },
    ]);
  });

  it("names the operation that was refused, in the database's words", () => {
    const answer = [{}, { error: "constraint violation", details: "tag 9999 is out of range" }, null, null];

    expect(() => parseResults(operations, answer)).toThrow(
      expect.objectContaining({
        code: "host",
        message: "insert Port: constraint violation: tag 9999 is out of range",
        cause: { refusal: "constraint violation", operation: 1 },
      }),
    );
  });

  it("names a refusal of all of them together, which stands behind the results", () => {
    const fine = [{}, { uuid: ["uuid", ID] }, { count: 1 }, { rows: [] }];
    const answer = [...fine, { error: "referential integrity violation" }];

    expect(() => parseResults(operations, answer)).toThrow(
      expect.objectContaining({ message: "the whole transaction: referential integrity violation" }),
    );
  });

  it.each([
    ["that is no list", {}],
    ["with too few results", [{}]],
    ["with a result of another operation", [{}, { count: 1 }, {}, {}]],
    ["with a row that lacks a column", [{}, { uuid: ["uuid", ID] }, { count: 1 }, { rows: [{ name: "tsv1" }] }]],
  ])("refuses an answer %s", (_, answer) => {
    expect(() => parseResults(operations, answer)).toThrow(expect.objectContaining({ code: "host" }));
  });
});

describe("isRefused", () => {
  const refused = () => {
    try {
      parseResults([expectNamed("Bridge", "br0")], [{ error: "timed out" }]);
    } catch (failure) {
      return inContext("add port", failure);
    }
  };

  it("finds the word under any context", () => {
    expect(String(refused())).toBe("TsnetError: add port: there is no Bridge br0");
    expect(isRefused(refused())).toBe(true);
    expect(isRefused(refused(), "timed out")).toBe(true);
    expect(isRefused(refused(), "constraint violation")).toBe(false);
    expect(isRefused(new Error("timed out"))).toBe(false);
  });
});

import { describe, expect, it } from "vitest";
import { formatTable, plain } from "../../../src/cli/table.ts";

/** Two columns of a terminal for each character that is no letter of Latin. */
const columnsOf = (line: string) => Array.from(line).reduce((sum, each) => sum + (each > "\u2e80" ? 2 : 1), 0);
const linesOf = (text: string) => text.trimEnd().split("\n");

describe("formatTable", () => {
  it("puts titles and cells below each other, two spaces apart, without spaces at the end", () => {
    const text = formatTable(
      ["NAME", "WHERE"],
      [
        ["web", "here"],
        ["a longer one", ""],
      ],
      80,
    );

    expect(text).toBe("NAME          WHERE\nweb           here\na longer one\n");
  });

  it("fits the width by going on in the next line, between words, and cuts nothing off", () => {
    const words = Array.from({ length: 40 }, (_none, at) => `word-${at},`);

    const lines = linesOf(formatTable(["NAME", "WORDS"], [["web", words.join(" ")]], 80));

    expect(lines.every((line) => line.length <= 80)).toBe(true);
    expect(lines.length).toBeGreaterThan(4);
    expect(lines.slice(2).every((line) => line.startsWith("      "))).toBe(true);
    expect(lines.slice(1).join(" ").split(/\s+/)).toEqual(["web", ...words]);
  });

  it("breaks a word that is longer than its column", () => {
    const id = "0123456789".repeat(12);

    const lines = linesOf(formatTable(["ID", "NAME"], [[id, "web"]], 80));

    expect(lines.every((line) => line.length <= 80)).toBe(true);
    expect(
      lines
        .slice(1)
        .join("")
        .replace(/\s+web\s*/, ""),
    ).toBe(id);
  });

  it("narrows the widest column first, so that short ones stay in one line", () => {
    const lines = linesOf(formatTable(["A", "B"], [["short one", "x ".repeat(100)]], 80));

    expect(lines[1]).toMatch(/^short one {2}x x/);
  });

  it("breaks no word as long as the table fits otherwise", () => {
    const mac = "02:42:0a:3c:00:02";

    const lines = linesOf(formatTable(["MAC", "A", "B"], [[mac, "xx ".repeat(40), "yyyyy ".repeat(5)]], 60));

    expect(lines.every((line) => line.length <= 60)).toBe(true);
    expect(lines[1]?.startsWith(`${mac}  xx xx`)).toBe(true);
  });

  it("leaves out columns that no row fills", () => {
    expect(
      formatTable(
        ["A", "B", "C"],
        [
          ["1", "", "2"],
          ["3", [], "4"],
        ],
        80,
      ),
    ).toBe("A  C\n1  2\n3  4\n");
  });

  it("has a line for each line of a cell, and an empty row is a line", () => {
    expect(
      formatTable(
        ["A", "B"],
        [
          ["x", ["1", "2"]],
          ["", []],
        ],
        80,
      ),
    ).toBe("A  B\nx  1\n   2\n\n");
  });

  it("gives characters of two columns their room, and marks none", () => {
    const lines = linesOf(
      formatTable(
        ["NAME", "B"],
        [
          ["網路", "1"],
          ["abcd", "2"],
          ["e\u0301tat", "3"],
        ],
        80,
      ),
    );

    expect(lines).toEqual(["NAME  B", "網路  1", "abcd  2", "e\u0301tat  3"]);
  });

  it("fits the width with characters of two columns, and cuts none of them", () => {
    const name = "網".repeat(90);

    const lines = linesOf(formatTable(["NAME"], [[name]], 80));

    expect(lines.every((line) => columnsOf(line) <= 80)).toBe(true);
    expect(lines.slice(1).join("")).toBe(name);
  });

  it("takes no width from a column below its title and eight characters, even if the table is too wide then", () => {
    const heads = Array.from({ length: 20 }, (_none, at) => `TITLE-${at}`);

    const [first = ""] = linesOf(formatTable(heads, [heads], 80));

    expect(first.split(/ +/)).toEqual(heads);
  });

  it("paints the line of titles alone", () => {
    expect(formatTable(["A"], [["x"]], 80, (line) => `<${line}>`)).toBe("<A>\nx\n");
  });

  it("has room for many rows", () => {
    const rows = Array.from({ length: 200_000 }, (_none, at) => [`${at}`]);

    expect(linesOf(formatTable(["A"], rows, 80))).toHaveLength(200_001);
  });
});

describe("plain", () => {
  it.each([
    ["colours", "\u001b[31mred", "?[31mred"],
    ["line ends", "a\nb\r\u2028", "a?b??"],
    ["another direction", "\u202eback", "?back"],
    ["half a character", "\ud83d", "?"],
  ])("replaces what would be %s", (_what, text, expected) => {
    expect(plain(text)).toBe(expected);
  });

  it("leaves letters of all scripts", () => {
    expect(plain("Zürich 網路 сеть")).toBe("Zürich 網路 сеть");
  });
});

import { describe, expect, it } from "vitest";
import { findGaps, readmeWithTables } from "../faults/table.ts";
import { idsIn } from "../faults/titles.ts";

describe("the catalogue of faults", () => {
  it("has tests in npm test for all of tier 1, and a test or a reason for every other entry", () => {
    expect(findGaps()).toEqual([]);
  });

  it("is in the README with what proves each entry (npm run faults:write)", () => {
    const { is, wanted } = readmeWithTables();

    expect(is === wanted ? [] : differences(is, wanted)).toEqual([]);
  });
});

describe("the ids of a title", () => {
  it("are those in brackets", () => {
    const tagged = (list: string) => `ends in [${list}]`;

    expect(idsIn(tagged("F3"))).toEqual(["F3"]);
    expect(idsIn(`${tagged("F86, S01")} and ${tagged("F87 S01")}`)).toEqual(["F86", "S01", "F87"]);
    expect(idsIn(`F37 outside, ${tagged("37")}, ${tagged("G01")}, ${tagged("F37x")}`)).toEqual([]);
  });
});

/** Lines that one has and the other has not. */
function differences(is: string, wanted: string): readonly string[] {
  const [old, anew] = [is.split("\n"), wanted.split("\n")];
  return [
    ...old.filter((line) => !anew.includes(line)).map((line) => `- ${line}`),
    ...anew.filter((line) => !old.includes(line)).map((line) => `+ ${line}`),
  ];
}

import { describe, expect, it } from "vitest";
import { type Outcome, summarize } from "../../support/publish-summary.ts";

const CLOSED = { tsnet: "closed", bridge: "closed" } as const;

function outcome(on: Outcome["on"], asks: Outcome["asks"], who: Outcome["who"], bridge: string): Outcome {
  return { on, asks, who, tsnet: "closed", bridge };
}

/** Without the head. */
function rowsOf(...outcomes: readonly Outcome[]): readonly (readonly string[])[] {
  return summarize(outcomes, "20.10").slice(1);
}

describe("the summary of published ports", () => {
  it("has a row for every combination of those who ask and what they ask for, when all came to the same", () => {
    const askers = ["docker0", "remote host"] as const;
    const measured = (["loopback", "all addresses"] as const).flatMap((on) =>
      askers.flatMap((who) => (["container", "host"] as const).map((asks): Outcome => ({ on, asks, who, ...CLOSED }))),
    );

    expect(rowsOf(...measured)).toEqual([["all, loopback", "host, container", "LAN, docker0", "closed", "closed"]]);
  });

  it("has no combination that was not measured", () => {
    const rows = rowsOf(
      outcome("nothing", "container", "remote host", "closed"),
      outcome("nothing", "container", "docker0", "closed"),
      outcome("loopback", "container", "docker0", "closed"),
    );

    expect(rows.map((row) => row.slice(0, 3))).toEqual([
      ["nothing", "container", "LAN, docker0"],
      ["loopback", "container", "docker0"],
    ]);
  });

  it("keeps apart what came to something else, and shows what the other driver does otherwise in bold", () => {
    const rows = rowsOf(
      outcome("nothing", "container", "remote host", "closed"),
      outcome("nothing", "container", "the host", "open"),
      outcome("nothing", "container", "docker0", ""),
    );

    expect(rows.map((row) => row.slice(2))).toEqual([
      ["LAN", "closed", "closed"],
      ["host", "closed", "**open**"],
      ["docker0", "closed", ""],
    ]);
  });
});

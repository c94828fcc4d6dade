import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MEASURES, VERB_DURATION } from "../../src/api/measures.ts";
import { MetricRegistry } from "../../src/api/metric-registry.ts";
import { LEVEL } from "../../src/api/reply-error.ts";
import { CHECKS } from "../../src/cli/doctor/checks.ts";
import { ENDPOINT_OPTIONS, NETWORK_OPTIONS } from "../../src/cnm/options.ts";
import { SETTINGS } from "../../src/config.ts";
import { LINK_GROUP } from "../../src/link-group.ts";
import { RULE_COMMENT } from "../../src/nat/foreign-chains.ts";
import { ADMITTED_MARK } from "../../src/nat/table-inet.ts";

const ROOT = join(import.meta.dirname, "../..");
const README = readFileSync(join(ROOT, "README.md"), "utf8");

/** Rows of the first table below a heading or line, without head and marks of code. */
function tableBelow(text: string): string[][] {
  const lines = README.slice(README.indexOf(text)).split("\n");
  const start = lines.findIndex((line) => line.startsWith("| ---"));
  const rows = lines.slice(start + 1);
  const end = rows.findIndex((line) => !line.startsWith("|"));
  const cells = (line: string) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.replaceAll("`", "").trim());
  return rows.slice(0, end).map(cells);
}

/** What the table of options has, in the order of the README. */
function rowOf(key: string, option: { permitted: string; alias?: string }): string[] {
  return [key, option.alias ?? "", option.permitted];
}

describe("README", () => {
  it("has the table of network options that the parser has", () => {
    const expected = Object.entries(NETWORK_OPTIONS).map(([key, option]) => rowOf(key, option));

    expect(tableBelow("## Options").map((row) => row.slice(0, 3))).toEqual(expected);
  });

  it("has the table of what tsnet doctor finds, in its order", () => {
    const expected = CHECKS.map(({ id, severity, meaning, isOurs }) => [id, severity, meaning, isOurs ? "yes" : ""]);

    expect(tableBelow("### Doctor")).toEqual(expected);
  });

  it("has the table of endpoint options that the parser has", () => {
    const expected = Object.entries(ENDPOINT_OPTIONS).map(([key, { permitted }]) => [key, permitted]);

    expect(tableBelow("For one container").map((row) => row.slice(0, 2))).toEqual(expected);
  });

  it("has every setting of the daemon with its default", () => {
    const expected = Object.entries(SETTINGS).map(([name, setting]) => [name, setting.default || "empty"]);

    expect(tableBelow("## Settings").map((row) => row.slice(0, 2))).toEqual(expected);
  });

  it("has the metrics that are registered, with their labels, and no others", () => {
    const { name, labels } = VERB_DURATION;
    const durations = { name, kind: "histogram", labels };
    const expected = [durations, ...MEASURES].map((each) => [each.name, each.kind, each.labels.join(", ")]);

    expect(tableBelow("### Health and metrics").map((row) => row.slice(0, 3))).toEqual(expected);
    expect(new MetricRegistry().names).toEqual(expected.map(([first]) => first));
  });

  it("has every error code", () => {
    const missing = Object.keys(LEVEL).filter((code) => !README.includes(`\`${code}\``));

    expect(missing).toEqual([]);
  });

  it("names the marks by which tsnet's own things are known", () => {
    expect(README).toContain(`link group ${LINK_GROUP}`);
    expect(README).toContain(`comment \`${RULE_COMMENT}\``);
    expect(README).toContain(`packet mark 0x${ADMITTED_MARK.toString(16)}`);
  });

  it("names only scripts that package.json has", () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: object };
    const named = Array.from(README.matchAll(/npm run ([a-z:]+)/g), ([, name = ""]) => name);

    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });
});

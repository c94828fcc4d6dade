import { describe, expect, it } from "vitest";
import { LINK_GROUP } from "../../../src/link-group.ts";
import { SETS } from "../../../src/nat/element-sets.ts";
import { SKELETON, SKELETON_SIZES, SKELETON_SET } from "../../../src/nat/skeleton.ts";
import { ADMITTED_MARK } from "../../../src/nat/table-inet.ts";

/** What stands behind an @ and is no set: the places of raw payload, nft(8). */
const HEADERS = new Set(["nh", "th"]);

describe("the skeleton", () => {
  it("makes as many things in each table as it says", () => {
    const counts = ["inet", "bridge"].map((family) =>
      linesWith("add ").filter((line) => line.includes(` ${family} tsnet `)),
    );

    expect(counts.map(({ length }) => length)).toEqual(SKELETON_SIZES);
    expect(counts.every(({ length }) => length > 20)).toBe(true);
  });

  it("is commands of which each makes one thing in a table of ours", () => {
    for (const line of linesWith("")) expect(line).toMatch(/^add (set|map|chain|rule) (inet|bridge) tsnet \w+/);
  });

  it("sets and clears one bit, the one that the foreign rule looks for", () => {
    const bit = `0x${ADMITTED_MARK.toString(16)}`;

    expect(SKELETON).toContain(`meta mark set meta mark | ${bit} accept`);
    expect(SKELETON).toContain(`meta mark set meta mark & 0x${(0xffffffff - ADMITTED_MARK).toString(16)}`);
  });

  it("has the sets that get elements, and each rule's sets", () => {
    const declared = Array.from(SKELETON.matchAll(/^add (?:set|map) \w+ tsnet (\w+) /gm), ([, name = ""]) => name);
    const used = Array.from(SKELETON.matchAll(/@(\w+)/g), ([, name = ""]) => name).filter((name) => !HEADERS.has(name));

    expect(declared.filter((name) => name !== SKELETON_SET).toSorted()).toEqual(SETS.map(({ set }) => set).toSorted());
    expect([...new Set(used)].toSorted()).toEqual(SETS.map(({ set }) => set).toSorted());
  });

  it("looks at the EtherType before anything else, and lets no port of tsnet pass by default", () => {
    const rulesOf = (chain: string) => linesWith(`add rule bridge tsnet ${chain} `).map((line) => line.trim());

    expect(rulesOf("ingress").slice(0, 2)).toEqual([
      "add rule bridge tsnet ingress iifname @tunnels goto tunnel", // they are in the group as well
      `add rule bridge tsnet ingress iifgroup ${LINK_GROUP} goto identity`,
    ]);
    expect(rulesOf("identity")[1]).toBe("add rule bridge tsnet identity ether type != { arp, ip, ip6 } drop");
    for (const chain of ["identity", "arp_identity", "ip6_identity", "nd_identity"]) {
      expect(rulesOf(chain).at(-1)).toMatch(/ drop$/);
    }
  });
});

function linesWith(start: string): string[] {
  return SKELETON.trimEnd()
    .split("\n")
    .filter((line) => line.startsWith(start));
}

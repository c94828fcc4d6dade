import { describe, expect, it } from "vitest";
import { LINK_GROUP } from "../../../src/link-group.ts";
import { SETS } from "../../../src/nat/elements.ts";
import { ADMITTED_MARK, SKELETON, SKELETON_RULES, SKELETON_SET } from "../../../src/nat/skeleton.ts";

describe("the skeleton", () => {
  it("has as many rules as it says", () => {
    const rules = SKELETON.split("\n").filter((line) => line.startsWith("\t\t") && !line.startsWith("\t\ttype "));

    expect(rules).toHaveLength(SKELETON_RULES[0] + SKELETON_RULES[1]);
  });

  it("sets and clears one bit, the one that the foreign rule looks for", () => {
    const bit = `0x${ADMITTED_MARK.toString(16)}`;

    expect(SKELETON).toContain(`meta mark set meta mark | ${bit} accept`);
    expect(SKELETON).toContain(`meta mark set meta mark & 0x${(0xffffffff - ADMITTED_MARK).toString(16)}`);
  });

  it("has the sets that get elements, and each rule's sets", () => {
    const declared = Array.from(SKELETON.matchAll(/^\t(?:set|map) (\w+) /gm), ([, name = ""]) => name);
    const used = Array.from(SKELETON.matchAll(/@(\w+)/g), ([, name = ""]) => name).filter((name) => name !== "th");

    expect(declared.filter((name) => name !== SKELETON_SET).toSorted()).toEqual(SETS.map(({ set }) => set).toSorted());
    expect([...new Set(used)].toSorted()).toEqual(SETS.map(({ set }) => set).toSorted());
  });

  it("looks at the EtherType before anything else, and lets no port of tsnet pass by default", () => {
    const [, identity = ""] =
      /chain identity \{\n([^}]+)\}/s.exec(SKELETON.replace("{ arp, ip, ip6 }", "ARP-IP-IP6")) ?? [];

    expect(SKELETON).toContain(`iifgroup ${LINK_GROUP} goto identity`);
    expect(identity.trim().split("\n")[1]?.trim()).toBe("ether type != ARP-IP-IP6 drop");
    for (const chain of ["identity", "arp_identity", "ip6_identity", "nd_identity"]) {
      expect(SKELETON.split(`chain ${chain} {`)[1]?.split("\n\t}")[0]?.trim()).toMatch(/\bdrop$/);
    }
  });
});

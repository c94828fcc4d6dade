import { describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import { ADMITTED_MARK, SKELETON, SKELETON_RULES, elementsFor } from "../../../src/nat/ruleset.ts";
import { dualStack, ifName, network } from "../../support/cnm-builder.ts";

const BR = network().switchName;
const HOME4 = { concat: [BR, { prefix: { addr: "10.1.1.0", len: 24 } }] };
const HOME6 = { concat: [BR, { prefix: { addr: "fd00:1:1::", len: 64 } }] };

/** The sets that are not empty. */
const setsOf = (...networks: readonly Network[]) =>
  Object.fromEntries([...elementsFor(networks)].filter(([, elements]) => elements.length > 0));

describe("the elements of a network", () => {
  it("in mode nat say where its addresses are at home, that they get out, and behind the host's address", () => {
    expect(setsOf(dualStack())).toEqual({
      bridged: [{ concat: [BR, BR] }],
      pools4: [HOME4],
      pools6: [HOME6],
      open4: [HOME4],
      open6: [HOME6],
      masq4: [HOME4],
      masq6: [HOME6],
    });
  });

  it("with masquerade=false and in mode routed leave the addresses as they are", () => {
    const plain = setsOf(network(1, { isMasqueraded: false }));

    expect(plain).toEqual({ bridged: [{ concat: [BR, BR] }], pools4: [HOME4], open4: [HOME4] });
    expect(setsOf(network(1, { mode: "routed" }))).toEqual(plain);
  });

  it("with --internal seal the switch and let nothing out", () => {
    expect(setsOf(network(1, { isInternal: true }))).toEqual({
      bridged: [{ concat: [BR, BR] }],
      sealed: [BR],
      pools4: [HOME4],
    });
  });

  it.each(["l2", "isolated"] as const)("in mode %s keep the host off the switch", (mode) => {
    expect(setsOf(dualStack(1, { mode }))).toEqual({ bridged: [{ concat: [BR, BR] }], sealed: [BR], hostless: [BR] });
  });

  it("leave somebody else's switch open in mode l2, where the host may live, and close it in mode isolated", () => {
    const theirs = { switchName: ifName("br0"), isSwitchOurs: false } as const;

    expect(setsOf(network(1, { mode: "l2", ...theirs }))).toEqual({ bridged: [{ concat: ["br0", "br0"] }] });
    expect(setsOf(network(1, { mode: "isolated", ...theirs }))).toMatchObject({ hostless: ["br0"], sealed: ["br0"] });
  });

  it("are a plain address where the subnet is one", () => {
    const single = network(1, { pools: [{ subnet: "10.1.1.7/32" }, { subnet: "fd00::7/128" }] });

    expect(setsOf(single)).toMatchObject({
      pools4: [{ concat: [BR, "10.1.1.7"] }],
      pools6: [{ concat: [BR, "fd00::7"] }],
    });
  });

  it("stand once when networks share a switch", () => {
    const shared = { mode: "l2", switchName: ifName("br0") } as const;

    expect(setsOf(network(1, shared), network(2, shared))["bridged"]).toHaveLength(1);
  });
});

describe("the skeleton", () => {
  it("has as many rules as it says", () => {
    const rules = SKELETON.split("\n").filter((line) => line.startsWith("\t\t") && !line.startsWith("\t\ttype "));

    expect(rules).toHaveLength(SKELETON_RULES);
  });

  it("sets and clears one bit, the one that the foreign rule looks for", () => {
    const bit = `0x${ADMITTED_MARK.toString(16)}`;

    expect(SKELETON).toContain(`meta mark set meta mark | ${bit} accept`);
    expect(SKELETON).toContain(`meta mark set meta mark & 0x${(0xffffffff - ADMITTED_MARK).toString(16)}`);
  });
});

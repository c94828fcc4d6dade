import { describe, expect, it } from "vitest";
import { nearest } from "../../src/suggest.ts";

const KNOWN = ["mtu", "mode", "masquerade", "gateway"];

describe("nearest", () => {
  it.each([
    ["mtu", "mtu"],
    ["mut", "mtu"],
    ["mt", "mtu"],
    ["mtuu", "mtu"],
    ["mdoe", "mode"],
    ["masqerade", "masquerade"],
    ["gatewya", "gateway"],
  ])("finds for %s the word %s", (word, meant) => {
    expect(nearest(word, KNOWN)).toBe(meant);
  });

  it.each(["", "x", "vlan", "gate", "z".repeat(1000)])("finds nothing for a word that is far from all", (word) => {
    expect(nearest(word, KNOWN)).toBeUndefined();
  });

  it("finds nothing among no words", () => {
    expect(nearest("mtu", [])).toBeUndefined();
  });
});

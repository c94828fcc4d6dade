import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VLAN_RANGE, allVlans, doMeet, formatVlanList, formatVlans, parseVlan, parseVlanList } from "../../src/vlan.ts";

const vlan = fc.integer({ min: 1, max: 4094 });
const someVlans = fc.uniqueArray(vlan, { minLength: 1, maxLength: 60 });
const portVlans = fc
  .record({ vlan: fc.option(vlan, { nil: undefined }), trunk: fc.option(someVlans, { nil: undefined }) })
  .map(({ vlan: id, trunk }) => {
    const list = trunk?.filter((one) => one !== id).sort((a, b) => a - b) ?? [];
    return { ...(id !== undefined && { vlan: id }), ...(list.length > 0 && { trunk: list }) };
  });

describe("parseVlan", () => {
  it.each([
    ["1", 1],
    ["4094", 4094],
    ["0100", 100],
  ])("reads %s", (text, id) => {
    expect(parseVlan(text)).toBe(id);
  });

  it.each(["0", "4095", "4096", "99999", "-1", "+1", "1 ", "1.0", "0x1", "ten", "1\n"])("refuses %j", (text) => {
    expect(() => parseVlan(text)).toThrow(
      expect.objectContaining({ code: "invalid", message: `${text} is no VLAN, VLANs are ${VLAN_RANGE}` }),
    );
  });

  it("names what is missing when there is nothing", () => {
    expect(() => parseVlan("")).toThrow("nothing is no VLAN, VLANs are 1-4094");
  });
});

describe("parseVlanList", () => {
  it("reads VLANs and ranges in any order, each VLAN once, ascending", () => {
    expect(parseVlanList("30-33, 10,20 ,31,10")).toEqual([10, 20, 30, 31, 32, 33]);
  });

  it.each(["", " ", "\t"])("refuses the empty list %j, which some switches take for all VLANs", (text) => {
    expect(() => parseVlanList(text)).toThrow("an empty list carries nothing; leave the option out");
  });

  it.each(["10,", ",10", "10,,20", "10-", "-10", "10-20-30", "all", "10 20", "10;20", "1e3"])("refuses %j", (text) => {
    expect(() => parseVlanList(text)).toThrow(/is neither a VLAN nor a range of VLANs/);
  });

  it.each(["0", "4095", "1-4095", "0-10", "99999-3"])("refuses %j, which has an id that is no VLAN [F70]", (text) => {
    expect(() => parseVlanList(text)).toThrow(/is no VLAN, VLANs are 1-4094/);
  });

  it("refuses a range that runs backwards", () => {
    expect(() => parseVlanList("10,30-20")).toThrow("range 30-20 runs backwards");
  });

  it("reads what formatVlanList writes, whatever the VLANs", () => {
    fc.assert(
      fc.property(someVlans, (ids) => {
        const sorted = ids.toSorted((a, b) => a - b);
        expect(parseVlanList(formatVlanList(sorted))).toEqual(sorted);
      }),
    );
  });

  it("reads ascending lists without doubles out of any items, or refuses them with code invalid", () => {
    const item = fc.oneof(
      vlan.map(String),
      fc.tuple(vlan, vlan).map(([a, b]) => `${a}-${b}`),
      fc.string({ maxLength: 6 }),
    );
    fc.assert(
      fc.property(fc.array(item, { maxLength: 8 }), (items) => {
        try {
          const ids = parseVlanList(items.join(","));
          expect(ids.length).toBeGreaterThan(0);
          expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
          expect(ids.every((id) => Number.isInteger(id) && id >= 1 && id <= 4094)).toBe(true);
        } catch (fault) {
          expect(fault).toMatchObject({ code: "invalid" });
        }
      }),
    );
  });
});

describe("formatVlanList", () => {
  it("writes neighbours as a range, also when there are two", () => {
    expect(formatVlanList([1, 10, 11, 20, 30, 31, 32, 4094])).toBe("1,10-11,20,30-32,4094");
  });

  it("writes the shortest list: no two items touch", () => {
    fc.assert(
      fc.property(someVlans, (ids) => {
        const bounds = formatVlanList(ids.toSorted((a, b) => a - b))
          .split(",")
          .map((item) => item.split("-").map(Number));
        const gaps = bounds.slice(1).map(([first = 0], i) => first - (bounds[i]?.at(-1) ?? 0));
        expect(gaps.every((gap) => gap > 1)).toBe(true);
      }),
    );
  });
});

describe("the VLANs of a port", () => {
  it.each([
    [{}, [], "no VLAN"],
    [{ vlan: 10 }, [10], "vlan 10"],
    [{ trunk: [20, 30, 31] }, [20, 30, 31], "trunk 20,30-31"],
    [{ vlan: 25, trunk: [20, 30] }, [20, 25, 30], "vlan 25 and trunk 20,30"],
  ])("%j are all of %j, in words %s", (vlans, all, words) => {
    expect(allVlans(vlans)).toEqual(all);
    expect(formatVlans(vlans)).toBe(words);
  });

  it.each([
    [{}, {}, true],
    [{}, { vlan: 1 }, false],
    [{}, { trunk: [1] }, false],
    [{ vlan: 10 }, { vlan: 10 }, true],
    [{ vlan: 10 }, { vlan: 20 }, false],
    [{ vlan: 10 }, { trunk: [10, 20] }, true],
    [{ vlan: 10, trunk: [20] }, { vlan: 20, trunk: [30] }, true],
    [{ vlan: 10, trunk: [20] }, { vlan: 30, trunk: [40] }, false],
  ])("%j and those of %j meet: %s", (one, other, isSo) => {
    expect(doMeet(one, other)).toBe(isSo);
  });

  it("meet one another in both directions, and always themselves", () => {
    fc.assert(
      fc.property(portVlans, portVlans, (one, other) => {
        expect(doMeet(one, other)).toBe(doMeet(other, one));
        expect(doMeet(one, one)).toBe(true);
      }),
    );
  });
});

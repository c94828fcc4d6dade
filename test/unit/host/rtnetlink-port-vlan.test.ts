import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseAttributeList, parseAttributes } from "../../../src/host/netlink.ts";
import {
  type PortVlan,
  parsePortVlans,
  vlanChangeParts,
  vlanDifference,
  vlanListParts,
} from "../../../src/host/rtnetlink-port-vlan.ts";

/** Bytes, written with a space between fields. */
const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const tagged = (vid: number): PortVlan => ({ vid, isPvid: false, isUntagged: false });
const untagged = (vid: number): PortVlan => ({ vid, isPvid: false, isUntagged: true });
const access = (vid: number): PortVlan => ({ vid, isPvid: true, isUntagged: true });
const from = (first: number, count: number) => Array.from({ length: count }, (_, i) => tagged(first + i));

const vlanLists = fc
  .uniqueArray(fc.record({ vid: fc.integer({ min: 1, max: 4094 }), isUntagged: fc.boolean() }), {
    selector: ({ vid }) => vid,
    maxLength: 300,
  })
  .chain((vlans) =>
    fc.nat(vlans.length).map((pvid) => vlans.map((vlan, i): PortVlan => ({ ...vlan, isPvid: i === pvid }))),
  );

/** What the kernel would make of a change: "vid flags" for each VLAN, the marks of ranges followed. */
function meaning(parts: readonly Buffer[]): string[] {
  const spec = parseAttributes(Buffer.concat(parts.slice(1))).get(26) ?? Buffer.alloc(0);
  const vlans: string[] = [];
  let first: number | undefined;
  for (const { type, value } of parseAttributeList(spec)) {
    if (type !== 2) continue;
    const [flags, vid] = [value.readUInt16LE(0), value.readUInt16LE(2)];
    if ((flags & 8) !== 0) {
      expect(flags & 2, "PVID in a range").toBe(0);
      first = vid;
      continue;
    }
    for (let v = (flags & 16) !== 0 ? (first ?? NaN) : vid; v <= vid; v++) vlans.push(`${v} ${flags & 6}`);
    first = undefined;
  }
  return vlans;
}

const asText = ({ vid, isPvid, isUntagged }: PortVlan) => `${vid} ${(isPvid ? 2 : 0) + (isUntagged ? 4 : 0)}`;

describe("vlanChangeParts", () => {
  it("says an access VLAN in one entry for the bridge of the port", () => {
    const parts = vlanChangeParts(9, [access(10)], false);

    expect(Buffer.concat(parts)).toEqual(hex("07000000 09000000 00000000 00000000 0c00 1a80 0800 0200 0600 0a00"));
  });

  it("speaks to the link itself when that is the bridge", () => {
    const [, spec] = vlanChangeParts(9, [tagged(10)], true);

    expect(spec).toEqual(hex("1400 1a80 0600 0000 0200 0000 0800 0200 0000 0a00"));
  });

  it("says VLANs that follow each other as a range, whatever their order", () => {
    const [, spec] = vlanChangeParts(9, [tagged(12), tagged(10), tagged(11), untagged(13)], false);

    expect(spec).toEqual(hex("1c00 1a80 0800 0200 0800 0a00 0800 0200 1000 0c00 0800 0200 0400 0d00"));
  });

  it("says all of any list, with the VLAN of untagged frames never in a range", () => {
    fc.assert(
      fc.property(vlanLists, (vlans) => {
        const sorted = vlans.toSorted((a, b) => a.vid - b.vid);
        expect(meaning(vlanChangeParts(9, vlans, false))).toEqual(sorted.map(asText));
      }),
    );
  });

  it("fits 4,094 VLANs of which no two neighbours are alike into one message", () => {
    const vlans = from(1, 4094).map((vlan) => ({ ...vlan, isUntagged: vlan.vid % 2 === 0 }));

    expect(meaning(vlanChangeParts(9, vlans, true))).toHaveLength(4094);
  });
});

describe("vlanDifference", () => {
  it.each([
    { wanted: [access(10)], present: [access(1)], added: [access(10)], removed: [access(1)] },
    { wanted: [access(10)], present: [access(10)], added: [], removed: [] },
    { wanted: [access(10)], present: [tagged(10)], added: [access(10)], removed: [] },
    { wanted: [tagged(10)], present: [untagged(10)], added: [tagged(10)], removed: [] },
    { wanted: [], present: [tagged(10)], added: [], removed: [tagged(10)] },
    { wanted: from(1, 5), present: from(3, 5), added: from(1, 2), removed: from(6, 2) },
  ])(
    "of $wanted.length wanted and $present.length present VLANs is what differs",
    ({ wanted, present, ...expected }) => {
      expect(vlanDifference(wanted, present)).toEqual(expected);
    },
  );

  it.each([
    [[tagged(0)], "0 is outside 1..4094"],
    [[tagged(4095)], "4095 is outside 1..4094"],
    [[tagged(1.5)], "1.5 is outside 1..4094"],
    [[tagged(7), untagged(7)], "one is given twice"],
    [[access(7), access(8)], "more than one takes the untagged frames"],
  ])("refuses %j", (wanted, message) => {
    expect(() => vlanDifference(wanted, [])).toThrow(message);
  });
});

describe("parsePortVlans", () => {
  const header = "07000000 09000000";

  it("reads single VLANs and ranges", () => {
    const single = "1400 0180 0800 0100 0600 0100 0500 0300 03000000";
    const range = "1c00 0180 0800 0100 0000 0a00 0600 0200 0c00 0000 0500 0300 03000000";

    expect(parsePortVlans(hex(`${header} ${single} ${range}`))).toEqual([access(1), ...from(10, 3)]);
  });

  it("reads nothing out of a message without entries", () => {
    expect(parsePortVlans(hex(header))).toEqual([]);
  });
});

describe("vlanListParts", () => {
  it("asks for one link of the bridge family", () => {
    expect(Buffer.concat(vlanListParts(9))).toEqual(hex("07000000 09000000"));
  });
});

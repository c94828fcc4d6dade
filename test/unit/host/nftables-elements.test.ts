import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type SetElement,
  areDistinct,
  elementLists,
  parseElements,
  parseGeneration,
  setParts,
} from "../../../src/host/nftables-elements.ts";

/** Bytes, written with a space between fields. */
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

/** A message as the kernel sends it: the set, then a list. */
const messageWith = (list: Buffer) =>
  Buffer.concat([...setParts({ family: "inet", table: "tsnet", set: "at4" }), list]);

describe("setParts", () => {
  it("are the family's number, the table and the set", () => {
    const inet = Buffer.concat(setParts({ family: "inet", table: "tsnet", set: "at4" }));
    const bridge = Buffer.concat(setParts({ family: "bridge", table: "t", set: "s" }));

    expect(inet).toEqual(hex("01000000 0a00 0100 74736e6574000000 0800 0200 61743400"));
    expect(bridge).toEqual(hex("07000000 0600 0100 74000000 0600 0200 73000000"));
  });
});

describe("elementLists", () => {
  it("have a key, the end of an interval and data, each as a value in an attribute", () => {
    const element = { key: hex("0a010000"), keyEnd: hex("0a0100ff"), data: hex("c0000201 0050 0000") };

    expect(elementLists([element])).toEqual([
      hex(`3000 0380  2c00 0180
           0c00 0180 0800 0100 0a010000
           0c00 0a80 0800 0100 0a0100ff
           1000 0280 0c00 0100 c000020100500000`),
    ]);
  });

  it("have a flag instead of a key for the element that stands for all others", () => {
    expect(elementLists([{ key: Buffer.alloc(0) }])).toEqual([hex("1000 0380 0c00 0180 0800 0300 00000002")]);
  });

  it("are none for no elements", () => {
    expect(elementLists([])).toEqual([]);
  });

  it("are as many as needed for each to be shorter than 64 KiB, and full", () => {
    const elements = Array.from({ length: 5000 }, (_, i) => {
      const key = Buffer.alloc(36);
      key.writeUInt32BE(i, 32);
      return { key, keyEnd: key };
    });

    const lists = elementLists(elements);

    const lengths = lists.map(({ length }) => length);
    expect(Math.max(...lengths)).toBeLessThan(65_536);
    expect(Math.min(...lengths.slice(0, -1))).toBeGreaterThan(65_536 - 200);
    expect(lists.flatMap((list) => parseElements(messageWith(list)))).toEqual(elements);
  });
});

describe("parseElements", () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 64 }).map((array) => Buffer.from(array));
  const element = fc.record({ key: bytes, keyEnd: bytes, data: bytes }, { requiredKeys: ["key"] });

  it("reads what elementLists writes", () => {
    fc.assert(
      fc.property(fc.array(element, { minLength: 1, maxLength: 20 }), (elements: readonly SetElement[]) => {
        expect(elementLists(elements).flatMap((list) => parseElements(messageWith(list)))).toEqual(elements);
      }),
    );
  });

  it("gives the element that stands for all others an empty key", () => {
    const [list = Buffer.alloc(0)] = elementLists([{ key: Buffer.alloc(0), data: Buffer.of(1) }]);

    expect(parseElements(messageWith(list))).toEqual([{ key: Buffer.alloc(0), data: Buffer.of(1) }]);
  });

  it("gives none for a message without a list, which an empty set has", () => {
    expect(parseElements(messageWith(Buffer.alloc(0)))).toEqual([]);
  });

  it("gives no data for a verdict", () => {
    const verdict = hex("1000 0280 0c00 0280 0800 0100 00000001");
    const list = Buffer.concat([hex("2400 0380 2000 0180 0c00 0180 0800 0100 0a010000"), verdict]);

    expect(parseElements(messageWith(list))).toEqual([{ key: hex("0a010000") }]);
  });
});

describe("areDistinct", () => {
  const at = (number: number, data = 0) => ({ key: Buffer.of(number), data: Buffer.of(data) });

  it("is whether no key comes twice, whatever the data", () => {
    expect(areDistinct([])).toBe(true);
    expect(areDistinct([at(0x80), at(0x81), at(0xff)])).toBe(true);
    expect(areDistinct([at(1), at(2), at(1, 1)])).toBe(false);
  });
});

describe("parseGeneration", () => {
  it("reads the number, which is in network byte order", () => {
    expect(parseGeneration(hex("00 00 0005  0800 0100 00000105  0800 0200 00000001"))).toBe(0x105);
  });
});

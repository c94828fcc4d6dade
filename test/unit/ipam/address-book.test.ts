import { describe, expect, it } from "vitest";
import { AddressBook } from "../../../src/ipam/address-book.ts";
import { automaticSpan } from "../../../src/usable-addresses.ts";
import { parseSubnet } from "../../../src/cidr.ts";

/** Takes the next address. */
function takeNext(book: AddressBook): bigint | undefined {
  const value = book.chooseFree();
  if (value !== undefined) book.take(value, "endpoint");
  return value;
}

function release(book: AddressBook, value: bigint): void {
  const order = book.nextRestOrder(value);
  if (order === undefined) book.forget(value);
  else book.rest(value, order);
}

describe("automaticSpan", () => {
  it.each([
    ["10.1.2.0/24", undefined, 254n],
    ["10.1.2.0/30", undefined, 2n],
    ["10.1.2.0/31", undefined, 2n],
    ["10.1.2.0/32", undefined, 1n],
    ["10.0.0.0/8", undefined, 2n ** 24n - 2n],
    ["fd00::/126", undefined, 3n],
    ["fd00::2/127", undefined, 2n],
    ["fd00::2/128", undefined, 1n],
    ["fd00::/32", undefined, 2n ** 96n - 1n],
    ["10.1.2.0/24", "10.1.2.0/25", 127n],
    ["10.1.2.0/24", "10.1.2.64/26", 64n],
    ["10.1.2.0/24", "10.1.2.128/25", 127n],
    ["10.1.2.0/24", "10.1.2.9/32", 1n],
  ])("of %s with range %s has %s addresses", (subnet, range, count) => {
    const span = automaticSpan(parseSubnet(subnet), range === undefined ? undefined : parseSubnet(range));

    expect(span.last - span.first + 1n).toBe(count);
  });
});

describe("AddressBook", () => {
  it("gives out addresses that were never used in ascending order, then the one released the longest ago", () => {
    const book = new AddressBook({ first: 1n, last: 4n });
    for (const expected of [1n, 2n, 3n]) expect(takeNext(book)).toBe(expected);
    release(book, 2n);
    release(book, 1n);
    release(book, 3n);

    expect([4n, 2n, 1n, 3n, undefined].map(() => takeNext(book))).toEqual([4n, 2n, 1n, 3n, undefined]);
  });

  it("skips addresses that were asked for by name", () => {
    const book = new AddressBook({ first: 1n, last: 4n });
    book.take(2n, "endpoint");

    expect([1, 2, 3, 4].map(() => takeNext(book))).toEqual([1n, 3n, 4n, undefined]);
  });

  it("counts an address that was asked for by name and released as used before", () => {
    const book = new AddressBook({ first: 1n, last: 3n });
    book.take(1n, "endpoint");
    release(book, 1n);

    expect([1, 2, 3].map(() => takeNext(book))).toEqual([2n, 3n, 1n]);
  });

  it("takes a released address that is asked for by name out of the order", () => {
    const book = new AddressBook({ first: 1n, last: 3n });
    for (const value of [1n, 2n, 3n]) book.take(value, "endpoint");
    for (const value of [1n, 2n, 3n]) release(book, value);
    book.take(2n, "endpoint");

    expect([1, 2, 3].map(() => takeNext(book))).toEqual([1n, 3n, undefined]);
  });

  it("gives back a fresh address as fresh and a rested one to its old place", () => {
    const book = new AddressBook({ first: 1n, last: 4n });
    for (const value of [1n, 2n, 3n]) book.take(value, "endpoint");
    for (const value of [3n, 2n, 1n]) release(book, value);
    const fresh = book.take(4n, "endpoint");
    const rested = book.take(2n, "endpoint");
    book.giveBack(2n, rested);
    book.giveBack(4n, fresh);

    expect([1, 2, 3, 4].map(() => takeNext(book))).toEqual([4n, 3n, 2n, 1n]);
  });

  it("does not give out addresses outside its span, also after their release", () => {
    const book = new AddressBook({ first: 5n, last: 5n });
    book.take(1n, "gateway");
    book.take(9n, "endpoint");
    release(book, 1n);
    release(book, 9n);

    expect([1, 2].map(() => takeNext(book))).toEqual([5n, undefined]);
    expect([...book.recorded()]).toEqual([5n]);
  });

  it("gives out the oldest of so many resting addresses before a fresh one, to bound what it remembers", () => {
    const book = new AddressBook({ first: 1n, last: 1_000_000n }, 100);
    const distinct = new Set<bigint>();
    for (let n = 0; n < 10_000; n++) {
      const value = takeNext(book) ?? 0n;
      distinct.add(value);
      release(book, value);
    }

    expect(distinct.size).toBe(100);
    expect([...book.recorded()]).toHaveLength(100);
  });

  it("remembers a bounded number of addresses that were asked for by name and released", () => {
    const book = new AddressBook({ first: 1n, last: 1_000_000n }, 100);
    for (let value = 1_000n; value < 11_000n; value++) {
      book.take(value, "endpoint");
      release(book, value);
    }

    expect([...book.recorded()]).toHaveLength(100);
  });
});

import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as cidr from "../../src/cidr.ts";

const { parseAddress, parseSubnet, formatAddress, formatSubnet } = cidr;

const addressV4 = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ({ family: 4, value }) as const);
const addressV6 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => ({ family: 6, value }) as const);
const subnetV4 = fc
  .tuple(addressV4, fc.integer({ min: 0, max: 32 }))
  .map(([address, prefixLength]) => cidr.subnetOf(address, prefixLength));
const subnetV6 = fc
  .tuple(addressV6, fc.integer({ min: 0, max: 128 }))
  .map(([address, prefixLength]) => cidr.subnetOf(address, prefixLength));

describe("parseAddress", () => {
  it.each([
    ["0.0.0.0", 4, 0n],
    ["10.1.2.3", 4, 0x0a010203n],
    ["255.255.255.255", 4, 0xffffffffn],
    ["::", 6, 0n],
    ["::1", 6, 1n],
    ["fd00::1", 6, (0xfd00n << 112n) | 1n],
    ["FD00::A", 6, (0xfd00n << 112n) | 10n],
    ["1:2:3:4:5:6:7:8", 6, 0x00010002000300040005000600070008n],
    ["::ffff:1.2.3.4", 6, 0xffff01020304n],
  ] as const)("reads %s", (text, family, value) => {
    expect(parseAddress(text)).toEqual({ family, value });
  });

  it.each([
    "",
    " ",
    "10.1.2",
    "10.1.2.3.4",
    "10.1.2.256",
    "010.1.2.3",
    "10.1.2.3 ",
    " 10.1.2.3",
    "10.1.2.3/24",
    "10.1.2.-3",
    "0x0a010203",
    "167838211",
    "fd00::1%eth0",
    "[fd00::1]",
    "fd00:::1",
    "fd00::1::2",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "12345::",
    "::256.1.1.1",
    "localhost",
    "10.1.2.3\n",
    "１０.1.2.3",
  ])("refuses %j and quotes it", (text) => {
    expect(() => parseAddress(text)).toThrow(
      expect.objectContaining({ code: "invalid", message: `${JSON.stringify(text)} is no IP address` }),
    );
  });

  it("shortens what it quotes", () => {
    const message = `"${"9".repeat(64)}..." is no IP address`;

    expect(() => parseAddress("9".repeat(100_000))).toThrow(message);
  });
});

describe("formatAddress", () => {
  it.each([
    ["0.0.0.0", "0.0.0.0"],
    ["10.1.2.3", "10.1.2.3"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["fd00:0:0:0:0:0:0:0", "fd00::"],
    ["FD00:0:0:0:0:0:0:ABCD", "fd00::abcd"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1:0:0:2:0:0:3:4", "1::2:0:0:3:4"],
    ["0:0:1:2:3:4:5:6", "::1:2:3:4:5:6"],
    ["1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"],
  ])("writes %s as %s (RFC 5952)", (text, expected) => {
    expect(formatAddress(parseAddress(text))).toBe(expected);
  });

  it("writes what parseAddress reads back, for any address", () => {
    fc.assert(
      fc.property(fc.oneof(addressV4, addressV6), (address) => {
        expect(parseAddress(formatAddress(address))).toEqual(address);
      }),
    );
  });
});

describe("parseSubnet", () => {
  it.each([
    ["10.1.2.0/24", "10.1.2.0/24", 256n],
    ["0.0.0.0/0", "0.0.0.0/0", 2n ** 32n],
    ["10.1.2.3/32", "10.1.2.3/32", 1n],
    ["fd00:0::/64", "fd00::/64", 2n ** 64n],
    ["::/0", "::/0", 2n ** 128n],
    ["fd00::1/128", "fd00::1/128", 1n],
  ])("reads %s", (text, formatted, size) => {
    const subnet = parseSubnet(text);

    expect(formatSubnet(subnet)).toBe(formatted);
    expect(cidr.sizeOf(subnet)).toBe(size);
    expect(cidr.lastOf(subnet)).toBe(subnet.first + size - 1n);
  });

  it.each([
    ["10.1.2.3/24", "10.1.2.0/24"],
    ["10.1.2.129/25", "10.1.2.128/25"],
    ["fd00::1/64", "fd00::/64"],
  ])("refuses %s and says that %s was probably meant", (text, meant) => {
    expect(() => parseSubnet(text)).toThrow(`subnet ${text} has host bits set; did you mean ${meant}`);
  });

  it.each([
    ["10.1.2.0", '"10.1.2.0" is no IP address with a prefix length'],
    ["10.1.2.0/", '"10.1.2.0/" is no IP address with a prefix length'],
    ["/24", '"/24" is no IP address with a prefix length'],
    ["10.1.2.0/24/24", '"10.1.2.0/24/24" is no IP address with a prefix length'],
    ["10.1.2.0/-1", '"10.1.2.0/-1" is no IP address with a prefix length'],
    ["10.1.2.0/2x", '"10.1.2.0/2x" is no IP address with a prefix length'],
    ["10.1.2.0/255.255.255.0", '"10.1.2.0/255.255.255.0" is no IP address with a prefix length'],
    ["10.1.2.0/33", "prefix length of 10.1.2.0/33 is outside 0..32"],
    ["fd00::/129", "prefix length of fd00::/129 is outside 0..128"],
    ["10.1.2/24", '"10.1.2" is no IP address'],
    ["", '"" is no IP address with a prefix length'],
  ])("refuses %j", (text, message) => {
    expect(() => parseSubnet(text)).toThrow(expect.objectContaining({ code: "invalid", message }));
  });
});

describe("contains and overlaps", () => {
  it.each([
    ["10.1.2.0/24", "10.1.2.0", true],
    ["10.1.2.0/24", "10.1.2.255", true],
    ["10.1.2.0/24", "10.1.3.0", false],
    ["10.1.2.0/24", "10.1.1.255", false],
    ["::/0", "10.1.2.3", false],
    ["0.0.0.0/0", "::a01:203", false],
  ])("%s contains %s: %s", (subnet, address, expected) => {
    expect(cidr.contains(parseSubnet(subnet), parseAddress(address))).toBe(expected);
  });

  it.each([
    ["10.1.2.0/24", "10.1.2.0/24", true],
    ["10.1.0.0/16", "10.1.2.0/24", true],
    ["10.1.2.0/25", "10.1.2.128/25", false],
    ["10.1.2.0/24", "10.1.3.0/24", false],
    ["10.1.2.0/24", "::/0", false],
    ["fd00::/48", "fd00:0:0:ffff::/64", true],
  ])("%s overlaps %s: %s, either way round", (a, b, expected) => {
    expect(cidr.overlaps(parseSubnet(a), parseSubnet(b))).toBe(expected);
    expect(cidr.overlaps(parseSubnet(b), parseSubnet(a))).toBe(expected);
  });

  it("holds for any two subnets of a family: they overlap exactly if one contains the other's first address", () => {
    const pair = fc.oneof(fc.tuple(subnetV4, subnetV4), fc.tuple(subnetV6, subnetV6));
    fc.assert(
      fc.property(pair, ([a, b]) => {
        const [firstA, firstB] = [a, b].map(({ family, first }) => ({ family, value: first }));
        const nested = [firstB && cidr.contains(a, firstB), firstA && cidr.contains(b, firstA)].includes(true);

        expect(cidr.overlaps(a, b)).toBe(nested);
      }),
    );
  });

  it("puts every address into its subnet of any prefix length", () => {
    fc.assert(
      fc.property(addressV6, fc.integer({ min: 0, max: 128 }), (address, prefixLength) => {
        expect(cidr.contains(cidr.subnetOf(address, prefixLength), address)).toBe(true);
      }),
    );
  });
});

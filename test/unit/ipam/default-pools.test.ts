import { describe, expect, it } from "vitest";
import { formatSubnet, parseSubnet } from "../../../src/cidr.ts";
import * as pools from "../../../src/ipam/default-pools.ts";

function only(text: string): pools.DefaultPool {
  const [pool] = pools.parseDefaultPools(text);
  if (pool === undefined) throw new Error("no pool");
  return pool;
}

function freeIn(text: string, occupied: readonly string[]): string | undefined {
  const free = pools.findFreeSubnet(only(text), occupied.map(parseSubnet));
  return free && formatSubnet(free);
}

describe("parseDefaultPools", () => {
  it("reads the default of TSNET_POOLS", () => {
    const parsed = pools.parseDefaultPools("10.210.0.0/16:24,fd00:210::/48:64");

    expect(parsed).toEqual([
      { base: parseSubnet("10.210.0.0/16"), prefixLength: 24 },
      { base: parseSubnet("fd00:210::/48"), prefixLength: 64 },
    ]);
    expect(parsed.map(pools.formatDefaultPool)).toEqual(["10.210.0.0/16:24", "fd00:210::/48:64"]);
  });

  it.each(["", "  "])("reads %j as an empty list", (text) => {
    expect(pools.parseDefaultPools(text)).toEqual([]);
  });

  it("takes blanks around items, and a base that is one pool as a whole", () => {
    expect(pools.parseDefaultPools(" 10.1.0.0/24:24 , 10.2.0.0/29:30 ")).toHaveLength(2);
  });

  it.each([
    ["10.210.0.0/16", '"10.210.0.0/16" is not BASE:PREFIXLENGTH, such as 10.210.0.0/16:24'],
    ["10.210.0.0:24", '"10.210.0.0:24" is not BASE:PREFIXLENGTH, such as 10.210.0.0/16:24'],
    ["fd00:210::/48", '"fd00:210::/48" is not BASE:PREFIXLENGTH, such as 10.210.0.0/16:24'],
    ["10.1.0.0/16:24,", '"" is not BASE:PREFIXLENGTH, such as 10.210.0.0/16:24'],
    ["10.210.0.1/16:24", "subnet 10.210.0.1/16 has host bits set; did you mean 10.210.0.0/16"],
    ["10.210.0.0/16:15", "10.210.0.0/16:15: prefix length 15 is not permitted (16..30)"],
    ["10.210.0.0/16:31", "10.210.0.0/16:31: prefix length 31 is not permitted (16..30)"],
    ["10.210.0.0/31:31", "10.210.0.0/31:31: prefix length 31 is not permitted (none, the base is too small)"],
    ["fd00::/48:127", "fd00::/48:127: prefix length 127 is not permitted (48..126)"],
    ["224.0.0.0/8:24", "224.0.0.0/8:24: 224.0.0.0/8 overlaps 224.0.0.0/4 (multicast)"],
    ["10.0.0.0/8:24,10.210.0.0/16:24", "10.210.0.0/16:24 overlaps 10.0.0.0/8:24"],
  ])("refuses %s", (text, message) => {
    expect(() => pools.parseDefaultPools(text)).toThrow(expect.objectContaining({ code: "invalid", message }));
  });

  it("names every bad item", () => {
    expect(() => pools.parseDefaultPools("nonsense,10.0.0.0/8:24,10.0.0.0/33:24,10.1.0.0/16:8")).toThrow(
      /"nonsense" is not.*; prefix length of 10\.0\.0\.0\/33 .*; 10\.1\.0\.0\/16:8: prefix length 8 /,
    );
  });
});

describe("findFreeSubnet", () => {
  it.each([
    ["the first when nothing is in use", "10.0.0.0/16:24", [], "10.0.0.0/24"],
    ["the lowest gap", "10.0.0.0/16:24", ["10.0.2.0/24", "10.0.0.0/24"], "10.0.1.0/24"],
    ["the one behind a smaller subnet in use", "10.0.0.0/16:24", ["10.0.0.128/30"], "10.0.1.0/24"],
    ["the one behind a larger subnet in use", "10.0.0.0/16:24", ["10.0.0.0/20"], "10.0.16.0/24"],
    ["the one behind nested subnets", "10.0.0.0/16:24", ["10.0.0.0/22", "10.0.1.0/24"], "10.0.4.0/24"],
    ["the last", "10.0.0.0/22:24", ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"], "10.0.3.0/24"],
    ["none in a full base", "10.0.0.0/23:24", ["10.0.0.0/24", "10.0.1.5/32"], undefined],
    ["none under a route to all of it", "10.0.0.0/16:24", ["10.0.0.0/8"], undefined],
    ["the first beside subnets elsewhere", "10.0.0.0/16:24", ["9.0.0.0/8", "10.1.0.0/16", "::/0"], "10.0.0.0/24"],
    ["of IPv6", "fd00::/32:64", ["fd00::/64", "fd00:0:0:1::/64"], "fd00:0:0:2::/64"],
  ] as const)("finds %s", (_what, text, occupied, expected) => {
    expect(freeIn(text, occupied)).toBe(expected);
  });

  it("looks at the subnets in use only: 1,000 of four thousand million /64 take no time", () => {
    const occupied = Array.from({ length: 1000 }, (_, n) => `fd00:0:0:${n.toString(16)}::/64`);

    expect(freeIn("fd00::/32:64", occupied)).toBe("fd00:0:0:3e8::/64");
  });
});

describe("countOccupied", () => {
  it.each([
    ["10.0.0.0/22:24", [], 0n],
    ["10.0.0.0/22:24", ["10.0.0.0/24"], 1n],
    ["10.0.0.0/22:24", ["10.0.0.4/32", "10.0.0.8/32"], 1n],
    ["10.0.0.0/22:24", ["10.0.1.0/24", "10.0.0.0/23", "10.0.0.0/24"], 2n],
    ["10.0.0.0/22:24", ["10.0.0.0/8"], 4n],
    ["10.0.0.0/22:24", ["11.0.0.0/8", "fd00::/8"], 0n],
    ["fd00::/32:64", ["fd00::/33"], 2n ** 31n],
  ] as const)("of %s with %j in use is %s", (text, occupied, expected) => {
    expect(pools.countOccupied(only(text), occupied.map(parseSubnet))).toBe(expected);
  });
});

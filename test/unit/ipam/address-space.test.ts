import { describe, expect, it } from "vitest";
import type { TsnetError } from "../../../src/errors.ts";
import { inSegment, ipamWith, makePool, poolRequest } from "../../support/ipam-builder.ts";

describe("RequestPool with a subnet", () => {
  it.each(["10.1.2.0/24", "10.1.0.0/16", "10.1.2.128/25", "10.0.0.0/8", "10.1.2.9/32"])(
    "refuses %s beside 10.1.2.0/24 of the same segment and names both [F73]",
    async (subnet) => {
      const ipam = ipamWith();
      await makePool(ipam, "10.1.2.0/24");

      await expect(makePool(ipam, subnet)).rejects.toMatchObject({
        code: "conflict",
        message: `subnet ${subnet} overlaps pool 10.1.2.0/24 in the default segment`,
      });
    },
  );

  it("gives pools that touch but do not overlap", async () => {
    const ipam = ipamWith();

    for (const subnet of ["10.1.2.0/24", "10.1.3.0/24", "10.1.1.0/24", "fd00::/64"]) await makePool(ipam, subnet);
  });

  it("lets pools of different segments overlap, and refuses within a named one", async () => {
    const ipam = ipamWith();
    await makePool(ipam, "10.1.2.0/24");
    await makePool(ipam, "10.1.2.0/24", inSegment("a"));
    await makePool(ipam, "10.1.2.0/25", inSegment("b"));

    await expect(makePool(ipam, "10.1.2.0/24", inSegment("b"))).rejects.toMatchObject({
      code: "conflict",
      message: 'subnet 10.1.2.0/24 overlaps pool 10.1.2.0/25 in segment "b"',
    });
  });

  it("keeps the two address spaces apart, as a swarm node uses both for one network", async () => {
    const ipam = ipamWith();
    await makePool(ipam, "10.1.2.0/24", { addressSpace: ipam.addressSpaces.global });

    await expect(makePool(ipam, "10.1.2.0/24")).resolves.toMatch("10.1.2.0/24");
  });

  it("does not mind routes of this host: the user has chosen", async () => {
    const ipam = ipamWith({ routes: ["10.0.0.0/8"] });

    await expect(makePool(ipam, "10.1.2.0/24")).resolves.toMatch("10.1.2.0/24");
  });

  it("gives the same subnet only once to two calls at the same time", async () => {
    const ipam = ipamWith();
    const outcomes = await Promise.allSettled([makePool(ipam, "10.1.2.0/24"), makePool(ipam, "10.1.0.0/16")]);

    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });
});

describe("RequestPool without a subnet", () => {
  it("gives the lowest free subnet of the family's default pools", async () => {
    const ipam = ipamWith();

    expect((await ipam.requestPool(poolRequest())).subnet).toBe("10.210.0.0/24");
    expect((await ipam.requestPool(poolRequest(undefined, { isIpv6: true }))).subnet).toBe("fd00:210::/64");
    expect((await ipam.requestPool(poolRequest(undefined, { isIpv6: true }))).subnet).toBe("fd00:210:0:1::/64");
  });

  it("gives a released subnet again", async () => {
    const ipam = ipamWith();
    const { poolId } = await ipam.requestPool(poolRequest());
    await ipam.requestPool(poolRequest());
    await ipam.releasePool(poolId);

    expect((await ipam.requestPool(poolRequest())).subnet).toBe("10.210.0.0/24");
  });

  it("avoids explicit pools of every segment and routes of this host, but not its default route [F73]", async () => {
    const ipam = ipamWith({ routes: ["0.0.0.0/0", "10.210.2.128/25", "192.168.0.0/16"] });
    await makePool(ipam, "10.210.0.0/23", inSegment("lab"));

    expect((await ipam.requestPool(poolRequest())).subnet).toBe("10.210.3.0/24");
  });

  it("goes on to the next default pool when one is full", async () => {
    const ipam = ipamWith({ pools: "10.1.0.0/24:25,10.2.0.0/24:24" });
    const subnets = [];
    for (let n = 0; n < 3; n++) subnets.push((await ipam.requestPool(poolRequest())).subnet);

    expect(subnets).toEqual(["10.1.0.0/25", "10.1.0.128/25", "10.2.0.0/24"]);
  });

  it("gives each repeat a different pool, and in the end an error that says how many of how many are in use [F74]", async () => {
    const ipam = ipamWith({ pools: "10.1.0.0/16:20,10.2.0.0/24:26,fd00::/48:64", routes: ["10.2.0.192/27"] });
    const subnets = new Set<string>();
    let failure: TsnetError | undefined;
    while (failure === undefined && subnets.size < 100) {
      try {
        subnets.add((await ipam.requestPool(poolRequest())).subnet);
      } catch (thrown) {
        failure = thrown as TsnetError; // the interface promises it
      }
    }

    expect(subnets.size).toBe(16 + 3);
    expect(failure).toMatchObject({
      code: "exhausted",
      message:
        "no IPv4 pool left to choose, give --subnet: 10.1.0.0/16:20: 16 of 16 in use; " +
        "10.2.0.0/24:26: 3 of 4 in use, 1 overlap routes of this host (setting TSNET_POOLS)",
    });
  });

  it("gives 500 calls at the same time different pools", async () => {
    const ipam = ipamWith({ pools: "10.0.0.0/8:24" });
    const pools = await Promise.all(Array.from({ length: 500 }, () => ipam.requestPool(poolRequest())));

    expect(new Set(pools.map(({ subnet }) => subnet)).size).toBe(500);
    expect(new Set(pools.map(({ poolId }) => poolId)).size).toBe(500);
  });

  it("says so when TSNET_POOLS has no pool of the family", async () => {
    const ipam = ipamWith({ pools: "10.1.0.0/24:25" });

    await expect(ipam.requestPool(poolRequest(undefined, { isIpv6: true }))).rejects.toMatchObject({
      code: "exhausted",
      message: "no IPv6 pool left to choose, give --subnet: TSNET_POOLS has none",
    });
  });
});

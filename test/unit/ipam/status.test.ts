import { describe, expect, it } from "vitest";
import { AddressSpace } from "../../../src/ipam/address-space.ts";
import { Pool } from "../../../src/ipam/pool.ts";
import { createPoolId } from "../../../src/ipam/pool-id.ts";
import { statusOfPools } from "../../../src/ipam/status.ts";
import { parseSubnet } from "../../../src/cidr.ts";
import { inSegment, ipamWith, makePool, requestAddress, requestGateway } from "../../support/ipam-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

describe("the status of pools", () => {
  it("has each with its segment and range, and who has which address, lowest first", async () => {
    const ipam = ipamWith();
    const plain = await makePool(ipam, "10.1.2.0/24");
    const ranged = await makePool(ipam, "10.1.2.0/24", { ...inSegment("a"), range: "10.1.2.128/29" });
    await requestAddress(ipam, plain, "10.1.2.200");
    await requestAddress(ipam, plain, "10.1.2.3");
    await requestGateway(ipam, plain, "10.1.2.1");
    await requestAddress(ipam, ranged);

    expect(ipam.describe()).toEqual({
      isComplete: true,
      pools: [
        {
          id: plain,
          addressSpace: "tsnet",
          segment: "",
          subnet: "10.1.2.0/24",
          used: 3,
          free: "251",
          addresses: [
            { address: "10.1.2.1", use: "gateway" },
            { address: "10.1.2.3", use: "endpoint" },
            { address: "10.1.2.200", use: "endpoint" },
          ],
        },
        expect.objectContaining({ segment: "a", range: "10.1.2.128/29", used: 1, free: "7" }),
      ],
    });
  });

  it("counts as free only what can be chosen: not an address that was asked for by name outside the range", async () => {
    const ipam = ipamWith();
    const pool = await makePool(ipam, "10.1.2.0/24", { range: "10.1.2.128/29" });
    await requestAddress(ipam, pool, "10.1.2.5");

    expect(ipam.describe().pools).toMatchObject([{ used: 1, free: "8" }]);
  });

  it("has an address no more that was released", async () => {
    const ipam = ipamWith();
    const pool = await makePool(ipam, "10.1.2.0/24");
    await requestAddress(ipam, pool, "10.1.2.5");
    await ipam.releaseAddress(pool, "10.1.2.5");

    expect(ipam.describe().pools).toMatchObject([{ used: 0, free: "254", addresses: [] }]);
  });

  it("says all digits of what an IPv6 subnet has", async () => {
    const ipam = ipamWith();
    await makePool(ipam, "fd00:1::/64");

    expect(ipam.describe().pools).toMatchObject([{ free: "18446744073709551615" }]);
  });

  it.each([
    [5, 2, [1, 2], true],
    [4, 2, [1, 1], false],
    [2, 1, [1], false],
    [1, 1, [0], false],
  ])("of at most %i entries has %i pools, with %j of their addresses", async (limit, pools, addresses, isComplete) => {
    const space = new AddressSpace("tsnet");
    for (const [at, subnet] of ["10.1.1.0/24", "10.1.2.0/24"].map(parseSubnet).entries()) {
      const wish = { addressSpace: "tsnet", segment: "", subnet, range: undefined };
      const pool = new Pool({ id: createPoolId(subnet), ...wish }, new MemoryStore());
      for (let count = 0; count <= at; count++) await pool.request(undefined, "endpoint");
      space.add(pool);
    }

    const status = statusOfPools([space], limit);

    expect(status.isComplete).toBe(isComplete);
    expect(status.pools).toHaveLength(pools);
    expect(status.pools.map((pool) => pool.addresses.length)).toEqual(addresses);
  });
});

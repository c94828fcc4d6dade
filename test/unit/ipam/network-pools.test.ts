// Addresses that tsnet itself takes for a network out of its pool, beside those that the engine asks for.
import { describe, expect, it } from "vitest";
import { inSegment, ipamWith, makePool, requestAddress } from "../../support/ipam-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const SUBNET = "10.1.2.0/24";

describe("an address for a network", () => {
  it("is the next of the pool, which the engine then does not get", async () => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, SUBNET);

    expect(await ipam.ofNetworks.requestAddress("tsnet", SUBNET, undefined)).toBe("10.1.2.1/24");

    expect(await requestAddress(ipam, poolId)).toBe("10.1.2.2/24");
  });

  it("is the one that is asked for, and is refused if somebody has it", async () => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, SUBNET);
    await requestAddress(ipam, poolId, "10.1.2.7");

    expect(await ipam.ofNetworks.requestAddress("tsnet", SUBNET, "10.1.2.8")).toBe("10.1.2.8/24");
    const taken = ipam.ofNetworks.requestAddress("tsnet", SUBNET, "10.1.2.7");

    await expect(taken).rejects.toThrow("address 10.1.2.7 is already in use in pool 10.1.2.0/24");
  });

  it("is in use after a restart too, and free once it is released", async () => {
    const records = new MemoryStore();
    const before = ipamWith({ records });
    const poolId = await makePool(before, SUBNET);
    await before.ofNetworks.requestAddress("tsnet", SUBNET, "10.1.2.8");
    const ipam = ipamWith({ records: records.reopened() });

    await expect(requestAddress(ipam, poolId, "10.1.2.8")).rejects.toThrow("already in use");
    await ipam.ofNetworks.releaseAddress("tsnet", SUBNET, "10.1.2.8");

    expect(await requestAddress(ipam, poolId, "10.1.2.8")).toBe("10.1.2.8/24");
  });

  it("is refused where pools of two segments have the subnet: whose it is cannot be told", async () => {
    const ipam = ipamWith();
    await makePool(ipam, SUBNET);
    await makePool(ipam, SUBNET, inSegment("b"));

    const request = ipam.ofNetworks.requestAddress("tsnet", SUBNET, undefined);

    await expect(request).rejects.toMatchObject({ code: "unsupported" });
  });
});

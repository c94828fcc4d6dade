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

  it("is refused where pools of two segments have the subnet and none is named", async () => {
    const ipam = ipamWith();
    await makePool(ipam, SUBNET);
    await makePool(ipam, SUBNET, inSegment("b"));

    const request = ipam.ofNetworks.requestAddress("tsnet", SUBNET);

    await expect(request).rejects.toMatchObject({ code: "unsupported" });
  });

  it("is of the pool that is named, and goes back to that one", async () => {
    const ipam = ipamWith();
    const red = await makePool(ipam, SUBNET, inSegment("red"));
    const blue = await makePool(ipam, SUBNET, inSegment("blue"));

    await ipam.ofNetworks.requestAddress("tsnet", SUBNET, "10.1.2.8", blue);

    expect(await requestAddress(ipam, red, "10.1.2.8")).toBe("10.1.2.8/24");
    await ipam.ofNetworks.releaseAddress("tsnet", SUBNET, "10.1.2.8", blue);
    expect(await requestAddress(ipam, blue, "10.1.2.8")).toBe("10.1.2.8/24");
    await expect(requestAddress(ipam, red, "10.1.2.8")).rejects.toThrow("already in use");
  });
});

describe("the pool of a network that is about to be made", () => {
  it("is the only one with its subnet, also when it is asked for anew", async () => {
    const ipam = ipamWith();
    const id = await makePool(ipam, SUBNET);
    ipam.ofNetworks.claim("tsnet", SUBNET);

    expect(ipam.ofNetworks.idForNew("tsnet", SUBNET)).toBe(id);
    expect(ipam.ofNetworks.idForNew("other", SUBNET)).toBeUndefined();
  });

  it("is the one that is of no network yet", async () => {
    const ipam = ipamWith();
    await makePool(ipam, SUBNET, inSegment("red"));
    ipam.ofNetworks.claim("tsnet", SUBNET);
    const blue = await makePool(ipam, SUBNET, inSegment("blue"));

    expect(ipam.ofNetworks.idForNew("tsnet", SUBNET)).toBe(blue);
  });

  it("is not known while two of no network have the subnet", async () => {
    const ipam = ipamWith();
    await makePool(ipam, SUBNET, inSegment("red"));
    await makePool(ipam, SUBNET, inSegment("blue"));

    expect(ipam.ofNetworks.idForNew("tsnet", SUBNET)).toBeUndefined();
  });
});

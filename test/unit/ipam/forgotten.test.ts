// Pools and addresses after a restart in which a word between the engine and tsnet was lost.
import { describe, expect, it, vi } from "vitest";
import {
  type IpamSetup,
  inSegment,
  ipamWith,
  makePool,
  poolRequest,
  requestAddress,
  requestGateway,
} from "../../support/ipam-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const SUBNET = "10.1.2.0/24";

/** An Ipam that had this pool in its former life. */
async function restartedWith(
  task: (ipam: ReturnType<typeof ipamWith>, poolId: string) => Promise<unknown> = async () => {},
  setup: IpamSetup = {},
) {
  const records = new MemoryStore();
  const before = ipamWith({ records });
  const poolId = await makePool(before, SUBNET);
  await task(before, poolId);
  return { ipam: ipamWith({ ...setup, records: records.reopened() }), poolId };
}

describe("a pool whose answer the engine may not have got [F08]", () => {
  it("is given again to the same request", async () => {
    const { ipam, poolId } = await restartedWith();

    expect(await makePool(ipam, SUBNET)).toBe(poolId);
  });

  it("is given again once", async () => {
    const { ipam } = await restartedWith();
    await makePool(ipam, SUBNET);

    await expect(makePool(ipam, SUBNET)).rejects.toThrow("overlaps pool 10.1.2.0/24");
  });

  it.each([
    ["a wider subnet", poolRequest("10.1.0.0/16")],
    ["another range", poolRequest(SUBNET, { range: "10.1.2.128/25" })],
  ])("makes way for %s", async (_, request) => {
    const { ipam, poolId } = await restartedWith();

    const { poolId: next } = await ipam.requestPool(request);

    expect(next).not.toBe(poolId);
    await expect(requestAddress(ipam, poolId)).rejects.toThrow("is not in the records");
  });

  it("does not keep its subnet from being chosen", async () => {
    const records = new MemoryStore();
    const { poolId } = await ipamWith({ records }).requestPool(poolRequest());

    const again = await ipamWith({ records: records.reopened() }).requestPool(poolRequest());

    expect(again).toEqual({ poolId, subnet: "10.210.0.0/24" });
  });

  it("stays beside one of another segment", async () => {
    const { ipam, poolId } = await restartedWith();
    const other = await makePool(ipam, "10.9.0.0/16", inSegment("blue"));

    expect(other).not.toBe(poolId);
    expect(await requestAddress(ipam, poolId)).toBe("10.1.2.1/24");
  });

  it.each([
    ["an address is in use", requestAddress],
    ["its gateway is in use", requestGateway],
  ])("is no such pool when %s", async (_, request) => {
    const { ipam } = await restartedWith((before, poolId) => request(before, poolId));

    await expect(makePool(ipam, SUBNET)).rejects.toThrow("overlaps pool 10.1.2.0/24");
  });

  it("is no such pool when a network has it", async () => {
    const { ipam } = await restartedWith(undefined, { networks: [SUBNET] });

    await expect(makePool(ipam, SUBNET)).rejects.toThrow("overlaps pool 10.1.2.0/24");
  });

  it("is no such pool once the engine has spoken of it", async () => {
    const { ipam, poolId } = await restartedWith();
    await ipam.releaseAddress(poolId, "10.1.2.7");

    await expect(makePool(ipam, SUBNET)).rejects.toThrow("overlaps pool 10.1.2.0/24");
  });
});

describe("addresses of the former life", () => {
  it("are those of endpoints, until they are released", async () => {
    const { ipam, poolId } = await restartedWith(async (before, id) => {
      await requestGateway(before, id, "10.1.2.1");
      await requestAddress(before, id, "10.1.2.7");
      await requestAddress(before, id, "10.1.2.8");
    });
    await requestAddress(ipam, poolId, "10.1.2.9");
    expect(ipam.ofNetworks.listOfFormerLife("tsnet", SUBNET)).toEqual(["10.1.2.7", "10.1.2.8"]);

    await ipam.releaseAddress(poolId, "10.1.2.7");
    await requestAddress(ipam, poolId, "10.1.2.7");

    expect(ipam.ofNetworks.listOfFormerLife("tsnet", SUBNET)).toEqual(["10.1.2.8"]);
  });

  it("of a subnet that two segments have are not told", async () => {
    const { ipam } = await restartedWith((before, id) => requestAddress(before, id));
    await makePool(ipam, SUBNET, inSegment("blue"));

    expect(ipam.ofNetworks.listOfFormerLife("tsnet", SUBNET)).toEqual([]);
  });
});

describe("pools by their subnet", () => {
  it("are counted, those of all segments", async () => {
    const { ipam } = await restartedWith();
    await makePool(ipam, SUBNET, inSegment("blue"));
    ipam.ofNetworks.claim("tsnet", SUBNET);

    expect(ipam.ofNetworks.count("tsnet", SUBNET)).toBe(2);
    expect(ipam.ofNetworks.count("tsnet", "10.1.2.0/25")).toBe(0);
    expect(ipam.ofNetworks.count("LocalDefault", SUBNET)).toBeUndefined();
  });

  it("say for how long an endpoint's address has been given out, and nothing of others", async () => {
    const { ipam, poolId } = await restartedWith();
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      await requestAddress(ipam, poolId, "10.1.2.9");
      vi.advanceTimersByTime(5000);

      expect(ipam.ofNetworks.heldForMs("tsnet", SUBNET, "10.1.2.9")).toBe(5000);
      expect(ipam.ofNetworks.heldForMs("tsnet", SUBNET, "10.1.2.10")).toBeUndefined();
      await ipam.releaseAddress(poolId, "10.1.2.9");
      expect(ipam.ofNetworks.heldForMs("tsnet", SUBNET, "10.1.2.9")).toBeUndefined();
    } finally {
      vi.useRealTimers();
    }
  });

  it("are removed with their addresses, unless two have it", async () => {
    const { ipam } = await restartedWith((before, id) => requestAddress(before, id));
    await makePool(ipam, SUBNET, inSegment("blue"));
    ipam.ofNetworks.claim("tsnet", SUBNET);
    await ipam.ofNetworks.release("tsnet", SUBNET);
    expect(ipam.ofNetworks.count("tsnet", SUBNET)).toBe(2);

    const { ipam: other } = await restartedWith((before, id) => requestAddress(before, id));
    await other.ofNetworks.release("tsnet", SUBNET);

    expect(other.ofNetworks.count("tsnet", SUBNET)).toBe(0);
  });
});

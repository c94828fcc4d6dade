import { describe, expect, it } from "vitest";
import type { TsnetError } from "../../../src/errors.ts";
import { ipamWith, makePool, requestAddress, requestGateway } from "../../support/ipam-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

describe("RequestAddress for an endpoint", () => {
  it("gives addresses in ascending order with the pool's prefix length", async () => {
    const ipam = ipamWith();
    const v4 = await makePool(ipam, "10.1.2.0/24");
    const v6 = await makePool(ipam, "fd00::/64");

    expect([await requestAddress(ipam, v4), await requestAddress(ipam, v4)]).toEqual(["10.1.2.1/24", "10.1.2.2/24"]);
    expect([await requestAddress(ipam, v6), await requestAddress(ipam, v6)]).toEqual(["fd00::1/64", "fd00::2/64"]);
  });

  it("gives addresses of the range only, and any other by name", async () => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, "10.1.2.0/24", { range: "10.1.2.64/31" });

    expect(await requestAddress(ipam, poolId)).toBe("10.1.2.64/24");
    expect(await requestAddress(ipam, poolId, "10.1.2.7")).toBe("10.1.2.7/24");
    expect(await requestAddress(ipam, poolId)).toBe("10.1.2.65/24");
    await expect(requestAddress(ipam, poolId)).rejects.toMatchObject({
      code: "exhausted",
      message: "no address left in range 10.1.2.64/31 of 10.1.2.0/24 (2 of 2 in use)",
    });
  });

  it.each([
    ["10.1.2.0/24", "10.1.3.1", "address 10.1.3.1 is outside of subnet 10.1.2.0/24"],
    ["10.1.2.0/24", "fd00::1", "address fd00::1 is IPv6, but pool 10.1.2.0/24 is not"],
    ["fd00::/64", "10.1.2.3", "address 10.1.2.3 is IPv4, but pool fd00::/64 is not"],
    ["10.1.2.0/24", "10.1.2.0", "address 10.1.2.0 is the network address of subnet 10.1.2.0/24"],
    ["10.1.2.0/24", "10.1.2.255", "address 10.1.2.255 is the broadcast address of subnet 10.1.2.0/24"],
    ["10.1.2.0/30", "10.1.2.3", "address 10.1.2.3 is the broadcast address of subnet 10.1.2.0/30"],
    ["10.1.2.0/24", "10.1.2.300", '"10.1.2.300" is no IP address'],
    ["10.1.2.0/24", "10.1.2.3/24", '"10.1.2.3/24" is no IP address'],
  ])("in %s refuses %s with the reason", async (subnet, address, message) => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, subnet);

    await expect(requestAddress(ipam, poolId, address)).rejects.toMatchObject({ code: "invalid", message });
    expect(records.list("address").size).toBe(0);
  });

  it.each([
    ["10.1.2.2/31", "10.1.2.2"],
    ["10.1.2.2/32", "10.1.2.2"],
    ["fd00::/64", "fd00::"],
    ["fd00::2/127", "fd00::2"],
    ["fd00::/64", "fd00::ffff:ffff:ffff:ffff"],
  ])("in %s gives %s by name", async (subnet, address) => {
    const ipam = ipamWith();

    await expect(requestAddress(ipam, await makePool(ipam, subnet), address)).resolves.toContain(`${address}/`);
  });

  it("refuses an address in use, and says when it is the gateway", async () => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, "10.1.2.0/24");
    await requestGateway(ipam, poolId);
    await requestAddress(ipam, poolId, "10.1.2.9");

    await expect(requestAddress(ipam, poolId, "10.1.2.9")).rejects.toMatchObject({
      code: "conflict",
      message: "address 10.1.2.9 is already in use in pool 10.1.2.0/24",
    });
    await expect(requestAddress(ipam, poolId, "10.1.2.1")).rejects.toMatchObject({
      code: "conflict",
      message: "address 10.1.2.1 is the gateway of pool 10.1.2.0/24",
    });
  });

  it("knows an address however it is written", async () => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, "fd00::/64");
    await requestAddress(ipam, poolId, "FD00:0::A");

    await expect(requestAddress(ipam, poolId, "fd00::a")).rejects.toMatchObject({ code: "conflict" });
    await ipam.releaseAddress(poolId, "fd00:0:0:0:0:0:0:a");
    await expect(requestAddress(ipam, poolId, "fd00::a")).resolves.toBe("fd00::a/64");
  });
});

describe("RequestAddress for the gateway", () => {
  it.each([
    ["10.1.2.0/24", undefined, "10.1.2.1/24"],
    ["10.1.2.0/24", "10.1.2.128/25", "10.1.2.128/24"],
    ["10.1.2.0/24", "10.1.2.0/25", "10.1.2.1/24"],
    ["10.1.2.2/31", undefined, "10.1.2.2/31"],
    ["fd00::/64", undefined, "fd00::1/64"],
    ["fd00::/64", "fd00::1:0/112", "fd00::1:0/64"],
  ])("in %s with range %s chooses %s", async (subnet, range, expected) => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, subnet, range === undefined ? {} : { range });

    expect(await requestGateway(ipam, poolId)).toBe(expected);
  });

  it("takes an address outside of the range", async () => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, "10.1.2.0/24", { range: "10.1.2.128/25" });

    await expect(requestGateway(ipam, poolId, "10.1.2.254")).resolves.toBe("10.1.2.254/24");
    await expect(requestGateway(ipam, poolId, "10.1.2.1")).resolves.toBe("10.1.2.1/24");
  });

  it("refuses an endpoint's address", async () => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, "10.1.2.0/24");
    await requestAddress(ipam, poolId, "10.1.2.9");

    await expect(requestGateway(ipam, poolId, "10.1.2.9")).rejects.toMatchObject({ code: "conflict" });
  });

  it("gives the same gateway again to a repeated call, also while the first is on its way", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, "10.1.2.0/24");
    const both = await Promise.all([
      requestGateway(ipam, poolId, "10.1.2.9"),
      requestGateway(ipam, poolId, "10.1.2.9"),
    ]);

    expect(both).toEqual(["10.1.2.9/24", "10.1.2.9/24"]);
    await expect(requestGateway(ipamWith({ records }), poolId, "10.1.2.9")).resolves.toBe("10.1.2.9/24");
  });
});

describe("a pool filled to the last address [F75]", () => {
  it.each([
    ["10.1.2.0/24", 254, "10.1.2.1/24", "10.1.2.254/24"],
    ["10.1.2.0/29", 6, "10.1.2.1/29", "10.1.2.6/29"],
    ["10.1.2.0/30", 2, "10.1.2.1/30", "10.1.2.2/30"],
    ["10.1.2.0/31", 2, "10.1.2.0/31", "10.1.2.1/31"],
    ["10.1.2.5/32", 1, "10.1.2.5/32", "10.1.2.5/32"],
    ["fd00::/120", 255, "fd00::1/120", "fd00::ff/120"],
    ["fd00::4/126", 3, "fd00::5/126", "fd00::7/126"],
    ["fd00::4/127", 2, "fd00::4/127", "fd00::5/127"],
    ["fd00::4/128", 1, "fd00::4/128", "fd00::4/128"],
  ])("%s gives %i, from %s to %s, then says how many of how many are in use", async (subnet, count, first, last) => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, subnet);
    const given: string[] = [];
    for (let n = 0; n < count; n++) given.push(await requestAddress(ipam, poolId));

    expect([given[0], given.at(-1), new Set(given).size]).toEqual([first, last, count]);
    await expect(requestAddress(ipam, poolId)).rejects.toMatchObject({
      code: "exhausted",
      message: `no address left in ${subnet} (${count} of ${count} in use)`,
    });
    await ipam.releaseAddress(poolId, last.replace(/\/.*/, ""));
    await expect(requestAddress(ipam, poolId)).resolves.toBe(last);
  });
});

describe("calls at the same time", () => {
  it("get 500 different addresses, and share commits", async () => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, "10.1.0.0/16");
    const given = await Promise.all(Array.from({ length: 500 }, () => requestAddress(ipam, poolId)));

    expect(new Set(given).size).toBe(500);
  });

  it("get one address by name once", async () => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, "10.1.2.0/24");
    const calls = Array.from({ length: 50 }, () => requestAddress(ipam, poolId, "10.1.2.9"));
    const outcomes = await Promise.allSettled(calls);

    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("reach the records together: none waits for another one's commit", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, "10.1.2.0/24");
    const { commitCount } = records;
    const calls = Array.from({ length: 100 }, () => requestAddress(ipam, poolId));
    await new Promise((resolve) => process.nextTick(resolve));

    expect(records.commitCount - commitCount).toBe(100);
    await Promise.all(calls);
  });

  it("get a released address only when its release is durable", async () => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, "10.1.2.0/31");
    await requestAddress(ipam, poolId);
    await requestAddress(ipam, poolId);
    const released = ipam.releaseAddress(poolId, "10.1.2.0");
    const tooEarly = [requestAddress(ipam, poolId), requestAddress(ipam, poolId, "10.1.2.0")];
    const outcomes = await Promise.allSettled(tooEarly);
    await released;

    expect(outcomes).toMatchObject([{ reason: { code: "exhausted" } }, { reason: { code: "conflict" } }]);
    await expect(requestAddress(ipam, poolId)).resolves.toBe("10.1.2.0/31");
  });

  it("release an address that is on its way out, and an address twice, without harm [F77]", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, "10.1.2.0/24");
    const given = requestAddress(ipam, poolId, "10.1.2.9");
    await Promise.all([given, ipam.releaseAddress(poolId, "10.1.2.9"), ipam.releaseAddress(poolId, "10.1.2.9")]);

    expect(records.list("address").get(`${poolId}#10.1.2.9`)).toEqual({ released: 1 });
    await expect(requestAddress(ipam, poolId, "10.1.2.9")).resolves.toBe("10.1.2.9/24");
  });
});

describe("a commit that fails", () => {
  it("gives a fresh address back: the next call gets it, in its order", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, "10.1.2.0/24");
    records.failCommit(1);
    const outcomes = await Promise.allSettled([requestAddress(ipam, poolId), requestAddress(ipam, poolId)]);

    expect(outcomes).toMatchObject([
      { reason: { code: "host", message: "cannot give out address 10.1.2.1 of pool 10.1.2.0/24: disk full" } },
      { value: "10.1.2.2/24" },
    ]);
    expect(await requestAddress(ipam, poolId)).toBe("10.1.2.1/24");
    expect(await requestAddress(ipam, poolId)).toBe("10.1.2.3/24");
  });

  it("gives a rested address back to its place in the order", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, "10.1.2.0/30");
    for (let n = 0; n < 2; n++) await requestAddress(ipam, poolId);
    for (const address of ["10.1.2.2", "10.1.2.1"]) await ipam.releaseAddress(poolId, address);
    records.failCommit(1);

    await expect(requestAddress(ipam, poolId)).rejects.toMatchObject({ code: "host" });
    expect([await requestAddress(ipam, poolId), await requestAddress(ipam, poolId)]).toEqual([
      "10.1.2.2/30",
      "10.1.2.1/30",
    ]);
  });

  it("is the answer to both of two releases at the same time", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, "10.1.2.0/24");
    await requestAddress(ipam, poolId);
    records.failCommit(1);
    const releases = [ipam.releaseAddress(poolId, "10.1.2.1"), ipam.releaseAddress(poolId, "10.1.2.1")];

    expect((await Promise.allSettled(releases)).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  });

  it("leaves an address that could not be released in use", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, "10.1.2.7/32");
    await requestGateway(ipam, poolId);
    records.failCommit(1);

    await expect(ipam.releaseAddress(poolId, "10.1.2.7")).rejects.toMatchObject({
      code: "host",
      message: "cannot release address 10.1.2.7 of pool 10.1.2.7/32: disk full",
    } satisfies Partial<TsnetError>);
    await expect(requestAddress(ipam, poolId, "10.1.2.7")).rejects.toThrow("is the gateway of");
    await ipam.releaseAddress(poolId, "10.1.2.7");
    await expect(requestAddress(ipam, poolId)).resolves.toBe("10.1.2.7/32");
  });
});

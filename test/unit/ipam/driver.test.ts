import { describe, expect, it } from "vitest";
import { Ipam } from "../../../src/ipam/driver.ts";
import {
  NO_NETWORKS,
  ipamWith,
  makePool,
  poolRequest,
  requestAddress,
  requestGateway,
} from "../../support/ipam-builder.ts";
import { inSegment } from "../../support/ipam-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const UNKNOWN = "10.9.9.0/24+00000000";

describe("usage", () => {
  it("has each pool with what is in use of what it gives out", async () => {
    const ipam = ipamWith();
    const plain = await makePool(ipam, "10.1.2.0/24");
    const ranged = await makePool(ipam, "10.1.3.0/24", { range: "10.1.3.64/31" });
    await makePool(ipam, "fd00::/64", { options: new Map([["segment", "red"]]) });
    await requestGateway(ipam, plain);
    await ipam.releaseAddress(plain, (await requestAddress(ipam, plain)).split("/")[0] ?? "");
    await requestGateway(ipam, ranged, "10.1.3.1"); // outside of the range
    await requestAddress(ipam, ranged);
    await requestAddress(ipam, ranged);

    expect(ipam.usage()).toEqual([
      { subnet: "10.1.2.0/24", segment: "", addressSpace: "tsnet", used: 1, size: 254n },
      { subnet: "10.1.3.0/24", segment: "", addressSpace: "tsnet", used: 2, size: 2n },
      { subnet: "fd00::/64", segment: "red", addressSpace: "tsnet", used: 0, size: 2n ** 64n - 1n },
    ]);
    await expect(requestAddress(ipam, ranged)).rejects.toMatchObject({ code: "exhausted" });
  });
});

describe("RequestPool", () => {
  it("answers with the subnet and an id that shows it", async () => {
    const answer = await ipamWith().requestPool(poolRequest("10.1.2.0/24"));

    expect(answer.subnet).toBe("10.1.2.0/24");
    expect(answer.poolId).toMatch(/^10\.1\.2\.0\/24\+[0-9a-f]{8}$/);
  });

  it("refuses an unknown address space and names the known ones", async () => {
    await expect(makePool(ipamWith(), "10.1.2.0/24", { addressSpace: "LocalDefault" })).rejects.toMatchObject({
      code: "invalid",
      message: 'address space "LocalDefault" is none of tsnet, tsnet-global',
    });
  });

  it("changes nothing when it refuses", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    await expect(makePool(ipam, "10.1.2.3/24")).rejects.toThrow();

    expect(records.commitCount).toBe(0);
  });

  it("changes nothing when its record cannot be written", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    records.failCommit(1);

    await expect(makePool(ipam, "10.1.2.0/24")).rejects.toMatchObject({
      code: "host",
      message: "cannot record pool 10.1.2.0/24: disk full",
    });
    await expect(makePool(ipam, "10.1.2.0/24")).resolves.toBeDefined();
  });

  it("fails when the routes of this host cannot be read, and the next call is served", async () => {
    let isBroken = true;
    const subnets = async () => {
      if (isBroken) throw new Error("netlink");
      return [];
    };
    const ipam = new Ipam({
      records: new MemoryStore(),
      defaultPools: [],
      hostRoutes: { subnets },
      ...NO_NETWORKS,
    });
    ipam.load();
    await expect(ipam.requestPool(poolRequest())).rejects.toThrow("netlink");
    isBroken = false;

    await expect(ipam.requestPool(poolRequest())).rejects.toMatchObject({ code: "exhausted" });
  });
});

describe("ReleasePool", () => {
  it("takes the pool and all its addresses out of the records in one commit", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, "10.1.2.0/24");
    for (let n = 0; n < 5; n++) await requestAddress(ipam, poolId);
    await ipam.releaseAddress(poolId, "10.1.2.2");
    const { commitCount } = records;
    await ipam.releasePool(poolId);

    expect(records.commitCount).toBe(commitCount + 1);
    expect([records.list("pool").size, records.list("address").size]).toEqual([0, 0]);
  });

  it("counts a pool that was never given out, and a second release, as success [F77]", async () => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, "10.1.2.0/24");
    await ipam.releasePool(poolId);

    await ipam.releasePool(poolId);
    await ipam.releasePool(UNKNOWN);
    await ipam.releasePool("");
  });

  it("leaves a newer pool of the same subnet alone when it is repeated late", async () => {
    const ipam = ipamWith();
    const older = await makePool(ipam, "10.1.2.0/24");
    await ipam.releasePool(older);
    const newer = await makePool(ipam, "10.1.2.0/24");
    await ipam.releasePool(older);
    await ipam.releaseAddress(older, "10.1.2.1");

    await expect(requestAddress(ipam, newer)).resolves.toBe("10.1.2.1/24");
  });

  it("changes nothing when the records cannot be written", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, "10.1.2.0/24");
    await requestAddress(ipam, poolId);
    records.failCommit(1);

    await expect(ipam.releasePool(poolId)).rejects.toMatchObject({ code: "host" });
    await expect(requestAddress(ipam, poolId)).resolves.toBe("10.1.2.2/24");
    await expect(makePool(ipam, "10.1.2.0/24")).rejects.toMatchObject({ code: "conflict" });
    await ipam.releasePool(poolId);
  });

  it("leaves no address behind that was being given out at the same time", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, "10.1.2.0/24");
    const { commitCount } = records;
    records.turnsOf = (commitNumber) => (commitNumber === commitCount + 1 ? 10 : 1);
    const given = Promise.allSettled([requestAddress(ipam, poolId), requestAddress(ipam, poolId)]);
    const released = ipam.releasePool(poolId);
    await new Promise((resolve) => process.nextTick(resolve));
    const tooLate = requestAddress(ipam, poolId);

    await expect(tooLate).rejects.toMatchObject({ code: "not-found" });
    await Promise.all([given, released]);
    expect([records.list("pool").size, records.list("address").size]).toEqual([0, 0]);
    expect(() => ipamWith({ records })).not.toThrow();
  });
});

describe("RequestAddress", () => {
  it("says of an unknown pool that the network has to be created again [F45]", async () => {
    await expect(requestAddress(ipamWith(), UNKNOWN)).rejects.toMatchObject({
      code: "not-found",
      message: `pool "${UNKNOWN}" is not in the records of tsnet; remove the network and create it again`,
    });
  });

  it("gives pools of one subnet in two segments their own addresses", async () => {
    const ipam = ipamWith();
    const [a, b] = [await makePool(ipam, "10.1.2.0/24"), await makePool(ipam, "10.1.2.0/24", inSegment("b"))];

    expect([await requestAddress(ipam, a), await requestAddress(ipam, b)]).toEqual(["10.1.2.1/24", "10.1.2.1/24"]);
  });
});

describe("ReleaseAddress", () => {
  it("counts addresses that were never given out, and unknown pools, as success [F77]", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, "10.1.2.0/24");
    const { commitCount } = records;
    for (const address of ["10.1.2.9", "10.1.2.0", "10.1.2.255", "10.9.9.9", "fd00::1"]) {
      await ipam.releaseAddress(poolId, address);
      await ipam.releaseAddress(UNKNOWN, address);
    }

    expect(records.commitCount).toBe(commitCount);
  });

  it.each(["", "10.1.2", "10.1.2.3/24", "x"])("refuses malformed %j whatever the pool", async (address) => {
    const ipam = ipamWith();
    const poolId = await makePool(ipam, "10.1.2.0/24");

    await expect(ipam.releaseAddress(poolId, address)).rejects.toMatchObject({ code: "invalid" });
    await expect(ipam.releaseAddress(UNKNOWN, address)).rejects.toMatchObject({ code: "invalid" });
  });
});

describe("Ipam.load", () => {
  it("comes first: other calls fail until then", async () => {
    const hostRoutes = { subnets: async () => [] };
    const ipam = new Ipam({ records: new MemoryStore(), defaultPools: [], hostRoutes, ...NO_NETWORKS });
    const calls = [makePool(ipam, "10.1.2.0/24"), ipam.releasePool(UNKNOWN), requestAddress(ipam, UNKNOWN)];
    calls.push(ipam.releaseAddress(UNKNOWN, "10.1.2.3"));

    for (const call of calls) await expect(call).rejects.toMatchObject({ code: "unavailable" });
  });

  it("has pools, ranges, segments, gateways, addresses and the order of releases again", async () => {
    const records = new MemoryStore();
    const before = ipamWith({ records });
    const poolId = await makePool(before, "10.1.2.0/24", { range: "10.1.2.8/30", ...inSegment("lab") });
    await requestGateway(before, poolId, "10.1.2.1");
    for (let n = 0; n < 4; n++) await requestAddress(before, poolId);
    for (const address of ["10.1.2.9", "10.1.2.11", "10.1.2.8"]) await before.releaseAddress(poolId, address);
    const after = ipamWith({ records });

    await expect(makePool(after, "10.1.2.0/24", inSegment("lab"))).rejects.toMatchObject({ code: "conflict" });
    await expect(requestAddress(after, poolId, "10.1.2.1")).rejects.toThrow("is the gateway of");
    const given = [await requestAddress(after, poolId), await requestAddress(after, poolId)];
    expect([...given, await requestAddress(after, poolId)]).toEqual(["10.1.2.9/24", "10.1.2.11/24", "10.1.2.8/24"]);
    await expect(requestAddress(after, poolId)).rejects.toMatchObject({ code: "exhausted" });
  });

  it("keeps releases after a reload behind those before it", async () => {
    const records = new MemoryStore();
    const before = ipamWith({ records });
    const poolId = await makePool(before, "10.1.2.0/30");
    for (let n = 0; n < 2; n++) await requestAddress(before, poolId);
    await before.releaseAddress(poolId, "10.1.2.2");
    const after = ipamWith({ records });
    await after.releaseAddress(poolId, "10.1.2.1");

    await expect(requestAddress(ipamWith({ records }), poolId)).resolves.toBe("10.1.2.2/30");
  });

  it("finds only what was given out in the records, however large the pool", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    await requestAddress(ipam, await makePool(ipam, "fd00::/32"));

    expect([records.list("pool").size, records.list("address").size]).toEqual([1, 1]);
  });
});

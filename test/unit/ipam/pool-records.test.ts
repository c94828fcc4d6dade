import { describe, expect, it } from "vitest";
import { TsnetError } from "../../../src/errors.ts";
import { Ipam } from "../../../src/ipam/driver.ts";
import { NO_NETWORKS, inSegment, ipamWith, makePool, poolRequest, requestAddress } from "../../support/ipam-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const POOL = "10.1.2.0/24+0000000a";
const BODY = { space: "tsnet", subnet: "10.1.2.0/24", segment: "" };

async function storeWith(kind: "pool" | "address", id: string, body: unknown): Promise<MemoryStore> {
  const records = new MemoryStore();
  await records.commit([{ op: "put", kind: "pool", id: POOL, body: BODY }]);
  await records.commit([{ op: "put", kind, id, body: body as object }]); // or whatever the disk had
  return records;
}

describe("records of pools and addresses", () => {
  it("are small", async () => {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolId = await makePool(ipam, "10.1.2.0/24");
    await requestAddress(ipam, poolId);
    await requestAddress(ipam, poolId);
    await ipam.releaseAddress(poolId, "10.1.2.1");

    expect([...records.list("pool").values()]).toEqual([BODY]);
    expect(Object.fromEntries(records.list("address"))).toEqual({
      [`${poolId}#10.1.2.1`]: { released: 1 },
      [`${poolId}#10.1.2.2`]: { use: "endpoint" },
    });
  });

  it("may have fields that a later tsnet of the same format adds", async () => {
    const records = await storeWith("pool", POOL, { ...BODY, colour: "blue" });

    expect(() => ipamWith({ records })).not.toThrow();
  });

  it.each<["pool" | "address", string, unknown, string]>([
    ["pool", POOL, null, "no object"],
    ["pool", POOL, "text", "no object"],
    ["pool", POOL, {}, "subnet is no text"],
    ["pool", POOL, { ...BODY, subnet: "10.1.2.0/99" }, "prefix length"],
    ["pool", POOL, { ...BODY, segment: 7 }, "segment is no text"],
    ["pool", POOL, { ...BODY, range: null }, "range is no text"],
    ["pool", POOL, { ...BODY, space: "mars" }, "no known address space"],
    ["pool", "nonsense", BODY, "id is none of tsnet's"],
    ["address", `${POOL}#10.1.2.3`, null, "no object"],
    ["address", `${POOL}#10.1.2.3`, {}, "neither in use nor released"],
    ["address", `${POOL}#10.1.2.3`, { use: "spare" }, "neither in use nor released"],
    ["address", `${POOL}#10.1.2.3`, { released: -1 }, "neither in use nor released"],
    ["address", `${POOL}#10.1.2.3`, { released: "1" }, "neither in use nor released"],
    ["address", `${POOL}#10.1.2.3`, { use: "endpoint", released: 1 }, "neither in use nor released"],
    ["address", `${POOL}#10.1.3.3`, { use: "endpoint" }, "outside 10.1.2.0/24"],
    ["address", `${POOL}#`, { use: "endpoint" }, "is no IP address"],
    ["address", "10.1.3.0/24+0000000b#10.1.3.3", { use: "endpoint" }, "there is no such pool"],
  ])("that make no sense are named, and stop nothing: %s %s %j", async (kind, id, body, why) => {
    const records = await storeWith(kind, id, body);

    const faults = new Ipam({
      records,
      defaultPools: [],
      hostRoutes: { subnets: async () => [] },
      ...NO_NETWORKS,
      isOfNetwork: () => true,
    }).load();

    expect(faults.join("; ")).toContain(why);
  });

  it.each(["senseless", "damaged"])(
    "keep an address from use whose own record is %s, until it is released",
    async (how) => {
      const records = await storeWith("address", `${POOL}#10.1.2.1`, how === "damaged" ? { use: "gateway" } : {});
      if (how === "damaged") records.damage("address", `${POOL}#10.1.2.1`);
      const ipam = ipamWith({ records });

      await expect(requestAddress(ipam, POOL, "10.1.2.1")).rejects.toMatchObject({ code: "conflict" });
      await expect(requestAddress(ipam, POOL)).resolves.toBe("10.1.2.2/24");
      await ipam.releaseAddress(POOL, "10.1.2.1");

      expect(records.damaged()).toEqual([]);
      await expect(requestAddress(ipamWith({ records }), POOL, "10.1.2.1")).resolves.toBe("10.1.2.1/24");
    },
  );

  it.each(["senseless", "damaged"])("keep the subnet of a pool from others whose own record is %s", async (how) => {
    const records = await storeWith("address", `${POOL}#10.1.2.1`, { use: "endpoint" });
    if (how === "damaged") records.damage("pool", POOL);
    else await records.commit([{ op: "put", kind: "pool", id: POOL, body: {} }]);
    const ipam = ipamWith({ records, pools: "10.1.0.0/22:24" });

    await expect(requestAddress(ipam, POOL)).rejects.toThrow("its record is damaged; remove its network");
    await expect(makePool(ipam, "10.1.2.0/25", inSegment("other"))).rejects.toThrow(
      "10.1.2.0/24, whose record is damaged",
    );
    const chosen = [];
    for (let n = 0; n < 3; n++) chosen.push((await ipam.requestPool(poolRequest())).subnet);
    expect(chosen).toEqual(["10.1.0.0/24", "10.1.1.0/24", "10.1.3.0/24"]);
    await expect(ipam.releaseAddress(POOL, "10.1.2.1")).resolves.toBeUndefined();
  });

  it("keep each pool where others are damaged, though the engine has not spoken of it [F30]", async () => {
    const records = await storeWith("pool", "10.7.0.0/24+0000000c", { ...BODY, subnet: "10.7.0.0/24" });
    records.damage("pool", POOL);
    const ipam = ipamWith({ records });

    await expect(makePool(ipam, "10.7.0.0/24")).rejects.toThrow("overlaps pool 10.7.0.0/24");
    expect([
      ipam.ofNetworks.count("tsnet", "10.1.2.0/24"),
      ipam.ofNetworks.listOfFormerLife("tsnet", "10.1.2.0/24"),
    ]).toEqual([1, []]);
  });

  it("leave nothing of a damaged pool that is released, and its subnet is free", async () => {
    const records = await storeWith("address", `${POOL}#10.1.2.1`, { use: "endpoint" });
    records.damage("pool", POOL);
    const ipam = ipamWith({ records });
    await ipam.releasePool(POOL);

    expect([records.damaged(), records.list("address").size]).toEqual([[], 0]);
    await expect(makePool(ipam, "10.1.2.0/24")).resolves.toContain("10.1.2.0/24");
  });

  it("that are not complete let nothing be given out, and everything be taken back", async () => {
    const records = await storeWith("address", `${POOL}#10.1.2.1`, { use: "endpoint" });
    records.fault = new TsnetError("host", "records are not complete");
    const ipam = ipamWith({ records });

    await expect(requestAddress(ipam, POOL)).rejects.toThrow("records are not complete");
    await expect(makePool(ipam, "10.9.0.0/24")).rejects.toThrow("records are not complete");
    await ipam.releaseAddress(POOL, "10.1.2.1");
    await ipam.releasePool(POOL);
    expect([records.list("address").size, records.list("pool").size]).toEqual([0, 0]);
  });
});

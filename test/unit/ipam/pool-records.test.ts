import { describe, expect, it } from "vitest";
import { ipamWith, makePool, requestAddress } from "../../support/ipam-builder.ts";
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
    ["pool", POOL, { ...BODY, space: "mars" }, "unknown address space mars"],
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
  ])("that are damaged stop the start and are named: %s %s %j", async (kind, id, body, why) => {
    const records = await storeWith(kind, id, body);

    const load = () => ipamWith({ records });

    expect(load).toThrow(expect.objectContaining({ code: "internal" }));
    expect(load).toThrow(`${kind} record "${id}" is damaged: `);
    expect(load).toThrow(why);
  });
});

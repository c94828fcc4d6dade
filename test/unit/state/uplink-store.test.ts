import { describe, expect, it } from "vitest";
import { UplinkStore } from "../../../src/state/uplink-store.ts";
import { MemoryStore } from "../../support/memory-store.ts";

describe("records of uplinks", () => {
  it("are known again by the next tsnet of the same boot", async () => {
    const records = new MemoryStore();
    await new UplinkStore(records, "boot 1").put("eth0", { what: 1 });

    expect(new UplinkStore(records, "boot 1").find("eth0")).toMatchObject({ what: 1 });
  });

  it("are not known after the next boot, which gave the NIC its addresses anew, and can be made again", async () => {
    const records = new MemoryStore();
    await new UplinkStore(records, "boot 1").put("eth0", { what: 1 });

    const store = new UplinkStore(records, "boot 2");
    expect(store.find("eth0")).toBeUndefined();
    await store.put("eth0", { what: 2 });

    expect(store.find("eth0")).toMatchObject({ what: 2 });
    expect(new UplinkStore(records, "boot 2").find("eth0")).toMatchObject({ what: 2 });
  });

  it("are gone once removed, and removing what is not there changes nothing", async () => {
    const records = new MemoryStore();
    const store = new UplinkStore(records, "boot 1");
    await store.put("eth0", { what: 1 });

    await store.remove("eth0");
    await store.remove("eth1");

    expect([store.find("eth0"), records.list("uplink").size]).toEqual([undefined, 0]);
  });
});

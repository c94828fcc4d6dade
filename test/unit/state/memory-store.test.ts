// The fake that other tests stand on keeps the promises of the real one.
import { describe, expect, it } from "vitest";
import { describeRecordStore } from "../../contract/record-store.ts";
import { MemoryStore } from "../../support/memory-store.ts";

describeRecordStore("memory", () => {
  let records = new MemoryStore();
  return {
    open() {
      records.close();
      records = records.reopened();
      return records;
    },
  };
});

describe("MemoryStore", () => {
  it("fails the n-th commit, and only that", async () => {
    const store = new MemoryStore();
    store.failCommit(2);
    const commit = (id: string) => store.commit([{ op: "put", kind: "pool", id, body: {} }]);
    const outcomes = await Promise.allSettled([commit("a"), commit("b"), commit("c")]);

    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect([...store.list("pool").keys()]).toEqual(["a", "c"]);
  });
});

// What every RecordStore promises; run by each implementation.
import { describe, expect, it } from "vitest";
import type { RecordChange, RecordKind, RecordStore } from "../../src/state/record-store.ts";

/** A fresh place for records that can be closed and opened again. */
export interface RecordPlace {
  /** Closes the store that was opened before, if any, and opens the same place again. */
  open(): RecordStore;
}

function put(kind: RecordKind, id: string, body: object): RecordChange {
  return { op: "put", kind, id, body };
}

function remove(kind: RecordKind, id: string): RecordChange {
  return { op: "remove", kind, id };
}

/** @param makePlace - called once a test. */
export function describeRecordStore(name: string, makePlace: () => RecordPlace): void {
  describe(`RecordStore: ${name}`, () => {
    it("starts empty", () => {
      const store = makePlace().open();

      expect(store.list("network").size).toBe(0);
    });

    it("gives back what was put, by kind and id", async () => {
      const store = makePlace().open();
      await store.commit([put("pool", "a", { n: 1, list: ["x", null] }), put("address", "a", { n: 2 })]);

      expect(store.list("pool")).toEqual(new Map([["a", { n: 1, list: ["x", null] }]]));
      expect(store.list("address")).toEqual(new Map([["a", { n: 2 }]]));
    });

    it("replaces a record that is put again", async () => {
      const store = makePlace().open();
      await store.commit([put("host", "a", { old: true })]);
      await store.commit([put("host", "a", { fresh: true })]);

      expect(store.list("host")).toEqual(new Map([["a", { fresh: true }]]));
    });

    it("removes records, and takes the removal of an absent one", async () => {
      const store = makePlace().open();
      await store.commit([put("pool", "a", {}), put("pool", "b", {})]);
      await store.commit([remove("pool", "a"), remove("pool", "never there"), remove("endpoint", "b")]);

      expect([...store.list("pool").keys()]).toEqual(["b"]);
    });

    it("applies the changes of one commit in their order", async () => {
      const store = makePlace().open();
      await store.commit([put("pool", "a", { n: 1 }), remove("pool", "a"), put("pool", "a", { n: 2 })]);

      expect(store.list("pool")).toEqual(new Map([["a", { n: 2 }]]));
    });

    it("applies commits that were asked for at the same time in their order", async () => {
      const store = makePlace().open();
      const numbers = Array.from({ length: 100 }, (_, n) => n);
      await Promise.all(numbers.map((n) => store.commit([put("pool", "a", { n }), put("pool", `n${n}`, {})])));

      expect(store.list("pool").get("a")).toEqual({ n: 99 });
      expect(store.list("pool").size).toBe(101);
    });

    it("keeps the body as it was when commit was called", async () => {
      const store = makePlace().open();
      const body = { n: 1 };
      const committed = store.commit([put("pool", "a", body)]);
      body.n = 2;
      await committed;

      expect(store.list("pool").get("a")).toEqual({ n: 1 });
    });

    it("hands out copies: changing one changes no record", async () => {
      const store = makePlace().open();
      await store.commit([put("pool", "a", { n: 1 })]);
      Object.assign(store.list("pool").get("a") as object, { n: 2 }); // what was put is an object

      expect(store.list("pool").get("a")).toEqual({ n: 1 });
    });

    it("keeps ids apart that differ in case, blanks or quotes, and any text in bodies", async () => {
      const store = makePlace().open();
      const ids = ["a", "A", " a", "a'--", 'a"', "ä", "a\u0000b", "10.0.0.0/8+0#10.0.0.1", "🐳"];
      await store.commit(ids.map((id) => put("pool", id, { id })));

      expect(store.list("pool")).toEqual(new Map(ids.map((id) => [id, { id }])));
    });

    it("takes an empty commit", async () => {
      await expect(makePlace().open().commit([])).resolves.toBeUndefined();
    });

    it("has everything again after closing and opening", async () => {
      const place = makePlace();
      await place.open().commit([put("pool", "a", { n: 1 }), put("pool", "b", {})]);
      await place.open().commit([remove("pool", "b")]);

      expect(place.open().list("pool")).toEqual(new Map([["a", { n: 1 }]]));
    });

    it("refuses a commit after it was closed", async () => {
      const store = makePlace().open();
      store.close();

      await expect(store.commit([put("pool", "a", {})])).rejects.toMatchObject({ code: "unavailable" });
    });

    it("may be closed twice", () => {
      const store = makePlace().open();
      store.close();

      expect(() => store.close()).not.toThrow();
    });
  });
}

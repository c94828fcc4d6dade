import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { KeyedLock } from "../../src/keyed-lock.ts";

describe("tasks of one key", () => {
  it("run one after the other in the order in which they were asked for", async () => {
    const lock = new KeyedLock();
    const ran: string[] = [];
    const task = (name: string) => async () => {
      ran.push(`${name} begins`);
      await turn();
      ran.push(`${name} ends`);
    };

    await Promise.all(["a", "b", "c"].map((name) => lock.run("key", task(name))));

    expect(ran).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
  });

  it("go on after one that failed, and its failure is its caller's", async () => {
    const lock = new KeyedLock();
    const failed = lock.run("key", async () => {
      throw new Error("mine");
    });

    const next = lock.run("key", async () => "done");

    await expect(failed).rejects.toThrow("mine");
    await expect(next).resolves.toBe("done");
  });
});

describe("tasks of different keys", () => {
  it("run side by side", async () => {
    const lock = new KeyedLock();
    const { promise, resolve } = Promise.withResolvers<void>();
    const slow = lock.run("a", () => promise);

    await expect(lock.run("b", async () => "done")).resolves.toBe("done");

    resolve();
    await slow;
  });
});

import { describe, expect, it } from "vitest";
import { changesHost, noteChange } from "../../../src/host/changes.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("changesHost", () => {
  it("says whether the task changed anything, in whatever turn", async () => {
    const change = async () => {
      await turn();
      noteChange();
      await turn();
    };

    expect(await changesHost(change)).toBe(true);
    expect(await changesHost(async () => void (await turn()))).toBe(false);
  });

  it("does not count what others change meanwhile", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = changesHost(() => promise);
    const changing = changesHost(async () => noteChange());

    noteChange();
    resolve();

    expect(await Promise.all([waiting, changing])).toEqual([false, true]);
  });

  it("throws what the task throws", async () => {
    await expect(changesHost(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  });
});

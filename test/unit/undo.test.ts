import { describe, expect, it } from "vitest";
import { TsnetError } from "../../src/errors.ts";
import { runAll, withUndo } from "../../src/undo.ts";

describe("withUndo", () => {
  it("takes nothing back when the task succeeds", async () => {
    const ran: string[] = [];

    expect(await withUndo(async (undo) => undo.add(() => void ran.push("a")))).toBeUndefined();
    expect(ran).toEqual([]);
  });

  it("takes everything back in reverse, also after a step that fails, and tells both failures", async () => {
    const ran: string[] = [];
    const task = withUndo(async (undo) => {
      undo.add(() => void ran.push("first"));
      undo.add(() => {
        throw new Error("stuck");
      });
      undo.add(() => void ran.push("last"));
      throw new TsnetError("conflict", "taken");
    });

    await expect(task).rejects.toMatchObject({ code: "conflict", message: "taken; besides, undo: stuck" });
    expect(ran).toEqual(["last", "first"]);
  });

  it("throws the failure itself when everything was taken back", async () => {
    const failure = new Error("itself");

    await expect(
      withUndo(async () => {
        throw failure;
      }),
    ).rejects.toBe(failure);
  });
});

describe("runAll", () => {
  it("runs every step and lists every failure", async () => {
    const fail = (text: string) => () => {
      throw new Error(text);
    };

    await expect(runAll("cleaning", [fail("a"), () => {}, fail("b")])).rejects.toMatchObject({
      code: "host",
      message: "cleaning: a; b",
    });
  });
});

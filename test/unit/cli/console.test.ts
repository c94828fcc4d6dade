import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Console } from "../../../src/cli/console.ts";
import { MemoryOutput } from "../../support/cli-desk.ts";

const WIDE_ROW = [["x ".repeat(100).trim()]];
const ESCAPE = "\u001b[";

function consoleOn({ isTTY = false, columns, env = {} }: { isTTY?: boolean; columns?: number; env?: object } = {}) {
  const out = new MemoryOutput(isTTY, columns);
  const notes = new MemoryOutput(isTTY);
  return { out, notes, console: new Console(out, notes, { ...env }) };
}

function widthOf(options: Parameters<typeof consoleOn>[0]): number {
  const { console, out } = consoleOn(options);
  console.table(["A"], WIDE_ROW, "none");
  return Math.max(...out.text.split("\n").map((line) => line.length));
}

describe("Console", () => {
  it("prints JSON that can be read again, with a line end", () => {
    const { console, out } = consoleOn({ isTTY: true });

    console.json([{ name: "web\u001b", free: "1" }]);

    expect(JSON.parse(out.text)).toEqual([{ name: "web\u001b", free: "1" }]);
    expect(out.text).not.toContain("\u001b");
    expect(out.text.endsWith("\n")).toBe(true);
  });

  it("has colours on a terminal", () => {
    const { console, out } = consoleOn({ isTTY: true });

    console.title("network web");

    expect(out.text).toContain(ESCAPE);
  });

  it.each([
    ["into a pipe", { isTTY: false }],
    ["with NO_COLOR", { isTTY: true, env: { NO_COLOR: "1" } }],
    ["on a terminal that has none", { isTTY: true, env: { TERM: "dumb" } }],
  ])("has no colours %s", (_where, options) => {
    const { console, out } = consoleOn(options);

    console.title("network web");
    console.table(["A"], [["x"]], "none");

    expect(out.text).toBe("network web\nA\nx\n");
  });

  it("takes an empty NO_COLOR for none", () => {
    const { console, out } = consoleOn({ isTTY: true, env: { NO_COLOR: "" } });

    console.title("network web");

    expect(out.text).toContain(ESCAPE);
  });

  it.each([
    [79, { isTTY: false }],
    [99, { isTTY: true, columns: 100 }],
    [119, { isTTY: true, columns: 100, env: { COLUMNS: "120" } }],
    [79, { isTTY: true, columns: 40 }],
    [79, { isTTY: false, env: { COLUMNS: "wide" } }],
    [79, { isTTY: false, env: { COLUMNS: "-5" } }],
  ])("makes tables of %i characters and no more: %o", (expected, options) => {
    expect(widthOf(options)).toBe(expected);
  });

  it("says what there is in place of an empty table", () => {
    const { console, out } = consoleOn();

    console.table(["A"], [], "nobody is on it");

    expect(out.text).toBe("nobody is on it\n");
  });

  it("puts notes on standard error, so that JSON stays JSON", () => {
    const { console, out, notes } = consoleOn();

    console.note("not all");

    expect([out.text, notes.text]).toEqual(["", "tsnet: not all\n"]);
  });

  describe("while it waits", () => {
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());

    it("says what for after a second, on a terminal", async () => {
      const { console, notes } = consoleOn({ isTTY: true });
      const work = Promise.withResolvers<number>();
      const waiting = console.waitFor("tsnet", work.promise);
      await vi.advanceTimersByTimeAsync(999);
      expect(notes.text).toBe("");

      await vi.advanceTimersByTimeAsync(1);

      expect(notes.text).toBe("tsnet: waiting for tsnet\n");
      work.resolve(7);
      expect(await waiting).toBe(7);
    });

    it("says nothing into a pipe", async () => {
      const { console, notes } = consoleOn();
      const work = Promise.withResolvers<void>();
      const waiting = console.waitFor("tsnet", work.promise);

      await vi.advanceTimersByTimeAsync(5000);

      expect(notes.text).toBe("");
      work.resolve();
      await waiting;
    });

    it("leaves no timer behind when the work fails", async () => {
      const { console } = consoleOn({ isTTY: true });

      await expect(console.waitFor("tsnet", Promise.reject(new Error("gone")))).rejects.toThrow("gone");

      expect(vi.getTimerCount()).toBe(0);
    });
  });
});

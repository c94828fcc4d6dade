// Random histories of calls, whole and broken, beside a model that is too simple to be wrong. TSNET_ORDER_RUNS says how many;
// `test/long/histories.test.ts` runs a hundred thousand.
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { checkRemembered } from "../../support/order-property.ts";

const RUNS = Number(process.env["TSNET_ORDER_RUNS"] ?? 450);
const TIMEOUT_MS = 60_000 + RUNS * 30;

describe("any history of calls", () => {
  let offsetMs = 0;
  beforeAll(() => {
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + offsetMs);
  });
  afterAll(() => void vi.restoreAllMocks());
  const passTime = (ms: number) => void (offsetMs += ms);

  it.each([
    ["with calls doubled, dropped, swapped, late, at once, and looks at the host in between", false],
    ["with faults of the host, callers that go away and crashes besides", true],
  ] as const)(
    "%s leaves what its answers promised, and nothing else [F49] [F57]",
    async (_, isDisturbed) => {
      await expect(checkRemembered(RUNS, isDisturbed, passTime)).resolves.toBeUndefined();
    },
    TIMEOUT_MS,
  );
});

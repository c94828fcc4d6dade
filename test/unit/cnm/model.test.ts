// Random histories of calls, whole and broken, beside a model that is too simple to be wrong. TSNET_ORDER_RUNS says how many;
// `test/long/histories.test.ts` runs a hundred thousand.
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { OrderVerb } from "../../support/order-history.ts";
import { checkRemembered } from "../../support/order-property.ts";
import { runHistory } from "../../support/order-run.ts";

const RUNS = Number(process.env["TSNET_ORDER_RUNS"] ?? 250);
/** The same ones every day: what nobody has seen yet is looked for in the long run. */
const SEED_OF_OPERATOR = 158_597_231;
const TIMEOUT_MS = 60_000 + RUNS * 30;

describe("any history of calls", () => {
  let offsetMs = 0;
  beforeAll(() => {
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + offsetMs);
  });
  afterAll(() => void vi.restoreAllMocks());
  const passTime = (ms: number) => void (offsetMs += ms);

  const call = (verb: OrderVerb, on: number, variant: 0 | 1 = 0) => ({ verb, on, variant });

  const leaves = [[call("Join", 4, 1), call("Die", 2), call("Program", 4), call("Leave", 4)]];
  const withdraws = [[call("Program", 2, 1)], [call("Die", 2)], [call("Program", 4, 1), call("Revoke", 2, 1)]];

  it.each([
    ["an endpoint leaves while another one's port is looked for leaves that endpoint where it is", leaves],
    ["a dead endpoint withdraws its port while another one asks for it gives it to that one", withdraws],
  ])("in which %s", async (_what, steps) => {
    const ready = [
      [call("CreateNetwork", 2)],
      [call("CreateEndpoint", 2), call("CreateEndpoint", 4)],
      [call("Join", 2), call("Join", 4)],
    ];

    await expect(runHistory([...ready, ...steps].map((calls) => ({ calls })), passTime)).resolves.toBeUndefined(); // prettier-ignore
  });

  describe.each([
    ["the engine", { hasOperator: false }],
    ["the engine and the operator", { hasOperator: true, seed: SEED_OF_OPERATOR }],
  ] as const)("of %s", (_who, choice) => {
    it.each([
      ["with calls doubled, dropped, swapped, late, at once, and looks at the host in between", false],
      ["with faults of the host, callers that go away and crashes besides", true],
    ] as const)(
      "%s leaves what its answers promised, and nothing else [F49] [F57]",
      async (_, isDisturbed) => {
        await expect(checkRemembered(RUNS, { ...choice, isDisturbed }, passTime)).resolves.toBeUndefined();
      },
      TIMEOUT_MS,
    );
  });
});

// The random histories of test/unit/cnm/model.test.ts against the real daemon on the real kernel; two thousand of them run in
// `test/long/histories.test.ts`.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OrderDaemon } from "../../support/order-daemon.ts";
import { checkDaemon } from "../../support/order-property.ts";
import { ServeHost } from "../../support/serve-host.ts";

const RUNS = 24;
const TIMEOUT_MS = 500_000;

describe("any history of calls, on the real kernel", () => {
  let host: ServeHost;
  let daemon: OrderDaemon;

  beforeAll(async () => {
    host = await ServeHost.up("histories");
    daemon = new OrderDaemon(host);
    await daemon.prepare();
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it(
    "leaves what its answers promised, with callers that go away and SIGKILL in between [F49] [F15]",
    async () => {
      await expect(checkDaemon(daemon, RUNS, 0.8 * TIMEOUT_MS)).resolves.toBe(RUNS);
    },
    TIMEOUT_MS,
  );
});

// Many random histories of calls: a hundred thousand on a remembered host, half of them with faults, and two thousand against
// the real daemon on the real kernel. TSNET_ORDER_RUNS and TSNET_ORDER_KERNEL_RUNS say other numbers.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OrderDaemon } from "../support/order-daemon.ts";
import { checkDaemon, checkRemembered } from "../support/order-property.ts";
import { ServeHost } from "../support/serve-host.ts";

const RUNS = Number(process.env["TSNET_ORDER_RUNS"] ?? 100_000);
const KERNEL_RUNS = Number(process.env["TSNET_ORDER_KERNEL_RUNS"] ?? 2000);
const LIMIT_MS = 80 * 60_000;

describe("a hundred thousand histories of calls", () => {
  let offsetMs = 0;
  beforeEach(() => {
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + offsetMs);
  });
  afterEach(() => void vi.restoreAllMocks());
  const passTime = (ms: number) => void (offsetMs += ms);

  it.each([
    { hasOperator: false, isDisturbed: false },
    { hasOperator: false, isDisturbed: true },
    { hasOperator: true, isDisturbed: false },
    { hasOperator: true, isDisturbed: true },
  ])("leave what their answers promised: %o [F49]", async (choice) => {
    await expect(checkRemembered(RUNS / 4, choice, passTime)).resolves.toBeUndefined();
  });
});

describe("two thousand histories of calls on the real kernel", () => {
  it("leave what their answers promised [F49]", async () => {
    await using host = await ServeHost.up("histories");
    const daemon = new OrderDaemon(host);
    await daemon.prepare();

    await expect(checkDaemon(daemon, KERNEL_RUNS, LIMIT_MS)).resolves.toBe(KERNEL_RUNS);
  });
});

import { describe, expect, it } from "vitest";
import { NoFirewall } from "../../../src/nat/none.ts";
import { network } from "../../support/cnm-builder.ts";

const WHY = "TSNET_FIREWALL is none, so tsnet makes no rules; permitted: mode=l2 with antispoof=false";

describe("TSNET_FIREWALL=none", () => {
  it.each(["nat", "routed", "isolated"] as const)("refuses mode %s, which needs rules", async (mode) => {
    await expect(new NoFirewall().check(network(1, { mode, isGuarded: false }))).rejects.toMatchObject({
      code: "unsupported",
      message: `mode ${mode} cannot be had without rules: ${WHY}`,
    });
  });

  it("refuses a network that is guarded, which is the default", async () => {
    await expect(new NoFirewall().check(network(1, { mode: "l2" }))).rejects.toMatchObject({
      code: "unsupported",
      message: `option antispoof=true cannot be had without rules: ${WHY}`,
    });
  });

  it("names both in one message", async () => {
    await expect(new NoFirewall().check(network(1, { mode: "nat" }))).rejects.toThrow(
      `mode nat and option antispoof=true cannot be had without rules: ${WHY}`,
    );
  });

  it.each([true, false])("takes mode l2 with antispoof=false, icc=%s, and makes no rule", async (isIccAllowed) => {
    const firewall = new NoFirewall();

    await expect(firewall.check(network(1, { mode: "l2", isGuarded: false, isIccAllowed }))).resolves.toBeUndefined();
    await expect(firewall.apply()).resolves.toBe(false);
    await expect(firewall.ensureEndpoint()).resolves.toBeUndefined();
    await expect(firewall.removeEndpoint()).resolves.toBeUndefined();
  });
});

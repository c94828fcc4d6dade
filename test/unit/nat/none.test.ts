import { describe, expect, it } from "vitest";
import { NoFirewall } from "../../../src/nat/none.ts";
import { network } from "../../support/cnm-builder.ts";

describe("TSNET_FIREWALL=none", () => {
  it.each(["nat", "routed", "isolated"] as const)("refuses mode %s, which needs rules", async (mode) => {
    await expect(new NoFirewall().check(network(1, { mode }))).rejects.toMatchObject({
      code: "unsupported",
      message: `mode ${mode} needs rules: TSNET_FIREWALL is none, so tsnet makes no rules; mode l2 needs none`,
    });
  });

  it("takes mode l2 and makes no rule", async () => {
    const firewall = new NoFirewall();

    await expect(firewall.check(network(1, { mode: "l2" }))).resolves.toBeUndefined();
    await expect(firewall.apply()).resolves.toBe(false);
  });
});

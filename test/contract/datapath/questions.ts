// What a Datapath promises to say about the host.
import { describe, expect, it } from "vitest";
import { endpoint, endpointId, ifName, networkId } from "../../support/cnm-builder.ts";
import type { DatapathSuite } from "./suite.ts";

const SHARED = ifName("shared0");

/** `inspectSwitch`, `inventory`. */
export function describeQuestions(suite: DatapathSuite): void {
  const { network } = suite;

  describe("what is asked", () => {
    it("inspectSwitch tells absent, ours and foreign switches apart", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.plantSwitch(SHARED, ["192.0.2.1/24", "2001:db8::1/64"]);

      expect(await suite.host.datapath.inspectSwitch(ifName("nothing"))).toEqual({ state: "absent" });
      expect(await suite.host.datapath.inspectSwitch(network().switchName)).toEqual({
        state: "ours",
        networkId: networkId(),
      });
      expect(await suite.host.datapath.inspectSwitch(SHARED)).toEqual({
        state: "foreign",
        addresses: ["192.0.2.1/24", "2001:db8::1/64"],
      });
    });

    it("inspectSwitch refuses a link that is no switch", async () => {
      await suite.host.plantLink("eth9");

      await expect(suite.host.datapath.inspectSwitch(ifName("eth9"))).rejects.toMatchObject({
        code: "conflict",
        message: expect.stringContaining("eth9") as string,
      });
    });

    it("inventory lists what carries the mark and nothing else", async () => {
      await suite.host.plantSwitch(SHARED);
      await suite.host.plantLink("eth9");
      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.datapath.attach(network(), endpoint(), []);

      expect(await suite.host.datapath.inventory()).toEqual({
        switches: [{ networkId: networkId(), ifName: network().switchName }],
        ports: [{ endpointId: endpointId(), ifName: endpoint().hostIfName }],
      });
    });
  });
}

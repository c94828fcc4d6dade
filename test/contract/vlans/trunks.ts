// Trunk ports: `trunk=300,310-312`, with `vlan=410` as the native VLAN, and endpoints with fewer VLANs than their network.
import { describe, expect, it } from "vitest";
import type { VlanHost } from "../../support/vlan-host.ts";
import { expectOut, stageFor } from "./stage.ts";

const LIST = [300, 310, 311, 312] as const;
const OUTSIDE = [1, 100, 299, 301, 309, 313, 400, 4094, 4095] as const;

/** `trunk`. */
export function describeTrunks(makeHost: () => Promise<VlanHost>): void {
  describe("trunk ports", () => {
    const stage = stageFor(makeHost, async (made) => {
      const a = made.plan(1, { vlan: 100 });
      const t = made.plan(2, { trunk: LIST });
      const n = made.plan(3, { vlan: 410, trunk: [400, 401, 402] });
      const u = made.plan(4, {});
      await made.make(a, t, n, u);
      await made.attach("access", a, 1);
      await made.attach("trunk", t, 1);
      await made.attach("trunk of 310", t, 2, { vlans: { trunk: [310] } });
      await made.attach("native", n, 1);
      await made.attach("native alone", n, 2, { vlans: { vlan: 410 } });
      await made.attach("trunk of 401", n, 3, { vlans: { trunk: [401] } });
      await made.attach("plain", u, 1);
    });

    for (const id of LIST) {
      const also = id === 310 ? { "trunk of 310": "310" } : {};
      it(`a trunk of 300,310-312 gets VLAN ${id} tagged`, async () => {
        await expectOut(stage(), { trunk: `${id}`, ...also }, "uplink", { tags: [id] });
      });

      it(`a trunk of 300,310-312 sends into VLAN ${id}, which is tagged on the uplink`, async () => {
        await expectOut(stage(), { uplink: `${id}`, ...also }, "trunk", { tags: [id] });
      });
    }

    for (const id of OUTSIDE) {
      it(`a trunk of 300,310-312 gets nothing of VLAN ${id} from the uplink`, async () => {
        expect(await stage().send("uplink", { tags: [id] })).not.toHaveProperty("trunk");
      });

      it(`a trunk of 300,310-312 sends nothing into VLAN ${id}`, async () => {
        await expectOut(stage(), {}, "trunk", { tags: [id] });
      });
    }

    it("a trunk without native VLAN gets and sends nothing untagged, nor with a priority alone (tag 0)", async () => {
      await expectOut(stage(), { plain: "untagged" }, "uplink");
      await expectOut(stage(), { uplink: "untagged" }, "plain");
      await expectOut(stage(), {}, "trunk");
      await expectOut(stage(), {}, "trunk", { tags: [0] });
    });

    it("a double-tagged frame of a trunk does not get into the inner VLAN", async () => {
      const seen = await stage().send("trunk", { tags: [300, 100] });

      expect(Object.keys(seen).filter((name) => name !== "uplink")).toEqual([]);
      expect(seen["uplink"] ?? "300 100").toBe("300 100"); // whole, or dropped: a trunk's own business
      await expectOut(stage(), {}, "trunk", { tags: [100, 300] });
    });

    it("the native VLAN is untagged at the container and tagged on the uplink", async () => {
      await expectOut(stage(), { "native alone": "untagged", uplink: "410" }, "native");
      await expectOut(stage(), { native: "untagged", "native alone": "untagged" }, "uplink", { tags: [410] });
    });

    it("beside a native VLAN the list is tagged in both directions", async () => {
      await expectOut(stage(), { uplink: "400" }, "native", { tags: [400] });
      await expectOut(stage(), { "trunk of 401": "401", uplink: "401" }, "native", { tags: [401] });
      await expectOut(stage(), { native: "402" }, "uplink", { tags: [402] });
    });

    it("a native trunk sends nothing outside its list", async () => {
      for (const id of [1, 100, 300, 399, 403, 4095]) {
        expect(await stage().send("native", { tags: [id] }), `VLAN ${id}`).toEqual({});
      }
    });

    it("an endpoint with fewer VLANs than its network gets and sends those alone", async () => {
      await expectOut(stage(), { native: "400" }, "uplink", { tags: [400] });
      await expectOut(stage(), { native: "401", uplink: "401" }, "trunk of 401", { tags: [401] });
      await expectOut(stage(), {}, "trunk of 401", { tags: [400] });
      await expectOut(stage(), {}, "trunk of 401");
      await expectOut(stage(), {}, "trunk of 310", { tags: [311] });
    });

    it("an endpoint with the native VLAN alone is an access port", async () => {
      await expectOut(stage(), { native: "untagged", uplink: "410" }, "native alone");
      for (const id of [400, 410]) {
        expect(await stage().send("native alone", { tags: [id] }), `VLAN ${id}`).toEqual({});
      }
    });
  });
}

// Networks that are given other VLANs while containers are on them, beside one that stays as it is.
import { describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import type { VlanHost } from "../../support/vlan-host.ts";
import { expectOut, stageFor } from "./stage.ts";

/** `tsnet set NETWORK vlan=300`. */
export function describeChange(makeHost: () => Promise<VlanHost>): void {
  describe("a network that is given another VLAN", () => {
    let former: Network | undefined;
    const stage = stageFor(makeHost, async (made) => {
      const gateway = { mode: "nat", isHostOnSwitch: true } as const;
      const [a, b] = [made.plan(1, { vlan: 100 }, gateway), made.plan(2, { vlan: 200 }, { isGuarded: false })];
      await made.make(a, b);
      for (const n of [1, 2]) await made.attach(`a${n}`, a, n);
      await made.attach("b1", b, 1);
      await made.change(a, made.plan(1, { vlan: 300 }, gateway));
      former = a;
    });

    it("has its frames go to its containers, its gateway and by the new tag to the uplink", async () => {
      await expectOut(stage(), { a2: "untagged", "gateway 300": "untagged", uplink: "300" }, "a1");
    });

    it("takes frames with the new tag from the uplink", async () => {
      const everybody = { a1: "untagged", a2: "untagged", "gateway 300": "untagged" } as const;

      await expectOut(stage(), everybody, "uplink", { tags: [300] });
    });

    it("takes none with the tag that it had", async () => {
      expect(await stage().send("uplink", { tags: [100] })).toEqual({});
    });

    it("leaves the other network of the switch where it is", async () => {
      await expectOut(stage(), { uplink: "200" }, "b1");
      await expectOut(stage(), { b1: "untagged" }, "uplink", { tags: [200] });
    });

    it("leaves no link of the host in the VLAN that it had", async () => {
      const links = await stage().macsOfHost();

      expect([...links.keys()].filter((name) => name.startsWith("tsg"))).toHaveLength(1);
      expect(links.has(former?.hostLink ?? "")).toBe(false);
    });

    it("has the host's gateway address on its one link into the network", async () => {
      const shown = await stage().host.namespace.json<{ ifname: string; addr_info: { local: string }[] }[]>(
        "ip -json -4 address show to 10.1.1.1".split(" "),
      );
      const { hostLink } = stage().plan(1, { vlan: 300 });

      expect(shown.filter(({ addr_info }) => addr_info.length > 0).map(({ ifname }) => ifname)).toEqual([hostLink]);
    });
  });
}

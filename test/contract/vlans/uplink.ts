// The uplink of a switch: a list of VLANs, never all, that follows the networks that use it.
import { describe, expect, it } from "vitest";
import { ETHERTYPE } from "../../support/frames.ts";
import type { VlanHost } from "../../support/vlan-host.ts";
import { PARENT, type VlanStage } from "../../support/vlan-stage.ts";
import { reachService } from "./services.ts";
import { expectOut, stageFor } from "./stage.ts";

/** `parent`. */
export function describeUplink(makeHost: () => Promise<VlanHost>): void {
  describe("uplinks", () => {
    describe("without an untagged network", () => {
      const stage = stageFor(makeHost, async (made) => {
        const a = made.plan(1, { vlan: 100 }, { mode: "nat", isHostOnSwitch: true });
        const b = made.plan(2, { vlan: 200 }, { isGuarded: false });
        await made.make(a, b);
        await made.attach("a", a, 1);
        await made.attach("b", b, 1);
      });

      it("an untagged frame comes from the uplink to nobody, nor one with a priority alone (tag 0)", async () => {
        await expectOut(stage(), {}, "uplink");
        await expectOut(stage(), {}, "uplink", { tags: [0] });
      });

      it("an untagged frame from the uplink reaches no service of the host, whatever addresses it says", async () => {
        expect(await reachService(stage(), { from: "uplink", tags: [], targets: ["10.1.1.1"] })).toEqual([]);
      });

      it("an untagged ARP request from the uplink is answered by nobody", async () => {
        await stage().send("uplink", { arpFor: "10.1.1.1" });

        expect(stage().station("uplink").socket.heard().filter(isArpReply)).toEqual([]);
      });

      it("a double-tagged frame with a foreign outer tag comes to nobody", async () => {
        for (const tags of [
          [0, 100],
          [1, 100],
          [999, 100],
          [4095, 200],
        ]) {
          expect(await stage().send("uplink", { tags }), tags.join(" ")).toEqual({});
        }
      });

      it("a frame with the tag of no network comes to nobody", async () => {
        for (const id of [1, 99, 999, 4094, 4095]) {
          expect(await stage().send("uplink", { tags: [id] }), `VLAN ${id}`).toEqual({});
        }
      });
    });

    describe("with an untagged network alone", () => {
      const stage = stageFor(makeHost, async (made) => {
        const u = made.plan(1, {}, { isGuarded: false });
        await made.make(u);
        for (const n of [1, 2]) await made.attach(`u${n}`, u, n);
      });

      it("untagged frames pass in both directions", async () => {
        await expectOut(stage(), { u2: "untagged", uplink: "untagged" }, "u1");
        await expectOut(stage(), { u1: "untagged", u2: "untagged" }, "uplink");
      });

      for (const id of [1, 100, 4095]) {
        it(`a frame with the tag ${id} passes in neither direction`, async () => {
          await expectOut(stage(), {}, "u1", { tags: [id] });
          await expectOut(stage(), {}, "uplink", { tags: [id] });
        });
      }
    });

    describe("beside a network that does not use it", () => {
      const stage = stageFor(makeHost, async (made) => {
        const [a, b] = [made.plan(1, { vlan: 100 }), made.plan(2, { vlan: 200 })];
        const { uplink: _uplink, ...local } = made.plan(3, { vlan: 300 });
        const { uplink: _none, ...plain } = made.plan(4, {});
        await made.make(a, b, local, plain);
        await made.attach("a", a, 1);
        await made.attach("b", b, 1);
        for (const n of [1, 2]) await made.attach(`local${n}`, local, n);
        for (const n of [1, 2]) await made.attach(`plain${n}`, plain, n);
      });

      it("the uplink does not carry the VLAN of that one", async () => {
        await expectOut(stage(), { local2: "untagged" }, "local1");
        await expectOut(stage(), {}, "uplink", { tags: [300] });
      });

      it("the uplink does not carry the untagged frames of that one", async () => {
        await expectOut(stage(), { plain2: "untagged" }, "plain1");
        await expectOut(stage(), {}, "uplink");
      });

      it("the uplink loses the VLAN of a network that goes, and keeps the other one", async () => {
        const [, b] = stage().networks;
        await stage().detach("b");
        if (b !== undefined) await stage().unmake(b);

        await expectOut(stage(), {}, "uplink", { tags: [200] });
        await expectOut(stage(), { a: "untagged" }, "uplink", { tags: [100] });
      });

      it("the last network gives the uplink back: no frame passes any more", async () => {
        const [a] = stage().networks;
        await stage().detach("a");
        if (a !== undefined) await stage().unmake(a);

        expect(await masterOf(stage())).toBeUndefined();
        for (const tags of [[], [100], [200], [300]]) {
          expect(await stage().send("uplink", { tags }), tags.join(" ")).toEqual({});
        }
        await expectOut(stage(), { local2: "untagged" }, "local1");
        await expectOut(stage(), { plain2: "untagged" }, "plain1");
      });

      it("the uplink can be used again", async () => {
        const again = stage().plan(1, { vlan: 100 });
        await stage().make(again);
        await stage().attach("a", again, 1);
        await stage().settle();

        await expectOut(stage(), { uplink: "100" }, "a");
        await expectOut(stage(), { a: "untagged" }, "uplink", { tags: [100] });
      });
    });
  });
}

/** What ip(8) calls the switch of the uplink's link; Open vSwitch in userspace never has one. */
async function masterOf(stage: VlanStage): Promise<string | undefined> {
  const [link] = await stage.host.namespace.json<{ master?: string }[]>(["ip", "-json", "link", "show", PARENT]);
  return link?.master;
}

function isArpReply(frame: Buffer): boolean {
  return frame.readUInt16BE(12) === ETHERTYPE.arp && frame.readUInt16BE(20) === 2;
}

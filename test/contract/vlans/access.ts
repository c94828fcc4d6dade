// Access ports, and an untagged network beside them: `vlan=100`, and no `vlan` at all.
import { describe, expect, it } from "vitest";
import type { VlanHost } from "../../support/vlan-host.ts";
import { ALL_SYSTEMS, NOBODY, type ProbeWords, dot1ad, dot1q } from "../../support/vlan-probe.ts";
import type { VlanStage } from "../../support/vlan-stage.ts";
import type { Sightings } from "../../support/vlan-stations.ts";
import { expectOut, stageFor } from "./stage.ts";

/** VLAN, the container that sends, its neighbour there, and whether the network is guarded against false senders. */
const VLANS = [
  { vlan: 100, from: "a1", peer: "a2", guarded: "guarded" },
  { vlan: 200, from: "b1", peer: "b2", guarded: "unguarded" },
] as const;

/** All in one VLAN: the containers, the host if it is there, and the tag on the uplink. */
const ALL_OF = {
  100: { a1: "untagged", a2: "untagged", "gateway 100": "untagged", uplink: "100" },
  200: { b1: "untagged", b2: "untagged", uplink: "200" },
  untagged: { u1: "untagged", u2: "untagged", uplink: "untagged" },
} as const;

/** Frames of every kind, by the title's words. @param stage - to know the addresses of others. */
const KINDS: Readonly<Record<string, (stage: VlanStage, other: string) => ProbeWords>> = {
  "a broadcast": () => ({}),
  "a multicast": () => ({ to: ALL_SYSTEMS }),
  "a frame for nobody": () => ({ to: NOBODY }),
  "a frame for a container of the other VLAN": (stage, other) => ({ to: stage.station(other).mac }),
  "an ARP request for a container of the other VLAN": (stage, other) => ({ arpFor: stage.station(other).address }),
};

/** Frames that only a trunk may send, by what they say. @param own - the VLAN of the sender. */
const tagged = (own: number): Readonly<Record<string, ProbeWords["tags"]>> => ({
  "its own VLAN's": [own],
  "another VLAN's": [300 - own],
  "a VLAN's that nobody has": [999],
  "VLAN 1's": [1],
  "VLAN 0's": [0],
  "VLAN 4095's": [4095],
  "its own VLAN's and inside it another one's": [own, 300 - own],
  "802.1ad's with its own VLAN": [dot1ad(own)],
  "802.1ad's with another VLAN": [dot1ad(300 - own)],
  "802.1ad's with another VLAN inside its own": [dot1ad(own), dot1q(300 - own)],
});

/** `vlan`, and networks without. */
export function describeAccess(makeHost: () => Promise<VlanHost>): void {
  describe("access ports", () => {
    const stage = stageFor(makeHost, async (made) => {
      const a = made.plan(1, { vlan: 100 }, { mode: "nat", isHostOnSwitch: true });
      const b = made.plan(2, { vlan: 200 }, { isGuarded: false });
      const u = made.plan(3, {}, { isGuarded: false });
      const shared = [4, 5].map((n) => made.plan(n, { vlan: 500 }, { isVlanShared: true }));
      await made.make(a, b, u, ...shared);
      const places = { a, b, u } as const;
      for (const [name, network] of Object.entries(places)) {
        for (const n of [1, 2]) await made.attach(`${name}${n}`, network, n);
      }
      for (const [index, network] of shared.entries()) await made.attach(`s${index + 1}`, network, 1);
    });

    for (const { vlan, from, peer, guarded } of VLANS) {
      it(`an untagged frame of a container has exactly the tag ${vlan} on the uplink (${guarded})`, async () => {
        await expectOut(stage(), without(ALL_OF[vlan], from), from);
      });

      it(`a frame with the tag ${vlan} on the uplink comes to the container untagged (${guarded})`, async () => {
        const { mac } = stage().station(from);

        await expectOut(stage(), without(ALL_OF[vlan], "uplink"), "uplink", { tags: [vlan] });
        await expectOut(stage(), { [from]: "untagged" }, "uplink", { tags: [vlan], to: mac });
      });

      it(`a frame for a neighbour in VLAN ${vlan} comes to it alone (${guarded})`, async () => {
        await stage().send(peer); // so that the switch knows where it is
        await expectOut(stage(), { [peer]: "untagged" }, from, { to: stage().station(peer).mac });
      });
    }

    for (const [kind, words] of Object.entries(KINDS)) {
      const pairs = { 100: ["a1", "b1"], 200: ["b1", "a1"], untagged: ["u1", "a1"] } as const;
      for (const [vlan, [from, other]] of Object.entries(pairs)) {
        it(`${kind} goes from ${nameOf(vlan)} into no other VLAN [S07]`, async () => {
          const seen = await stage().send(from, words(stage(), other), ["uplink"]);

          expect(strangersTo(vlan, seen)).toEqual({});
          expect(seen["uplink"]).toBe(vlan);
        });

        it(`${kind} comes from the uplink into ${nameOf(vlan)} alone`, async () => {
          const tags = vlan === "untagged" ? [] : [Number(vlan)];

          expect(strangersTo(vlan, await stage().send("uplink", { ...words(stage(), other), tags }))).toEqual({});
        });
      }
    }

    for (const [title, own, from] of [
      ["a guarded access port", 100, "a1"],
      ["an unguarded access port", 200, "b1"],
      ["the port of an untagged network", 100, "u1"],
    ] as const) {
      for (const [what, tags = []] of Object.entries(tagged(own))) {
        it(`${title} drops what a container sends with a tag: ${what}`, async () => {
          const seen = await stage().send(from, { tags });

          // On no VLAN a tag that says no VLAN changes nothing: it may go on as if it were not there.
          if (from !== "u1" || tags[0] !== 0 || Object.keys(seen).length === 0) expect(seen).toEqual({});
          else {
            expect(strangersTo("untagged", seen)).toEqual({});
            await expectOut(stage(), without(ALL_OF.untagged, "u1"), from, { tags }); // it may have been under way to some
          }
        });
      }
    }

    it("an untagged network is untagged on the uplink and nowhere else", async () => {
      await expectOut(stage(), without(ALL_OF.untagged, "u1"), "u1");
      await expectOut(stage(), without(ALL_OF.untagged, "uplink"), "uplink");
      await stage().send("u2"); // so that the switch knows where it is
      await expectOut(stage(), { u2: "untagged" }, "u1", { to: stage().station("u2").mac });
    });

    it("a frame from the uplink that has a priority and no VLAN (tag 0) is one of the untagged network", async () => {
      await expectOut(stage(), without(ALL_OF.untagged, "uplink"), "uplink", { tags: [0] });
    });

    for (const id of [1, 2, 99, 101, 999, 4094, 4095]) {
      it(`a frame with the tag ${id} of no network comes from the uplink to nobody`, async () => {
        await expectOut(stage(), {}, "uplink", { tags: [id] });
      });
    }

    it("a double-tagged frame from the uplink does not get from the outer VLAN into the inner one", async () => {
      expect(strangersTo("100", await stage().send("uplink", { tags: [100, 200] }))).toEqual({});
      await expectOut(stage(), {}, "uplink", { tags: [999, 200] });
    });

    it("a double-tagged frame from the uplink is not delivered with its inner tag", async () => {
      await expectOut(stage(), {}, "uplink", { tags: [100, 200] });
      await expectOut(stage(), {}, "uplink", { tags: [200, 100] });
      await expectOut(stage(), {}, "uplink", { tags: [200, 200] });
    });

    it("containers of two networks with shared-vlan reach one another, and nobody else", async () => {
      await expectOut(stage(), { s2: "untagged", uplink: "500" }, "s1");
      await expectOut(stage(), { s1: "untagged" }, "s2", { to: stage().station("s1").mac });
    });
  });
}

function without(all: Sightings, name: string): Sightings {
  return Object.fromEntries(Object.entries(all).filter(([each]) => each !== name));
}

/** Where a frame was seen beside its own VLAN; what the uplink had besides that one's tag. */
function strangersTo(vlan: string, seen: Sightings): Sightings {
  const own = ALL_OF[vlan as unknown as keyof typeof ALL_OF]; // one of its keys as text
  return Object.fromEntries(
    Object.entries(seen).filter(([name, tags]) => !(name in own) || tags !== own[name as never]),
  );
}

function nameOf(vlan: string): string {
  return vlan === "untagged" ? "the untagged network" : `VLAN ${vlan}`;
}

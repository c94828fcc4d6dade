// The picture of every tutorial: two hosts, the same two VLANs on both, a wire between their uplinks. The same subnet, and the
// same addresses, in both VLANs.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { canPing, shell } from "../../support/packet-lab.ts";
import type { VlanHost } from "../../support/vlan-host.ts";
import type { ProbeWords } from "../../support/vlan-probe.ts";
import { VlanStage } from "../../support/vlan-stage.ts";
import { type Sightings, waitForAll } from "../../support/vlan-stations.ts";
import { waitUntil } from "../../support/wait-until.ts";

const ADDRESS = { one: "10.9.0.1", two: "10.9.0.2" } as const;
/** An address that only one VLAN has, and that one only on the second host. */
const LONELY = "10.9.0.3";

/** Two switches and what is between them. */
export function describeTwoHosts(makeHost: () => Promise<VlanHost>): void {
  describe("two hosts joined by their uplinks", () => {
    const stack = new AsyncDisposableStack();
    let one: VlanStage;
    let two: VlanStage;

    beforeAll(async () => {
      for (const name of ["one", "two"] as const) {
        const stage = stack.use(await VlanStage.up(makeHost));
        if (name === "one") one = stage;
        else two = stage;
        const pools = [{ subnet: "10.9.0.0/24" }];
        const guarded = stage.plan(1, { vlan: 100 }, { pools });
        const unguarded = stage.plan(2, { vlan: 200 }, { pools, isGuarded: false });
        await stage.make(guarded, unguarded);
        for (const [vlan, network] of [
          [100, guarded],
          [200, unguarded],
        ] as const) {
          const n = name === "one" ? 1 : 2;
          const address = `${ADDRESS[name]}/24`;
          const namespace = await stage.machine(`${vlan}`);
          await stage.attach(`${vlan}`, network, n, { address, namespace });
          await shell(namespace, [`ip address add ${address} dev eth0`]);
          if (name === "one" || vlan === 100) continue;
          const alone = await stage.machine("lonely");
          await stage.attach("lonely", network, 3, { address: `${LONELY}/24`, namespace: alone });
          await shell(alone, [`ip address add ${LONELY}/24 dev eth0`]);
        }
      }
      await joinWires(one, two);
      await waitUntil("the wire to carry", async () => "two 100" in (await sendFrom("one", "100")));
    });
    afterAll(async () => await stack.disposeAsync());

    const both = () => ({ one, two });
    /** @param places - where it must come out. @returns where it came out on both hosts: `two 100`. */
    const sendFrom = async (
      host: "one" | "two",
      name: string,
      words: ProbeWords = {},
      places: readonly string[] = [],
    ): Promise<Sightings> => {
      for (const stage of [one, two]) stage.begin();
      const sender = both()[host];
      const trace = sender.cast(name, words);
      await sender.settle(sender.station(name));
      const other = host === "one" ? two : one;
      await other.settle();
      const sightings = () => {
        const seen = Object.entries(both()).flatMap(([where, stage]) =>
          Object.entries(stage.sightings(trace)).map(([at, tags]) => [`${where} ${at}`, tags] as const),
        );
        return Object.fromEntries(seen);
      };
      await waitForAll(`${host} ${name}`, places, sightings);
      return sightings();
    };
    /** Expects that one frame comes out at these places, with these tags, and nowhere else. */
    const expectOut = async (expected: Sightings, host: "one" | "two", name: string, words?: ProbeWords) =>
      expect(await sendFrom(host, name, words, Object.keys(expected))).toEqual(expected);

    for (const vlan of [100, 200]) {
      it(`VLAN ${vlan} reaches VLAN ${vlan} on the other host, with the same addresses as the other VLAN [F133]`, async () => {
        const [from, to] = [one.station(`${vlan}`), two.station(`${vlan}`)];

        await waitUntil("the other host to answer", () => canPing(from.namespace, ADDRESS.two));
        const neighbours = await from.namespace.json<{ lladdr?: string }[]>(["ip", "-json", "neigh", "show"]);
        expect(neighbours.map(({ lladdr }) => lladdr)).toEqual([to.mac]);
      });

      it(`a frame of VLAN ${vlan} comes to VLAN ${vlan} of the other host alone, over the wire with that tag`, async () => {
        const lonely = vlan === 200 ? { "two lonely": "untagged" } : {};

        await expectOut({ "one uplink": `${vlan}`, [`two ${vlan}`]: "untagged", ...lonely }, "one", `${vlan}`);
        await expectOut({ "two uplink": `${vlan}`, [`one ${vlan}`]: "untagged", ...lonely }, "two", `${vlan}`);
      });
    }

    it("an address that is in VLAN 200 alone is found from there, and not from VLAN 100", async () => {
      const lonely = two.station("lonely");

      await waitUntil("the address to answer", () => canPing(one.station("200").namespace, LONELY));
      await expectOut({ "one uplink": "100", "two 100": "untagged" }, "one", "100", { arpFor: LONELY });
      const seen = await sendFrom("one", "100", { to: lonely.mac }, ["one uplink"]);
      expect(seen).not.toHaveProperty("two lonely");
    });

    it("a container gets across with no tag of its own", async () => {
      for (const tags of [[100], [200], [100, 200], [0]]) {
        expect(await sendFrom("one", "100", { tags }), tags.join(" ")).toEqual({});
      }
    });

    it("nothing but the two tags was ever on the wire", () => {
      expect([...one.strangers(), ...two.strangers()]).toEqual([]);
    });
  });
}

/** Makes of both neighbours one wire that looks at no tag. */
async function joinWires(one: VlanStage, two: VlanStage): Promise<void> {
  await shell(one.neighbour, [`ip link add wire0 type veth peer name wire0 netns ${two.neighbour.name}`]);
  for (const { neighbour } of [one, two]) {
    await shell(neighbour, [
      "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
      "ip link add wire type bridge mcast_snooping 0",
      "for link in lan0 wire0; do ip link set $link master wire up; done",
      "ip link set wire up",
    ]);
  }
}

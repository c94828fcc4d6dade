// The attacks of the fault catalogue (section C.4) on ports of an Open vSwitch, whichever datapath it has: sent from a port that
// is not guarded they come out somewhere, from a guarded one nowhere. What every endpoint may send comes out where it belongs.
import { describe, expect, it } from "vitest";
import {
  type EndpointPort,
  adoptedEndpointFlows,
  adoptedSwitchFlows,
  endpointFlows,
  gatewayFlows,
  switchFlows,
  uplinkFlows,
  vlanFlows,
} from "../../src/datapath/ovs/flows.ts";
import { lawfulArp, arpAttacks } from "../support/attacks-arp.ts";
import {
  lawfulFrames,
  macAttacks,
  multicastAttacks,
  protocolAttacks,
  tagAttacks,
} from "../support/attacks-ethernet.ts";
import { lawfulNeighbour, neighbourAttacks, routerAttacks } from "../support/attacks-ipv6.ts";
import {
  dhcpAttacks,
  lawfulPackets,
  redirectAttacks,
  sourceAttacks,
  unwantedIpv6,
} from "../support/attacks-packets.ts";
import { type Attack, type Form, NOBODY_MAC, type Scene, inEnvelopes, inFrame } from "../support/attacks.ts";
import { macOption, neighbourSolicitation } from "../support/frames-ipv6.ts";
import type { OvsDatapath } from "../support/ovs-host.ts";
import { OvsStand, portOf, station } from "../support/ovs-stand.ts";
import { waitUntil } from "../support/wait-until.ts";

const NAMES = ["attacker", "victim", "peer", "free", "gateway", "uplink"] as const;
const scene: Scene = {
  attacker: station(1),
  victim: station(2),
  peer: station(3),
  gateway: station(5),
  other: { 4: "10.1.9.2", 6: "fd00:1:9::2" },
  otherGateway: { 4: "10.1.9.1", 6: "fd00:1:9::1" },
  host: { 4: "192.0.2.1", 6: "2001:db8:1::1" },
  neighbour: { 4: "192.0.2.9", 6: "2001:db8:1::9" },
  neighbourMac: "02:00:00:00:00:99",
  hostMac: "02:00:00:00:00:01",
};
const BEYOND = { 4: "198.51.100.7", 6: "2001:db8:2::7" };

const byMac = [
  ...routerAttacks(scene, BEYOND[6]),
  ...macAttacks(scene),
  ...tagAttacks(scene),
  ...dhcpAttacks(scene),
  ...protocolAttacks(scene),
  ...multicastAttacks(scene),
];
/** Which of two options that differ a receiver takes is its own affair. */
const doubtful: Attack = {
  id: "S02",
  title: "the own address in a question with two options that differ",
  effect: { kind: "heard", at: "victim" },
  forms: inEnvelopes("to the victim", [
    inFrame(
      scene.attacker.mac,
      scene.victim.mac,
      neighbourSolicitation(
        scene.attacker[6],
        scene.victim[6],
        scene.victim[6],
        macOption("sourceMac", scene.attacker.mac),
        macOption("sourceMac", NOBODY_MAC),
      ),
    ),
  ]),
};
const byAddress = [
  doubtful,
  ...arpAttacks(scene),
  ...neighbourAttacks(scene),
  ...sourceAttacks(scene),
  ...redirectAttacks(scene, BEYOND[4]),
];
const lawful = [...lawfulArp(scene), ...lawfulNeighbour(scene), ...lawfulFrames(scene), ...lawfulPackets(scene)];

/** Open vSwitch takes nobody for a multicast router for these: it listens to questions alone. */
const isHarmless = ({ name }: Form) => name.startsWith("PIM hello") || name.startsWith("IGMP router advertisement");

const { address = "", addressIpv6: _, ...byMacAlone } = portOf(1);

/** By what is known of the attacker. */
const ATTACKERS = {
  nothing: portOf(1, { isGuarded: false }),
  mac: byMacAlone,
  address: { ...byMacAlone, address },
  everything: portOf(1),
} as const satisfies Record<string, EndpointPort>;

/** An attacker as a test wants it, and others; the switch is tsnet's own. */
async function rangeFor(known: keyof typeof ATTACKERS, datapath: OvsDatapath): Promise<OvsStand> {
  const stand = await OvsStand.with(Object.fromEntries(NAMES.map((name) => [name, {}])), { datapath });
  const ports = [ATTACKERS[known], portOf(2), portOf(3), portOf(4, { isGuarded: false })];
  const uplink = { ofport: 6, vlans: [0] };
  const gateway = { ofport: 5, mac: station(5).mac, vlan: 0 };
  await stand.add(
    switchFlows(),
    ports.flatMap(endpointFlows),
    gatewayFlows(gateway),
    uplinkFlows(uplink),
    vlanFlows(0, [uplink], ports),
  );
  return stand;
}

/** Sends all forms, and if anything came out, each for itself. @returns what came out, and where. */
async function escaping(stand: OvsStand, { forms }: Attack): Promise<readonly string[]> {
  const all = forms.filter((form) => !isHarmless(form));
  await stand.sendRaw(
    "attacker",
    all.flatMap(({ frames }) => frames),
  );
  const suspects = all.filter(({ traces }) => stand.heard(traces).length > 0);
  const found: string[] = [];
  for (const { name, frames, traces } of suspects) {
    await stand.sendRaw("attacker", frames);
    const at = stand.heard(traces);
    if (at.length > 0) found.push(`${name} at ${at.join(", ")}`);
  }
  return found;
}

/** Where lawful frames shall be heard. */
function placeOf({ effect }: Attack): string {
  return effect.kind === "heard" && effect.at !== "victim" ? "gateway" : "victim";
}

async function withheld(stand: OvsStand, attacks: readonly Attack[]): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const attack of attacks) {
    for (const { name, frames, traces } of attack.forms) {
      await stand.sendRaw("attacker", frames);
      // A kernel has a thread for each processor to ask about what it does not know: what is sent last may pass first.
      const isHeard = () => stand.heard(traces).includes(placeOf(attack));
      const hasPassed = await waitUntil("the frames", isHeard, { intervalMs: 10 }).catch(() => false);
      if (!hasPassed) missing.push(`${attack.title}: ${name}`);
    }
  }
  return missing;
}

const all = (attacks: readonly Attack[]) => attacks.map((attack) => [`${attack.id} ${attack.title}`, attack] as const);

/** Runs them. */
export function describeOvsAttacks(datapath: OvsDatapath): void {
  describe(`attacks on Open vSwitch (${datapath})`, () => {
    it("come out of a port that is not guarded: the tests below would notice", async () => {
      await using stand = await rangeFor("nothing", datapath);

      const silent: string[] = [];
      for (const [title, attack] of all([...byMac, ...byAddress, ...unwantedIpv6(scene)])) {
        if ((await escaping(stand, attack)).length === 0) silent.push(title);
      }

      expect(silent).toEqual(
        [
          "S04 frames from a peer's MAC address to one that is reserved for bridges",
          "S07 frames with tags",
          "S15 protocols of bridges",
          "S03 a router by advertisement to a MAC address that is reserved for bridges",
        ].sort(),
      );
    });

    it("fail from a guarded port with both addresses, and what is lawful comes out [S01, S02, S03, S04, S07, S08, S09, S15, S16, S19]", async () => {
      await using stand = await rangeFor("everything", datapath);

      const escaped: Record<string, readonly string[]> = {};
      for (const [title, attack] of all([...byMac, ...byAddress])) {
        const found = await escaping(stand, attack);
        if (found.length > 0) escaped[title] = found;
      }

      expect(escaped).toEqual({});
      expect(await withheld(stand, lawful)).toEqual([]);
      for (const attack of neighbourAttacks(scene)) {
        // what is lawful is what the kernel remembers now
        expect(await withheld(stand, lawfulNeighbour(scene))).toEqual([]);
        expect([attack.title, await escaping(stand, attack)]).toEqual([attack.title, []]);
      }
    });

    it("fail from a guarded port with an IPv4 address alone, IPv6 as a whole too", async () => {
      await using stand = await rangeFor("address", datapath);

      const escaped: Record<string, readonly string[]> = {};
      for (const [title, attack] of all([...byMac, ...byAddress, ...unwantedIpv6(scene)])) {
        const found = await escaping(stand, attack);
        if (found.length > 0) escaped[title] = found;
      }

      expect(escaped).toEqual({});
      expect(await withheld(stand, lawfulArp(scene))).toEqual([]);
    });

    it("that the MAC address tells fail from a guarded port of which no address is known", async () => {
      await using stand = await rangeFor("mac", datapath);

      const escaped: Record<string, readonly string[]> = {};
      for (const [title, attack] of all(byMac)) {
        const found = await escaping(stand, attack);
        if (found.length > 0) escaped[title] = found;
      }

      expect(escaped).toEqual({});
      expect(await withheld(stand, lawful)).toEqual([]);
    });

    it("fail on a switch of the user's own but for DHCP servers in fragments, and what is lawful meets his flows", async () => {
      await using stand = await OvsStand.with(Object.fromEntries(NAMES.map((name) => [name, {}])), {
        isOurs: false,
        datapath,
      });
      await stand.add(adoptedSwitchFlows(), [portOf(1), portOf(2)].flatMap(adoptedEndpointFlows));

      const escaped = new Set<string>();
      for (const [title, attack] of all([...byMac, ...byAddress])) {
        for (const form of await escaping(stand, attack)) escaped.add(`${title}: ${form.split(",")[0]}`);
      }

      // of the last the kernel says more
      const inKernel = ["S08 a DHCP server: offer in fragments", "S08 a DHCPv6 server: in fragments"];
      const inUserspace = [...inKernel, "S08 a DHCPv6 server: in the second fragment"];
      expect([...escaped]).toEqual(datapath === "system" ? inKernel : inUserspace);
      expect(await withheld(stand, lawful)).toEqual([]);
    });
  });
}

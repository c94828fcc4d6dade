// All attacks in one list, and what is lawful of the same kinds.
import type { Backend } from "../../src/cnm/network.ts";
import { lawfulArp, arpAttacks } from "./attacks-arp.ts";
import { closedDoors } from "./attacks-doors.ts";
import { lawfulFrames, macAttacks, multicastAttacks, protocolAttacks, tagAttacks } from "./attacks-ethernet.ts";
import { lawfulNeighbour, neighbourAttacks, routerAttacks } from "./attacks-ipv6.ts";
import { dhcpAttacks, lawfulPackets, redirectAttacks, sourceAttacks } from "./attacks-packets.ts";
import type { Addresses, Attack, Form, Scene } from "./attacks.ts";

/** @param beyond - what the victim reaches by its gateway. @param backend - of the network under attack. */
export function attacksOn(scene: Scene, beyond: Addresses, backend: Backend = "bridge"): readonly Attack[] {
  const attacks = [
    ...arpAttacks(scene),
    ...neighbourAttacks(scene),
    ...routerAttacks(scene, beyond[6]),
    ...macAttacks(scene),
    ...tagAttacks(scene),
    ...dhcpAttacks(scene),
    ...sourceAttacks(scene),
    ...closedDoors(scene),
    ...protocolAttacks(scene),
    ...multicastAttacks(scene),
    ...redirectAttacks(scene, beyond[4]),
  ];
  if (backend === "bridge") return attacks;
  return attacks.map((attack) => withForms(attack, (form) => !(isUnheardByOvs(attack, form) && form.isOnlyHeard)));
}

/** Those that fail where only the MAC address of an endpoint is known. */
export function attacksByMac(scene: Scene, beyond: Addresses): readonly Attack[] {
  return [
    ...routerAttacks(scene, beyond[6]),
    ...macAttacks(scene),
    ...tagAttacks(scene),
    ...dhcpAttacks(scene),
    ...protocolAttacks(scene),
    ...multicastAttacks(scene),
  ];
}

/** What every container may send, attacker or not. */
export function lawfulOn(scene: Scene): readonly Attack[] {
  return [...lawfulArp(scene), ...lawfulNeighbour(scene), ...lawfulFrames(scene), ...lawfulPackets(scene)];
}

/** What works where tsnet guards nobody: without what its rules hold all the same, and what the switch does. */
export function worksUnguarded(attacks: readonly Attack[], backend: Backend): readonly Attack[] {
  const free = attacks.filter(({ heldAnywayBy }) => heldAnywayBy === undefined);
  if (backend === "bridge") return free;
  return free
    .filter(({ title }) => !HELD_BY_OVS.includes(title))
    .map((attack) => withForms(attack, (form) => !(form.isTaggedTwice || isUnheardByOvs(attack, form))));
}

/** What Open vSwitch keeps from every port of a switch of tsnet's, guarded or not, as it does frames with two tags. */
const HELD_BY_OVS = [
  "frames with tags",
  "protocols of bridges",
  "all hosts from anywhere by a MAC address that is reserved for bridges",
];

/** To find multicast routers, Open vSwitch listens to questions alone: other messages of theirs are packets as any. */
function isUnheardByOvs({ effect }: Attack, { name }: Form): boolean {
  return effect.kind === "multicastRouter" && /^(PIM hello|IGMP router advertisement)/.test(name);
}

function withForms(attack: Attack, isWanted: (form: Form) => boolean): Attack {
  return { ...attack, forms: attack.forms.filter(isWanted) };
}

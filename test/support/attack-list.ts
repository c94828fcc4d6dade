// All attacks in one list, and what is lawful of the same kinds.
import { lawfulArp, arpAttacks } from "./attacks-arp.ts";
import { closedDoors } from "./attacks-doors.ts";
import { lawfulFrames, macAttacks, multicastAttacks, protocolAttacks, tagAttacks } from "./attacks-ethernet.ts";
import { lawfulNeighbour, neighbourAttacks, routerAttacks } from "./attacks-ipv6.ts";
import { dhcpAttacks, lawfulPackets, redirectAttacks, sourceAttacks } from "./attacks-packets.ts";
import type { Addresses, Attack, Scene } from "./attacks.ts";

/** @param beyond - what the victim reaches by its gateway. */
export function attacksOn(scene: Scene, beyond: Addresses): readonly Attack[] {
  return [
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

// Attacks on services and networks that are closed to a container (S10, S11) or to the LAN (S12, S13).
import {
  ATTACK_PORT,
  type Attack,
  type Draft,
  RESERVED_MACS,
  type Scene,
  datagramFrame,
  inEnvelopes,
} from "./attacks.ts";

const AT_VICTIM = { kind: "heard", at: "victim" } as const;
const AT_HOST = { kind: "heard", at: "host" } as const;

/** What comes from the port of the other attacks may be taken for an answer to them. */
const OTHER_PORT = { fromPort: ATTACK_PORT + 2 } as const;

/** Services and networks that are not for this container, or not for this neighbour. */
export function closedDoors(scene: Scene): readonly Attack[] {
  const { attacker, victim, gateway, other, otherGateway, host, neighbourMac, hostMac } = scene;
  const byHost = { from: attacker.mac, to: gateway.mac };
  const fromLan = { from: neighbourMac, to: hostMac };
  const both = (each: (v: 4 | 6) => Attack): readonly Attack[] => [each(4), each(6)];
  const one = (name: string, frame: Draft) => inEnvelopes(name, [frame], "beyond");
  const byReserved = (address: string) =>
    RESERVED_MACS.flatMap((to) => one(to, datagramFrame({ from: attacker.mac, to }, ["203.0.113.9", address])));
  return [
    ...both((v) => ({
      id: "S10",
      title: `the gateway of another network, IPv${v}`,
      effect: AT_HOST,
      forms: one("datagram", datagramFrame(byHost, [attacker[v], otherGateway[v]])),
      heldAnywayBy: "rules",
    })),
    ...both((v) => ({
      id: "S11",
      title: `an endpoint of another network, IPv${v}`,
      effect: { kind: "heard", at: "other" },
      forms: [
        ...one("from the own address", datagramFrame(byHost, [attacker[v], other[v]])),
        ...one("from an address there", datagramFrame(byHost, [other[v].replace(/[^.:]*$/, "99"), other[v]])),
      ],
      heldAnywayBy: "rules",
    })),
    ...both((v) => ({
      id: "S12",
      title: `an endpoint from the LAN by way of the host, IPv${v}`,
      by: "neighbour",
      effect: AT_VICTIM,
      forms: one("datagram", datagramFrame(fromLan, [scene.neighbour[v], victim[v]], OTHER_PORT)),
      heldAnywayBy: "rules",
    })),
    {
      id: "S13",
      title: "the host's 127.0.0.1 from the LAN",
      by: "neighbour",
      effect: AT_HOST,
      forms: one("datagram", datagramFrame(fromLan, [scene.neighbour[4], "127.0.0.1"], OTHER_PORT)),
      heldAnywayBy: "rules",
    },
    {
      id: "S10",
      title: "the host from anywhere by a MAC address that is reserved for bridges",
      effect: AT_HOST,
      forms: byReserved(host[4]),
      heldAnywayBy: "rules",
    },
    {
      id: "S10",
      title: "all hosts from anywhere by a MAC address that is reserved for bridges",
      effect: AT_HOST,
      forms: byReserved("255.255.255.255"),
    },
  ];
}

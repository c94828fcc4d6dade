// S01: somebody else's address by ARP, to be sent what is meant for him. And its lawful counterparts.
import { type Attack, type Draft, NOBODY_MAC, type Scene, inEnvelopes, plainForm } from "./attacks.ts";
import { type Arp, BROADCAST_MAC, ETHERTYPE, arp, ethernet } from "./frames.ts";

/** Receivers that know these would read the addresses elsewhere. */
const LAYOUTS = {
  "hardware of IEEE 802": [6, ETHERTYPE.ipv4, 6, 4],
  "protocol IPv6": [1, ETHERTYPE.ipv6, 6, 4],
  "hardware addresses of 8 bytes": [1, ETHERTYPE.ipv4, 8, 4],
  "protocol addresses of 16 bytes": [1, ETHERTYPE.ipv4, 6, 16],
} as const;

/** @param from - the MAC address that the frame claims to come from. */
function arpFrame(from: string, to: string, message: Arp): Draft {
  return { from, to, type: ETHERTYPE.arp, payload: arp(message) };
}

/** "The gateway is at this MAC address", from there to the victim. */
export function gatewayClaim({ gateway, victim }: Scene, mac: string): Buffer {
  const message = { operation: "reply", senderMac: mac, sender: gateway[4], targetMac: victim.mac } as const;
  return ethernet(arpFrame(mac, victim.mac, { ...message, target: victim[4] }));
}

/** Forged ARP in all its forms. */
export function arpAttacks({ attacker, victim, peer, gateway }: Scene): readonly Attack[] {
  const me = attacker.mac;
  const claim = (sender: string): Arp => ({
    operation: "reply",
    senderMac: me,
    sender,
    targetMac: victim.mac,
    target: victim[4],
  });
  const misled = (title: string, address: string, drafts: Readonly<Record<string, Draft>>, mac = me): Attack => ({
    id: "S01",
    title,
    effect: { kind: "misled", at: "victim", address, mac },
    forms: Object.entries(drafts).flatMap(([name, draft]) => inEnvelopes(name, [draft])),
  });
  const announced = { senderMac: me, sender: gateway[4], target: gateway[4] };
  return [
    misled("the gateway's address by ARP", gateway[4], {
      reply: arpFrame(me, victim.mac, claim(gateway[4])),
      "broadcast reply": arpFrame(me, BROADCAST_MAC, claim(gateway[4])),
      request: arpFrame(me, BROADCAST_MAC, { ...claim(gateway[4]), operation: "request" }),
      "gratuitous request": arpFrame(me, BROADCAST_MAC, { ...announced, operation: "request" }),
      "gratuitous reply": arpFrame(me, BROADCAST_MAC, { ...announced, operation: "reply", targetMac: BROADCAST_MAC }),
      "reply in a frame from the gateway": arpFrame(gateway.mac, victim.mac, claim(gateway[4])),
    }),
    misled("a peer's address by ARP", peer[4], { reply: arpFrame(me, victim.mac, claim(peer[4])) }),
    misled(
      "the gateway at a MAC address of nobody",
      gateway[4],
      {
        reply: arpFrame(me, victim.mac, { ...claim(gateway[4]), senderMac: NOBODY_MAC }),
      },
      NOBODY_MAC,
    ),
    {
      id: "S01",
      title: "the victim's address towards the host by ARP",
      effect: { kind: "misled", at: "host", address: victim[4], mac: me },
      forms: inEnvelopes(
        "request",
        [arpFrame(me, gateway.mac, { operation: "request", senderMac: me, sender: victim[4], target: gateway[4] })],
        "beyond",
      ),
    },
    {
      id: "S01",
      title: "ARP of another layout, with the own address where a filter may look for it",
      effect: { kind: "heard", at: "victim" },
      forms: Object.entries(LAYOUTS).map(([name, layout]) =>
        plainForm(name, [arpFrame(me, victim.mac, { ...claim(attacker[4]), layout })]),
      ),
    },
    {
      id: "S01",
      title: "a probe that denies the victim its address (RFC 5227 2.1.1)",
      effect: { kind: "heard", at: "victim" },
      forms: inEnvelopes("probe", [
        arpFrame(me, BROADCAST_MAC, { operation: "request", senderMac: me, sender: "0.0.0.0", target: victim[4] }),
      ]),
    },
  ];
}

/** ARP as every container sends it. */
export function lawfulArp({ attacker, victim }: Scene): readonly Attack[] {
  const own = { senderMac: attacker.mac, sender: attacker[4] };
  const toAll = (message: Arp) => [arpFrame(attacker.mac, BROADCAST_MAC, message)];
  return [
    {
      id: "S01",
      title: "ARP for the own address",
      effect: { kind: "heard", at: "victim" },
      forms: [
        plainForm("request", toAll({ ...own, operation: "request", target: victim[4] })),
        plainForm("reply", [
          arpFrame(attacker.mac, victim.mac, { ...own, operation: "reply", targetMac: victim.mac, target: victim[4] }),
        ]),
        plainForm("probe", toAll({ ...own, sender: "0.0.0.0", operation: "request", target: attacker[4] })),
        plainForm("announcement", toAll({ ...own, operation: "request", target: attacker[4] })),
      ],
    },
  ];
}

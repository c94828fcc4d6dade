// Attacks by whole IP packets, and their lawful counterparts: rogue DHCP (S08), somebody else's source address (S09), services
// and networks that are closed (S10 to S13), redirects (S19), IPv6 where there is none (S21).
import {
  type Attack,
  type Form,
  type Scene,
  datagramFrame,
  inEnvelopes,
  inFragments,
  inFrame,
  onlyHeard,
  plainForm,
  uniqueBytes,
} from "./attacks.ts";
import { BROADCAST_MAC, type Packet, PROTOCOL, dhcpReply, icmp, icmpRedirect, ipv4, udpPacket } from "./frames.ts";
import * as v6 from "./frames-ipv6.ts";

const AT_VICTIM = { kind: "heard", at: "victim" } as const;
const AT_HOST = { kind: "heard", at: "host" } as const;
/** Addresses that are nobody's here. */
const INTERNET = { 4: "203.0.113.9", 6: "2001:db8:99::9" } as const;

/** A DHCP server that nobody asked for. */
export function dhcpAttacks({ attacker, victim, gateway }: Scene): readonly Attack[] {
  const me = attacker.mac;
  const data = dhcpReply(victim.mac, victim[4], attacker[4], Buffer.from("350102", "hex")); // message type: offer
  const offer = (from: string, to: string) => udpPacket({ from, to, fromPort: 67, toPort: 68, data });
  const advertise = udpPacket({
    from: attacker.linkLocal,
    to: victim.linkLocal,
    fromPort: 547,
    toPort: 546,
    data: v6.dhcpv6Advertise(me),
  });
  const behindOptions = v6.extended(advertise, "destination");
  const toVictim = (packets: readonly Packet[]) => packets.map((packet) => inFrame(me, victim.mac, packet));
  return [
    {
      id: "S08",
      title: "a DHCP server",
      effect: AT_VICTIM,
      forms: [
        ...inEnvelopes("offer to all", [inFrame(me, BROADCAST_MAC, offer(attacker[4], "255.255.255.255"))]),
        ...inEnvelopes("offer to the victim", toVictim([offer(attacker[4], victim[4])])),
        ...inEnvelopes("offer from the gateway", toVictim([offer(gateway[4], victim[4])])),
        ...inEnvelopes("offer in fragments", inFragments(me, victim.mac, offer(attacker[4], victim[4]), 64)),
      ],
    },
    {
      id: "S08",
      title: "a DHCPv6 server",
      effect: AT_VICTIM,
      forms: [
        ...inEnvelopes("advertise", toVictim([advertise])),
        ...inEnvelopes("behind options", toVictim([behindOptions])),
        ...inEnvelopes("in fragments", inFragments(me, victim.mac, advertise, 16)),
        ...onlyHeard(inEnvelopes("in the second fragment", inFragments(me, victim.mac, behindOptions, 8))),
      ],
    },
  ];
}

/** Datagrams that are not from whom they say. */
export function sourceAttacks(scene: Scene): readonly Attack[] {
  const { attacker, victim, peer, gateway, other, host, neighbour } = scene;
  const me = attacker.mac;
  const spoofed = (
    from: readonly string[],
    mac: string,
    to: string,
    reader: "stack" | "beyond" = "stack",
  ): readonly Form[] =>
    from.flatMap((source) =>
      inEnvelopes(`from ${source}`, [datagramFrame({ from: me, to: mac }, [source, to])], reader),
    );
  const everybody4 = [peer[4], gateway[4], other[4], host[4], INTERNET[4]];
  const everybody6 = [peer[6], peer.linkLocal, gateway[6], other[6], host[6], INTERNET[6]];
  const nobody4 = ["0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255"];
  const nobody6 = [v6.UNSPECIFIED, "::1", "ff02::5"];
  const big = { from: peer[4], to: victim[4], fromPort: 9, toPort: 9, data: Buffer.alloc(200, uniqueBytes()) };
  return [
    {
      id: "S09",
      title: "IPv4 from another address, to the victim",
      effect: AT_VICTIM,
      forms: [
        ...spoofed([...everybody4, ...nobody4], victim.mac, victim[4]),
        ...inEnvelopes(`from ${peer[4]} in fragments`, inFragments(me, victim.mac, udpPacket(big), 64)),
      ],
    },
    {
      id: "S09",
      title: "IPv6 from another address, to the victim",
      effect: AT_VICTIM,
      forms: spoofed([...everybody6, ...nobody6], victim.mac, victim[6]),
    },
    {
      id: "S09",
      title: "IPv4 from another address, to the host",
      effect: AT_HOST,
      forms: spoofed([peer[4], INTERNET[4]], gateway.mac, gateway[4], "beyond"),
    },
    {
      id: "S09",
      title: "IPv6 from another address, to the host",
      effect: AT_HOST,
      forms: spoofed([peer[6], INTERNET[6]], gateway.mac, gateway[6], "beyond"),
    },
    ...([4, 6] as const).map((v): Attack => ({
      id: "S09",
      title: `IPv${v} from a peer's address, to the LAN`,
      effect: { kind: "heard", at: "neighbour" },
      forms: spoofed([peer[v]], gateway.mac, neighbour[v], "beyond"),
    })),
    ...([4, 6] as const).map((v): Attack => ({
      id: "S09",
      title: `IPv${v} from an address of the Internet, to the LAN`,
      effect: { kind: "heard", at: "neighbour" },
      forms: spoofed([INTERNET[v]], gateway.mac, neighbour[v], "beyond"),
      heldAnywayBy: "rules",
    })),
  ];
}

/** ICMP redirect for IPv4; that for IPv6 is neighbour discovery. @param beyond - what the victim reaches by its gateway. */
export function redirectAttacks({ attacker, victim, gateway }: Scene, beyond: string): readonly Attack[] {
  const quoted = ipv4({ from: victim[4], to: beyond, protocol: PROTOCOL.icmp, payload: icmp(0, 0, Buffer.alloc(4)) });
  const payload = icmpRedirect(attacker[4], quoted);
  const packet = { from: gateway[4], to: victim[4], protocol: PROTOCOL.icmp, payload };
  return [
    {
      id: "S19",
      title: "a way by the attacker, by ICMP redirect",
      effect: { kind: "redirected", destination: beyond },
      forms: inEnvelopes("from the gateway", [inFrame(attacker.mac, victim.mac, packet)]),
    },
  ];
}

/** IPv6 on a network without it. */
export function unwantedIpv6({ attacker, victim }: Scene): readonly Attack[] {
  const me = attacker.mac;
  const packets: Readonly<Record<string, Packet>> = {
    "router advertisement": v6.routerAdvertisement(attacker.linkLocal, v6.ALL_NODES),
    "neighbour solicitation": v6.neighbourSolicitation(attacker.linkLocal, v6.ALL_NODES, victim.linkLocal),
    "duplicate address detection": v6.neighbourSolicitation(v6.UNSPECIFIED, v6.ALL_NODES, attacker.linkLocal),
    "router solicitation from nowhere": { ...v6.routerSolicitation(v6.UNSPECIFIED), to: v6.ALL_ROUTERS },
    "multicast listener report from nowhere": v6.mldReport(v6.UNSPECIFIED),
    echo: v6.icmpv6(attacker.linkLocal, v6.ALL_NODES, 128, uniqueBytes()),
  };
  const frames = Object.entries(packets).map(
    ([name, packet]) => [name, inFrame(me, v6.multicastMacOf(packet.to), packet)] as const,
  );
  const chat = datagramFrame({ from: me, to: victim.mac }, [attacker.linkLocal, victim.linkLocal]);
  return [
    {
      id: "S21",
      title: "IPv6 on a network without it",
      effect: AT_VICTIM,
      forms: [...frames, ["datagram", chat] as const].flatMap(([name, frame]) => inEnvelopes(name, [frame])),
    },
  ];
}

/** IP as every container sends it. */
export function lawfulPackets(scene: Scene): readonly Attack[] {
  const { attacker, victim, gateway, neighbour } = scene;
  const toVictim = { from: attacker.mac, to: victim.mac };
  const byHost = { from: attacker.mac, to: gateway.mac };
  const discover = udpPacket({
    from: "0.0.0.0",
    to: "255.255.255.255",
    fromPort: 68,
    toPort: 67,
    data: dhcpReply(attacker.mac, "0.0.0.0", "0.0.0.0", Buffer.from("350101", "hex")),
  });
  const big = (v: 4 | 6) =>
    udpPacket({ from: attacker[v], to: victim[v], fromPort: 9, toPort: 9, data: Buffer.alloc(2000, uniqueBytes()) });
  const ports = { fromPort: 546, toPort: 547 };
  const echo = v6.icmpv6(attacker[6], victim[6], 128, uniqueBytes());
  return [
    {
      id: "S08",
      title: "DHCP clients",
      effect: AT_VICTIM,
      forms: [
        plainForm("discover", [inFrame(attacker.mac, BROADCAST_MAC, discover)]),
        plainForm("DHCPv6 solicit", [datagramFrame(toVictim, [attacker.linkLocal, victim.linkLocal], ports)]),
      ],
    },
    {
      id: "S09",
      title: "datagrams from the own addresses",
      effect: AT_VICTIM,
      forms: [
        ...([4, 6, "linkLocal"] as const).map((v) =>
          plainForm(`datagram ${v}`, [datagramFrame(toVictim, [attacker[v], victim[v]])]),
        ),
        plainForm("IPv4 in fragments", inFragments(attacker.mac, victim.mac, big(4), 1480)),
        plainForm("IPv6 in fragments", inFragments(attacker.mac, victim.mac, big(6), 1400)),
        plainForm("behind destination options", [inFrame(attacker.mac, victim.mac, v6.extended(echo, "destination"))]),
      ],
    },
    ...([4, 6] as const).flatMap((v): Attack[] => [
      {
        id: "S10",
        title: `the own gateway, IPv${v}`,
        effect: AT_HOST,
        forms: [plainForm("datagram", [datagramFrame(byHost, [attacker[v], gateway[v]])])],
      },
      {
        id: "S11",
        title: `the LAN, IPv${v}`,
        effect: { kind: "heard", at: "neighbour" },
        forms: [plainForm("datagram", [datagramFrame(byHost, [attacker[v], neighbour[v]])])],
      },
    ]),
  ];
}

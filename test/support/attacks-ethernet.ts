// Attacks below IP, and on the switch itself: stolen MAC addresses (S04), tags (S07), protocols of bridges and others that no
// container has to speak (S15), multicast routers (S16). And their lawful counterparts.
import {
  type Attack,
  type Form,
  NOBODY_MAC,
  RESERVED_MACS,
  type Scene,
  datagramFrame,
  inEnvelopes,
  inFrame,
  plainForm,
  uniqueBytes,
} from "./attacks.ts";
import {
  BROADCAST_MAC,
  ETHERTYPE,
  PROTOCOL,
  type Tag,
  arp,
  ethernet,
  icmp,
  igmpQuery,
  ipv4,
  llc,
  udpPacket,
} from "./frames.ts";
import * as v6 from "./frames-ipv6.ts";

const AT_VICTIM = { kind: "heard", at: "victim" } as const;

/** A peer's MAC address, to be sent what is meant for it. */
export function macAttacks({ attacker, victim, peer }: Scene): readonly Attack[] {
  const moved = { id: "S04", effect: { kind: "moved", mac: peer.mac } } as const;
  const asPeer = (to: string) => ({ from: peer.mac, to });
  const own = { operation: "request", senderMac: attacker.mac, sender: attacker[4], target: victim[4] } as const;
  return [
    {
      ...moved,
      title: "frames from a peer's MAC address",
      forms: [
        ...inEnvelopes("to the victim", [datagramFrame(asPeer(victim.mac), [attacker[4], victim[4]])], "beyond"),
        ...inEnvelopes("to all", [{ ...asPeer(BROADCAST_MAC), type: ETHERTYPE.arp, payload: arp(own) }], "beyond"),
        ...inEnvelopes("to nobody", [datagramFrame(asPeer("02:55:55:55:55:55"), [peer[4], victim[4]])], "beyond"),
      ],
    },
    {
      id: "S04",
      title: "frames from a MAC address of nobody",
      effect: AT_VICTIM,
      forms: inEnvelopes("to the victim", [
        datagramFrame({ from: NOBODY_MAC, to: victim.mac }, [attacker[4], victim[4]]),
      ]),
    },
    {
      ...moved,
      title: "frames from a peer's MAC address to one that is reserved for bridges",
      forms: RESERVED_MACS.flatMap((to) =>
        inEnvelopes(to, [{ ...asPeer(to), type: ETHERTYPE.lldp, payload: uniqueBytes() }], "beyond"),
      ),
    },
  ];
}

/** Tags that might be those of other networks. */
export function tagAttacks({ attacker, victim }: Scene): readonly Attack[] {
  const q = (id: number): Tag => ({ type: ETHERTYPE.customerTag, id });
  const ad = (id: number): Tag => ({ type: ETHERTYPE.serviceTag, id });
  const tags = [[q(1)], [q(10)], [q(4094)], [q(4095)], [ad(10)], [q(10), q(20)], [q(0), q(20)], [ad(0), q(20)]];
  return [
    {
      id: "S07",
      title: "frames with tags",
      effect: AT_VICTIM,
      forms: tags.map((each): Form => {
        const data = uniqueBytes();
        const draft = datagramFrame({ from: attacker.mac, to: victim.mac }, [attacker[4], victim[4]], { data });
        const name = each.map(({ type, id }) => `${type === ETHERTYPE.serviceTag ? "802.1ad" : "802.1Q"} ${id}`);
        return { name: name.join(" and "), frames: [ethernet({ ...draft, tags: each })], traces: [data] };
      }),
    },
  ];
}

/** A bridge that wants to be the root (IEEE 802.1D 9.3.1): priority 0, the attacker's MAC address. */
function rootClaim(mac: string): Buffer {
  const identity = Buffer.concat([Buffer.of(0, 0), Buffer.from(mac.replaceAll(":", ""), "hex")]);
  const times = Buffer.from("0000140002000f00", "hex"); // age 0, at most 20 s, hello 2 s, delay 15 s
  const payload = Buffer.concat([Buffer.alloc(5), identity, Buffer.alloc(4), identity, Buffer.of(0x80, 1), times]);
  return llc({ to: "01:80:c2:00:00:00", from: mac, header: "42 42 03", payload });
}

/** Protocols that are neither ARP nor IP. */
export function protocolAttacks({ attacker, victim, peer }: Scene): readonly Attack[] {
  const me = attacker.mac;
  const unwanted = (title: string, forms: readonly Form[]): Attack => ({ id: "S15", title, effect: AT_VICTIM, forms });
  const bpdu = rootClaim(me);
  const ofType = (name: string, to: string, type: number, payload = uniqueBytes()): Form =>
    plainForm(name, [{ from: me, to, type, payload }]);
  const inLlc = (name: string, to: string, header: string): Form => {
    const payload = uniqueBytes();
    return { name, frames: [llc({ to, from: me, header, payload })], traces: [payload] };
  };
  const forged = ipv4(udpPacket({ from: peer[4], to: victim[4], fromPort: 9, toPort: 9, data: uniqueBytes() }));
  return [
    unwanted("protocols of bridges", [
      { name: "BPDU", frames: [bpdu], traces: [bpdu.subarray(14)] },
      inLlc("BPDU of a VLAN (PVST)", "01:00:0c:cc:cc:cd", "aa aa 03 00 00 0c 01 0b"),
      inLlc("CDP", "01:00:0c:cc:cc:cc", "aa aa 03 00 00 0c 20 00"),
      ofType("LLDP to the nearest customer bridge", "01:80:c2:00:00:00", ETHERTYPE.lldp),
    ]),
    unwanted("other protocols, to the victim", [
      ...Object.entries({
        RARP: ETHERTYPE.rarp,
        MPLS: ETHERTYPE.mpls,
        EAPOL: ETHERTYPE.eapol,
        LLDP: ETHERTYPE.lldp,
      }).map(([name, type]) => ofType(name, victim.mac, type)),
      ofType(
        "IPv4 in PPPoE",
        victim.mac,
        ETHERTYPE.pppoeSession,
        Buffer.concat([Buffer.from("1100000100000021", "hex"), forged]),
      ),
      inLlc("NetBEUI", victim.mac, "f0 f0 03"),
    ]),
  ];
}

/** Who says that he is a multicast router gets the multicast of all. */
export function multicastAttacks({ attacker }: Scene): readonly Attack[] {
  const me = attacker.mac;
  const toAll = "01:00:5e:00:00:01";
  const packet = (to: string, protocol: number, payload: Buffer) => ({
    from: attacker[4],
    to,
    protocol,
    payload,
    ttl: 1,
  });
  const queries = {
    "IGMP query": inFrame(me, toAll, packet("224.0.0.1", PROTOCOL.igmp, igmpQuery())),
    "MLD query": inFrame(me, v6.ALL_NODES_MAC, v6.mldQuery(attacker.linkLocal)),
  };
  const others = {
    "PIM hello": inFrame(me, "01:00:5e:00:00:0d", packet("224.0.0.13", 103, icmp(0x20, 0, Buffer.alloc(0)))),
    "IGMP router advertisement (RFC 4286)": inFrame(
      me,
      "01:00:5e:00:00:6a",
      packet("224.0.0.106", PROTOCOL.igmp, icmp(0x30, 20, Buffer.alloc(4))),
    ),
  };
  return [
    {
      id: "S16",
      title: "questions for multicast listeners",
      effect: AT_VICTIM,
      forms: Object.entries(queries).flatMap(([name, frame]) => inEnvelopes(name, [frame])),
    },
    {
      id: "S16",
      title: "a multicast router that is none",
      effect: { kind: "multicastRouter" },
      forms: Object.entries({ ...queries, ...others }).flatMap(([name, frame]) => inEnvelopes(name, [frame], "switch")),
    },
  ];
}

/** Frames and multicast as every container sends them. */
export function lawfulFrames({ attacker, victim }: Scene): readonly Attack[] {
  const me = attacker.mac;
  const report = (to: string, type: number) => {
    const payload = icmp(type, 0, Buffer.from("e0000007".padStart(8, "0"), "hex"));
    return inFrame(me, "01:00:5e:00:00:07", { from: attacker[4], to, protocol: PROTOCOL.igmp, payload, ttl: 1 });
  };
  return [
    {
      id: "S04",
      title: "frames from the own MAC address",
      effect: AT_VICTIM,
      forms: [
        plainForm("to the victim", [datagramFrame({ from: me, to: victim.mac }, [attacker[4], victim[4]])]),
        plainForm("to all", [datagramFrame({ from: me, to: BROADCAST_MAC }, [attacker[4], "255.255.255.255"])]),
      ],
    },
    {
      id: "S16",
      title: "multicast and its listeners",
      effect: AT_VICTIM,
      forms: [
        plainForm("IGMPv2 report", [report("224.0.0.7", 0x16)]),
        plainForm("MLD report", [inFrame(me, "33:33:00:00:00:16", v6.mldReport(attacker.linkLocal))]),
        plainForm("MLD report from nowhere", [inFrame(me, "33:33:00:00:00:16", v6.mldReport(v6.UNSPECIFIED))]),
        plainForm("multicast datagram", [
          datagramFrame({ from: me, to: "01:00:5e:00:00:fb" }, [attacker[4], "224.0.0.251"]),
        ]),
      ],
    },
  ];
}

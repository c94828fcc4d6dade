import { describe, expect, it } from "vitest";
import {
  BROADCAST_MAC,
  ETHERTYPE,
  PROTOCOL,
  arp,
  checksum,
  dhcpReply,
  ethernet,
  icmp,
  icmpRedirect,
  ipv4,
  ipv4Fragments,
  llc,
  macBytes,
  padded,
  pseudoHeader,
  snap,
  udp,
  udpPacket,
} from "../../support/frames.ts";
import * as v6 from "../../support/frames-ipv6.ts";

const [A, B] = ["02:42:0a:01:01:02", "02:42:0a:01:01:03"];
const hex = (...words: readonly string[]) => words.join("").replaceAll(" ", "");
const draft = { to: B, from: A, type: ETHERTYPE.ipv4, payload: Buffer.from("4500", "hex") };
const addresses = hex("02420a010103", "02420a010102");
const datagram = { from: "10.1.1.2", to: "10.1.1.3", fromPort: 67, toPort: 68, data: Buffer.from("odd") };

describe("ethernet", () => {
  it("has destination, source, type and payload, in this order", () => {
    expect(ethernet(draft).toString("hex")).toBe(hex(addresses, "0800", "4500"));
  });

  it("has tags before the type, outermost first, with their priorities", () => {
    const tags = [
      { type: ETHERTYPE.serviceTag, id: 0, priority: 7 },
      { type: ETHERTYPE.customerTag, id: 4094 },
    ];

    expect(ethernet({ ...draft, tags }).toString("hex")).toBe(hex(addresses, "88a8e000", "81000ffe", "0800", "4500"));
  });

  it("is padded with zeros up to a length and never cut", () => {
    expect(padded(ethernet(draft), 60)).toHaveLength(60);
    expect(padded(ethernet(draft), 4)).toEqual(ethernet(draft));
  });

  it("refuses what is no MAC address", () => {
    expect(() => macBytes("02:42")).toThrow("02:42 is no MAC address");
  });
});

describe("llc and snap", () => {
  it("have the length of what follows in place of the type", () => {
    const bpdu = llc({ to: B, from: A, header: "42 42 03", payload: Buffer.alloc(2) });

    expect(bpdu.toString("hex")).toBe(hex(addresses, "0005", "424203", "0000"));
    expect(snap(draft).toString("hex")).toBe(hex(addresses, "000a", "aaaa03 000000", "0800", "4500"));
  });
});

describe("arp", () => {
  const message = { operation: "request", senderMac: A, sender: "10.1.1.2", target: "10.1.1.3" } as const;

  it("has the 28 bytes of RFC 826", () => {
    const fixed = hex("0001", "0800", "06", "04", "0001");
    expect(arp(message).toString("hex")).toBe(hex(fixed, "02420a010102", "0a010102", "000000000000", "0a010103"));
  });

  it("says what kind of answer or layout it is given", () => {
    const other = arp({ ...message, operation: "reply", targetMac: BROADCAST_MAC, layout: [6, 0x86dd, 8, 16] });

    expect(other.toString("hex")).toMatch(/^000686dd08100002.*ffffffffffff0a010103$/);
  });
});

describe("ipv4", () => {
  it("has the length and a checksum that adds up to zero", () => {
    const packet = ipv4(udpPacket(datagram));

    expect(packet.subarray(0, 10).toString("hex")).toBe("4500001f000000004011");
    expect(checksum(packet.subarray(0, 20))).toBe(0);
  });

  it("comes in fragments that carry the payload once, all but the last with more to follow", () => {
    const packet = udpPacket({ ...datagram, data: Buffer.alloc(30, 7) });
    const fragments = ipv4Fragments(packet, 16);

    expect(fragments.map((fragment) => fragment.readUInt16BE(6))).toEqual([0x2000, 0x2002, 0x0004]);
    expect(Buffer.concat(fragments.map((fragment) => fragment.subarray(20)))).toEqual(packet.payload);
    expect(() => ipv4Fragments(packet, 12)).toThrow("multiples of 8");
  });
});

describe("udp", () => {
  it.each([
    ["10.1.1.2", "10.1.1.3"],
    ["fd00::2", "fd00::3"],
  ])("has ports, length and a checksum over the addresses: %s to %s", (from, to) => {
    const bytes = udp({ ...datagram, from, to });

    expect(bytes.subarray(0, 6).toString("hex")).toBe("00430044000b");
    expect(checksum(pseudoHeader(from, to, PROTOCOL.udp, bytes.length), bytes)).toBe(0);
  });
});

describe("icmp", () => {
  it("has type, code and a checksum that adds up to zero; a redirect names gateway and packet", () => {
    const redirect = icmpRedirect("10.1.1.9", Buffer.from("45", "hex"));

    expect(checksum(icmp(0x11, 100, Buffer.alloc(4)))).toBe(0);
    expect(redirect.toString("hex")).toMatch(/^0501....0a01010945$/);
  });
});

describe("dhcpReply", () => {
  it("is a BOOTP reply of 240 bytes and the options", () => {
    const reply = dhcpReply(A, "10.1.1.9", "10.1.1.1", Buffer.from("350102", "hex"));

    expect(reply).toHaveLength(244);
    expect(reply.subarray(0, 4).toString("hex")).toBe("02010600");
    expect(reply.subarray(16, 34).toString("hex")).toBe(hex("0a010109", "0a010101", "00000000", "02420a010102"));
    expect(reply.subarray(236).toString("hex")).toBe(hex("63825363", "350102", "ff"));
  });
});

describe("neighbour discovery", () => {
  const solicitation = v6.neighbourSolicitation("fd00::2", "fd00::3", "fd00::3", v6.macOption("sourceMac", A));

  it("has target and options at the places of RFC 4861, and a checksum that adds up to zero", () => {
    const { from, to, payload } = solicitation;

    expect(payload.subarray(0, 2).toString("hex")).toBe("8700");
    expect(payload.subarray(8).toString("hex")).toBe(hex("fd00", "00".repeat(13), "03", "0101", "02420a010102"));
    expect(checksum(pseudoHeader(from, to, PROTOCOL.icmpv6, payload.length), payload)).toBe(0);
  });

  it("has options of whole units of 8 bytes", () => {
    expect(v6.ndOption(14, Buffer.alloc(6))).toHaveLength(8);
    expect(v6.ndOption(14, Buffer.alloc(7))).toHaveLength(16);
    expect(v6.prefixOption("2001:db8::").subarray(0, 4).toString("hex")).toBe("030440c0");
  });

  it("is sent with hop limit 255, and multicast listener messages with 1 behind a router alert", () => {
    expect(v6.ipv6(solicitation).subarray(0, 8).toString("hex")).toBe("6000000000203aff");
    expect(v6.ipv6(v6.mldQuery("fe80::2")).subarray(6, 8).toString("hex")).toBe("0001");
    expect(v6.mldQuery("fe80::2").payload.subarray(0, 9).toString("hex")).toBe(hex("3a00", "05020000", "0100", "82"));
  });
});

describe("extension headers", () => {
  const packet = v6.icmpv6("fd00::2", "fd00::3", 128, Buffer.alloc(20, 7));

  it("stand before the message, say what follows, and hold padding", () => {
    const behind = v6.extended(packet, "destination", 16);

    expect([behind.protocol, behind.payload.subarray(0, 4).toString("hex")]).toEqual([60, "3a01010c"]);
    expect(behind.payload.subarray(16)).toEqual(packet.payload);
  });

  it("part a message into fragments with the offsets of RFC 8200 4.5", () => {
    const fragments = v6.ipv6Fragments(packet, 16);

    expect(fragments.map(({ payload }) => payload.subarray(0, 4).toString("hex"))).toEqual(["3a000001", "3a000010"]);
    expect(Buffer.concat(fragments.map(({ payload }) => payload.subarray(8)))).toEqual(packet.payload);
  });

  it("mark a message that fits as a fragment all the same", () => {
    expect(v6.ipv6Fragments(packet, 1024).map(({ payload }) => payload.readUInt16BE(2))).toEqual([0]);
  });
});

describe("addresses", () => {
  it("follow from MAC and IPv6 addresses as RFC 4291 and RFC 2464 say", () => {
    expect(v6.linkLocalOf(A)).toBe("fe80::42:aff:fe01:102");
    expect(v6.solicitedNodeOf("fd00::1:2:aabb")).toBe("ff02::1:ff02:aabb");
    expect(v6.multicastMacOf("ff02::1:ff02:aabb")).toBe("33:33:ff:02:aa:bb");
  });
});

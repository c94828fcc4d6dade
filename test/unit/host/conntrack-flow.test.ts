import { describe, expect, it } from "vitest";
import { type WantedFlows, flowFilter, flowParts, parseFlow, wantedParts } from "../../../src/host/conntrack-flow.ts";

/** Bytes, written with a space between fields. */
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

/** What a kernel said of `198.51.100.7:40000 > 192.0.2.1:8080`, translated to `10.1.1.2:80`, as it was received. */
const PARTS_4 = {
  header: hex("02 00 0000"),
  original: hex(`3400 0180  1400 0180 0800 0100 c6336407 0800 0200 c0000201
    1c00 0280 0500 0100 06000000 0600 0200 9c400000 0600 0300 1f900000`),
  reply: hex(`3400 0280  1400 0180 0800 0100 0a010102 0800 0200 c6336407
    1c00 0280 0500 0100 06000000 0600 0200 00500000 0600 0300 9c400000`),
  rest: hex("0800 0c00 8000002a  0800 0300 000001ae  0800 0700 00069780"),
};

const FLOW_4 = Buffer.concat(Object.values(PARTS_4));

const ADDRESS_6 = { client: "20010db8 00000000 00000000 00000007", host: "20010db8 00000000 00000000 00000001" };

/** sctp, not translated, from port 40000 to port 8080. */
const FLOW_6 = hex(`0a 00 0000
  4c00 0180  2c00 0180 1400 0300 ${ADDRESS_6.client} 1400 0400 ${ADDRESS_6.host}
    1c00 0280 0500 0100 84000000 0600 0200 9c400000 0600 0300 1f900000
  4c00 0280  2c00 0180 1400 0300 ${ADDRESS_6.host} 1400 0400 ${ADDRESS_6.client}
    1c00 0280 0500 0100 84000000 0600 0200 1f900000 0600 0300 9c400000
  0800 0c00 00000001  0800 0300 0000000e`);

/** A ping: it has an identifier where others have ports. */
const PING = hex(`02 00 0000
  3400 0180  1400 0180 0800 0100 c6336407 0800 0200 c0000201  1c00 0280 0500 0100 01000000 0600 0400 00070000 0500 0500 08000000
  3400 0280  1400 0180 0800 0100 c0000201 0800 0200 c6336407  1c00 0280 0500 0100 01000000 0600 0400 00070000 0500 0500 00000000
  0800 0c00 00000001`);

describe("parseFlow", () => {
  it("reads both tuples, the translation and the id", () => {
    expect(parseFlow(FLOW_4)).toEqual({
      family: 4,
      protocol: 6,
      original: { source: "198.51.100.7", destination: "192.0.2.1", sourcePort: 40000, destinationPort: 8080 },
      reply: { source: "10.1.1.2", destination: "198.51.100.7", sourcePort: 80, destinationPort: 40000 },
      isSourceTranslated: false,
      isDestinationTranslated: true,
      id: 0x8000_002a,
    });
  });

  it("reads IPv6 and sctp", () => {
    expect(parseFlow(FLOW_6)).toEqual({
      family: 6,
      protocol: 132,
      original: { source: "2001:db8::7", destination: "2001:db8::1", sourcePort: 40000, destinationPort: 8080 },
      reply: { source: "2001:db8::1", destination: "2001:db8::7", sourcePort: 8080, destinationPort: 40000 },
      isSourceTranslated: false,
      isDestinationTranslated: false,
      id: 1,
    });
  });

  it("reads that the source is translated", () => {
    const rest = hex("0800 0c00 00000001  0800 0300 0000019e");
    const flow = parseFlow(Buffer.concat(Object.values({ ...PARTS_4, rest })));

    expect(flow).toMatchObject({ isSourceTranslated: true, isDestinationTranslated: false });
  });

  it("gives undefined for a flow without ports, and for one of no IP family", () => {
    expect(parseFlow(PING)).toBeUndefined();
    expect(parseFlow(Buffer.concat([hex("07 00 0000"), FLOW_4.subarray(4)]))).toBeUndefined();
  });
});

describe("flowFilter", () => {
  const tcp = { family: 4, protocol: 6 } as const;

  it.each<WantedFlows>([
    tcp,
    { ...tcp, original: { source: "198.51.100.7" } },
    { ...tcp, original: { destination: "192.0.2.1" } },
    { ...tcp, original: { sourcePort: 40000, destinationPort: 8080 } },
    { ...tcp, reply: { source: "10.1.1.2", sourcePort: 80 } },
    { ...tcp, reply: { destination: "198.51.100.7", destinationPort: 40000 } },
    { ...tcp, isDestinationTranslated: true },
  ])("wants the flow by %j", (wanted) => {
    expect(flowFilter(wanted)(FLOW_4)).toBe(true);
  });

  it.each<WantedFlows>([
    { family: 4, protocol: 17 },
    { family: 6, protocol: 6 },
    { ...tcp, original: { source: "198.51.100.8" } },
    { ...tcp, original: { destination: "10.1.1.2" } },
    { ...tcp, original: { sourcePort: 8080 } },
    { ...tcp, original: { destinationPort: 80 } },
    { ...tcp, reply: { source: "192.0.2.1" } },
    { ...tcp, reply: { destination: "192.0.2.1" } },
    { ...tcp, reply: { sourcePort: 8080 } },
    { ...tcp, reply: { destinationPort: 80 } },
    { ...tcp, original: { destinationPort: 8080 }, reply: { sourcePort: 81 } },
    { ...tcp, isDestinationTranslated: false },
  ])("does not want it by %j", (wanted) => {
    expect(flowFilter(wanted)(FLOW_4)).toBe(false);
  });

  it("compares addresses of IPv6 in whatever form they are written", () => {
    const wanted = { family: 6, protocol: 132, reply: { source: "2001:DB8:0::1" } } as const;

    expect(flowFilter(wanted)(FLOW_6)).toBe(true);
    expect(flowFilter({ ...wanted, reply: { source: "2001:db8::2" } })(FLOW_6)).toBe(false);
  });

  it("does not want a ping, whatever protocol is named", () => {
    for (const protocol of [1, 6]) {
      expect(flowFilter({ family: 4, protocol, original: { sourcePort: 7 } })(PING)).toBe(false);
    }
  });

  it.each([
    ["both directions", Buffer.concat([FLOW_4, hex("0600 1200 00050000")])],
    [
      "one direction",
      Buffer.concat([
        PARTS_4.header,
        hex("3c00 0180"),
        PARTS_4.original.subarray(4),
        hex("0600 0300 00050000"),
        PARTS_4.reply,
        PARTS_4.rest,
      ]),
    ],
  ])("does not want a flow that has a zone of its own in %s", (_, payload) => {
    expect(parseFlow(payload)).toBeDefined();

    expect(flowFilter(tcp)(payload)).toBe(false);
  });

  it("refuses what is no address of the family", () => {
    expect(() => flowFilter({ ...tcp, original: { source: "fd00::1" } })).toThrow("fd00::1 is no IPv4 address");
    expect(() => flowFilter({ ...tcp, reply: { source: "eth0" } })).toThrow('"eth0" is no IP address');
  });
});

describe("wantedParts", () => {
  it("says which parts of the tuples the kernel shall compare", () => {
    const wanted = {
      family: 4,
      protocol: 17,
      original: { destinationPort: 53 },
      reply: { source: "10.1.1.2" },
    } as const;

    expect(Buffer.concat(wantedParts(wanted))).toEqual(
      hex(`02 00 0000
        1c00 0180  0400 0180  1400 0280 0500 0100 11000000 0600 0300 00350000
        1c00 0280  0c00 0180 0800 0100 0a010102  0c00 0280 0500 0100 11000000
        1400 1980  0800 0100 28000000  0800 0200 09000000`),
    );
  });

  it("leaves addresses of IPv6 to us, since the kernel would give all flows but those", () => {
    const wanted = { family: 6, protocol: 6, reply: { source: "fd00::1", sourcePort: 80 } } as const;

    const parts = Buffer.concat(wantedParts(wanted));

    expect(parts.subarray(-20)).toEqual(hex("1400 1980  0800 0100 08000000  0800 0200 18000000"));
  });

  it.each([
    [true, "00000020"],
    [false, "00000000"],
  ])("asks for the status by value and mask when isDestinationTranslated is %s", (isDestinationTranslated, status) => {
    const parts = Buffer.concat(wantedParts({ family: 4, protocol: 6, isDestinationTranslated }));

    expect(parts.subarray(-16)).toEqual(hex(`0800 0300 ${status}  0800 1a00 00000020`));
  });
});

describe("flowParts", () => {
  it("names the original tuple and the id", () => {
    const flow = parseFlow(FLOW_4);

    expect(flow && Buffer.concat(flowParts(flow))).toEqual(
      Buffer.concat([PARTS_4.header, PARTS_4.original, hex("0800 0c00 8000002a")]),
    );
  });
});

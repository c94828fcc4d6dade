import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Address, type Family, parseAddress } from "../../../src/cidr.ts";
import { parseLink, tunnelParts } from "../../../src/host/rtnetlink-link.ts";
import {
  type NewTunnel,
  type Tunnel,
  isSameTunnel,
  parseTunnel,
  tunnelAttributes,
} from "../../../src/host/rtnetlink-tunnel.ts";

const [A4, B4] = [parseAddress("192.0.2.1"), parseAddress("192.0.2.2")];
const [A6, B6] = [parseAddress("2001:db8::1"), parseAddress("2001:db8::2")];

/** Bytes, written with a space between attributes: length, type, value, padding. */
const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

const addresses = (family: Family): fc.Arbitrary<Address> =>
  fc.bigInt({ min: 1n, max: (1n << BigInt(family === 4 ? 32 : 128)) - 1n }).map((value) => ({ family, value }));
const either = fc.constantFrom(4 as const, 6 as const).chain(addresses);
const vni = fc.integer({ min: 1, max: 0xffffff });
const port = fc.integer({ min: 1, max: 0xffff });
const key = fc.integer({ min: 0, max: 0xffffffff });
const gre = (kind: "gretap" | "ip6gretap", family: Family) =>
  fc.record(
    { kind: fc.constant(kind), key, local: addresses(family), remote: addresses(family) },
    { requiredKeys: ["kind", "local", "remote"] },
  );
const tunnels: fc.Arbitrary<NewTunnel> = fc.oneof(
  fc.record({ kind: fc.constant("vxlan" as const), vni, local: either, port }),
  fc.record({ kind: fc.constant("geneve" as const), vni, remote: either, port }),
  gre("gretap", 4),
  gre("ip6gretap", 6),
);

describe("tunnelAttributes", () => {
  it.each<[string, NewTunnel, string]>([
    [
      "VXLAN over IPv4 with checksums, learning, and its port as the wire has it",
      { kind: "vxlan", vni: 0x123456, local: A4, port: 4789 },
      "0800 0100 56341200  0800 0400 c0000201  0500 0500 40000000  0500 0700 01000000  0600 0f00 12b50000  0500 1200 01000000",
    ],
    [
      "VXLAN over IPv6, where checksums need no word",
      { kind: "vxlan", vni: 7, local: A6, port: 4789 },
      "0800 0100 07000000  1400 1100 20010db8000000000000000000000001  0500 0500 40000000  0500 0700 01000000  0600 0f00 12b50000",
    ],
    [
      "Geneve over IPv4",
      { kind: "geneve", vni: 7, remote: B4, port: 6081 },
      "0800 0100 07000000  0800 0200 c0000202  0500 0300 40000000  0600 0500 17c10000  0500 0800 01000000",
    ],
    [
      "Geneve over IPv6",
      { kind: "geneve", vni: 7, remote: B6, port: 6081 },
      "0800 0100 07000000  1400 0700 20010db8000000000000000000000002  0500 0300 40000000  0600 0500 17c10000",
    ],
    [
      "GRE over IPv4, without the mark against fragments, also where the packet inside has it",
      { kind: "gretap", local: A4, remote: B4 },
      "0800 0600 c0000201  0800 0700 c0000202  0500 0800 40000000  0500 0a00 00000000  0500 1300 01000000",
    ],
    [
      "GRE over IPv6, without the option that limits encapsulation",
      { kind: "ip6gretap", local: A6, remote: B6 },
      "1400 0600 20010db8000000000000000000000001  1400 0700 20010db8000000000000000000000002  0500 0800 40000000  0800 0d00 01000000",
    ],
  ])("says %s", (_title, tunnel, expected) => {
    expect(Buffer.concat(tunnelAttributes(tunnel))).toEqual(hex(expected));
  });

  it("gives GRE the same key in both directions, in network byte order, also a key of 0", () => {
    for (const [number, bytes] of [
      [0x12345678, "12345678"],
      [0, "00000000"],
    ] as const) {
      const parts = tunnelAttributes({ kind: "gretap", key: number, local: A4, remote: B4 });

      const keys = hex(`0600 0200 20000000  0600 0300 20000000  0800 0400 ${bytes}  0800 0500 ${bytes}`);
      expect(Buffer.concat(parts.slice(0, 4))).toEqual(keys);
    }
  });

  it("refuses an address of a family that GRE of that kind does not go over", () => {
    expect(() => tunnelAttributes({ kind: "gretap", local: A4, remote: B6 })).toThrow(
      "2001:db8::2 is no IPv4 address, as gretap needs",
    );
    expect(() => tunnelAttributes({ kind: "ip6gretap", local: A4, remote: B6 })).toThrow(
      "192.0.2.1 is no IPv6 address, as ip6gretap needs",
    );
  });
});

describe("parseTunnel", () => {
  it("reads what was said of any tunnel", () => {
    fc.assert(
      fc.property(tunnels, (tunnel) => {
        const read = parseTunnel(tunnel.kind, Buffer.concat(tunnelAttributes(tunnel)));
        expect(read).toEqual(tunnel);
        expect(read && isSameTunnel(read, tunnel)).toBe(true);
      }),
    );
  });

  it("reads it out of the description of a link, and a link of another kind has none", () => {
    const tunnel: NewTunnel = { kind: "geneve", vni: 9, remote: B6, port: 6081 };
    const spec = { name: "tsx0", mtu: 1430, group: 71, isUp: true, tunnel };

    expect(parseLink(Buffer.concat(tunnelParts(spec)))).toMatchObject({
      name: "tsx0",
      kind: "geneve",
      isUp: true,
      tunnel,
    });
    expect(parseTunnel("vlan", Buffer.alloc(0))).toBeUndefined();
  });

  it("takes addresses of zeros for none, and the remote address of a VXLAN link for what it is", () => {
    expect(parseTunnel("gretap", hex("0800 0600 00000000 0800 0700 00000000"))).toEqual({ kind: "gretap" });
    expect(parseTunnel("vxlan", hex("0800 0100 07000000 0800 0200 c0000202 0600 0f00 12b50000"))).toEqual({
      kind: "vxlan",
      vni: 7,
      remote: B4,
      port: 4789,
    });
  });

  it("knows no GRE tunnel whose keys differ, which is none that can be made here", () => {
    const flags = "0600 0200 20000000";
    const both = `${flags} 0600 0300 20000000`;

    expect(parseTunnel("gretap", hex(`${flags} 0800 0400 00000001`))).toBeUndefined();
    expect(parseTunnel("gretap", hex(`${both} 0800 0400 00000001 0800 0500 00000002`))).toBeUndefined();
    expect(parseTunnel("gretap", hex(`${both} 0800 0400 00000001 0800 0500 00000001`))).toEqual({
      kind: "gretap",
      key: 1,
    });
  });
});

describe("isSameTunnel", () => {
  it("tells any two tunnels apart that were told different things", () => {
    const told = (tunnel: NewTunnel) =>
      [tunnel.kind, ...tunnelAttributes(tunnel).map((part) => part.toString("hex"))].join();
    fc.assert(
      fc.property(tunnels, tunnels, (a, b) => {
        expect(isSameTunnel(a, b)).toBe(told(a) === told(b));
      }),
    );
  });

  it.each<[string, Partial<Tunnel>]>([
    ["VNI", { vni: 8 }],
    ["port", { port: 8472 }],
    ["local address", { local: A6 }],
    ["remote address", { remote: B4 }],
    ["key", { key: 0 }],
    ["kind", { kind: "geneve" }],
  ])("notices another %s", (_what, other) => {
    const tunnel: Tunnel = { kind: "vxlan", vni: 7, local: A4, port: 4789 };

    expect(isSameTunnel(tunnel, { ...tunnel, ...other })).toBe(false);
    expect(isSameTunnel(tunnel, { ...tunnel })).toBe(true);
  });
});

import { describe, expect, it } from "vitest";
import type { RequestedTunnel } from "../../../src/cnm/network.ts";
import { planNetwork } from "../../../src/cnm/plan.ts";
import { formatTunnel, overheadOf } from "../../../src/cnm/tunnel.ts";
import { networkRequest } from "../../support/cnm-builder.ts";

type Options = Readonly<Record<string, string>>;

const VXLAN = { tunnel: "vxlan", vni: "77", peers: "192.0.2.1,192.0.2.2" } as const;
const plan = (options: Options) => planNetwork(networkRequest(1, options));
const tunnelOf = (options: Options): RequestedTunnel | undefined => plan(options).requested.tunnel;

describe("a network with a tunnel", () => {
  it("has the mode and the addresses that it would have without", () => {
    expect(plan(VXLAN)).toMatchObject({ mode: "nat", isHostOnSwitch: true, isGuarded: true });
  });

  it.each<[string, Options, RequestedTunnel]>([
    ["vxlan", VXLAN, { kind: "vxlan", vni: 77, port: 4789, peers: ["192.0.2.1", "192.0.2.2"] }],
    [
      "geneve over IPv6",
      { tunnel: "geneve", vni: "16777215", peers: "2001:db8::2", local: "2001:db8::1", port: "6082" },
      { kind: "geneve", vni: 16_777_215, port: 6082, local: "2001:db8::1", peers: ["2001:db8::2"] },
    ],
    ["gre without a key", { tunnel: "gre", peers: "192.0.2.2" }, { kind: "gre", peers: ["192.0.2.2"] }],
    [
      "gre with the largest key",
      { tunnel: "gre", peers: "192.0.2.2", vni: "4294967295" },
      { kind: "gre", vni: 4_294_967_295, peers: ["192.0.2.2"] },
    ],
  ])("asks for %s", (_what, options, expected) => {
    expect(tunnelOf(options)).toEqual(expected);
  });

  it("asks for the same whatever the order of the peers, so that one command serves all hosts", () => {
    expect(plan({ ...VXLAN, peers: "192.0.2.2,192.0.2.1" })).toEqual(plan(VXLAN));
  });

  it.each<[string, Options, string]>([
    ["peers without a tunnel", { peers: "192.0.2.1" }, "option peers is permitted with option tunnel"],
    ["a local address without a tunnel", { local: "192.0.2.1" }, "option local is permitted with option tunnel"],
    ["a number without a tunnel", { vni: "1" }, "option vni is permitted with option tunnel"],
    ["a port without a tunnel", { port: "1" }, "option port is permitted with option tunnel"],
    ["no peers", { tunnel: "gre" }, "option tunnel needs option peers, the addresses of the hosts"],
    [
      "no number",
      { tunnel: "vxlan", peers: "192.0.2.1" },
      "option tunnel: vxlan needs option vni; permitted: 1-16777215",
    ],
    ["number 0", { ...VXLAN, vni: "0" }, "option vni: 0 is no number of a vxlan network; permitted: 1-16777215"],
    [
      "a number of more than 24 bits",
      { ...VXLAN, tunnel: "geneve", vni: "16777216" },
      "option vni: 16777216 is no number of a geneve network; permitted: 1-16777215",
    ],
    [
      "a port of GRE",
      { tunnel: "gre", peers: "192.0.2.1", port: "4789" },
      "option port: GRE has none; permitted with vxlan and geneve",
    ],
    [
      "ends of two families",
      { ...VXLAN, local: "2001:db8::1" },
      "options local and peers: both must be of IPv4, or both of IPv6",
    ],
    [
      "an uplink",
      { ...VXLAN, parent: "eth1" },
      "options tunnel and parent: frames would go in circles between two hosts that have both in common; permitted: one of them",
    ],
    [
      "a spanning tree",
      { ...VXLAN, stp: "true" },
      "option stp: a tunnel has no loops, and the spanning tree would take hosts from it; permitted without option tunnel",
    ],
    [
      "icc=false",
      { ...VXLAN, icc: "false" },
      "option icc: false leaves nothing that a tunnel could carry; permitted without option tunnel",
    ],
    [
      "peers within its own subnet",
      { ...VXLAN, peers: "10.1.1.9,192.0.2.1" },
      "option peers: 10.1.1.9 cannot be reached outside 10.1.1.0/24, the network's own subnet",
    ],
  ])("with %s is refused", (_what, options, message) => {
    expect(() => plan(options)).toThrow(expect.objectContaining({ code: "invalid", message }) as Error);
  });

  it("with several faults is refused with all of them", () => {
    expect(() => plan({ tunnel: "vxlan", vni: "0", icc: "false" })).toThrow(/needs option peers.*vni: 0.*icc: false/);
  });
});

describe("the overhead of a tunnel", () => {
  it.each([
    ["vxlan", 77, 4, 50],
    ["vxlan", 77, 6, 70],
    ["geneve", 77, 4, 50],
    ["geneve", 77, 6, 70],
    ["gre", undefined, 4, 38],
    ["gre", 77, 4, 42],
    ["gre", undefined, 6, 58],
    ["gre", 0, 6, 62],
  ] as const)("of %s with number %s over IPv%i is %i bytes, and 4 more with a trunk", (kind, vni, family, bytes) => {
    const tunnel = { kind, ...(vni !== undefined && { vni }) };

    expect(overheadOf(tunnel, family, {})).toBe(bytes);
    expect(overheadOf(tunnel, family, { vlan: 10 })).toBe(bytes);
    expect(overheadOf(tunnel, family, { trunk: [20] })).toBe(bytes + 4);
  });
});

it("messages name a tunnel by what is one on a host", () => {
  expect(formatTunnel({ kind: "vxlan", vni: 77, port: 4789 })).toBe("vxlan 77, port 4789");
  expect(formatTunnel({ kind: "gre" })).toBe("gre without a key");
});

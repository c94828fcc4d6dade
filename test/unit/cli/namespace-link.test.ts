import { describe, expect, it } from "vitest";
import {
  type Inside,
  type InsideLink,
  type InsideRoute,
  type WantedLink,
  freeName,
  planInside,
} from "../../../src/cli/namespace-link.ts";

const LINK = "tsc0123456789ab";
const MAC = "02:42:0a:01:01:fe";
const ADDRESS = { local: "10.1.1.254", prefixlen: 24 };

function wanted(more: Partial<WantedLink> = {}): WantedLink {
  const addresses = { Addresses: ["10.1.1.254/24"], Gateways: [], Routes: [] };
  return { Link: LINK, Interface: "eth1", MacAddress: MAC, MTU: 1500, ...addresses, ...more };
}

/** As it is when it has just been moved there. */
function link(more: Partial<InsideLink> = {}): InsideLink {
  return { ifname: LINK, ifindex: 7, link_index: 8, flags: [], mtu: 1500, address: MAC, addr_info: [], ...more };
}

/** As it is when all is done. */
function done(more: Partial<InsideLink> = {}): InsideLink {
  return link({ ifname: "eth1", flags: ["UP"], addr_info: [ADDRESS], ...more });
}

/** Only the steps of ip(8) and sysctl(8), each as one line. */
function stepsFor(own: InsideLink, wish = wanted(), routes: readonly InsideRoute[] = [], others: InsideLink[] = []) {
  const inside: Inside = { links: [own, ...others], routes };
  return planInside(own, wish, inside).map((step) => step.join(" "));
}

describe("the steps inside of a namespace", () => {
  it("name the link, give it its address and set it up, in that order", () => {
    expect(stepsFor(link())).toEqual([
      `ip link set dev ${LINK} name eth1`,
      "sysctl -q -e -w net/ipv6/conf/eth1/disable_ipv6=1",
      "ip address replace 10.1.1.254/24 dev eth1",
      "ip link set dev eth1 up",
    ]);
  });

  it("switch IPv6 on for an IPv6 address, which is used at once", () => {
    expect(stepsFor(link(), wanted({ Addresses: ["fd00::9/64"] }))).toEqual([
      `ip link set dev ${LINK} name eth1`,
      "sysctl -q -e -w net/ipv6/conf/eth1/disable_ipv6=0",
      "ip address replace fd00::9/64 dev eth1 nodad",
      "ip link set dev eth1 up",
    ]);
  });

  it("are none when all is as it shall be", () => {
    const routes = [
      { dst: "10.9.0.0/16", gateway: "10.1.1.9", dev: "eth1" },
      { dst: "10.1.1.1", dev: "eth1" },
      { dst: "default", gateway: "10.1.1.1", dev: "eth1" },
    ];
    const wish = wanted({
      Gateways: ["10.1.1.1"],
      Routes: [{ Destination: "10.9.0.0/16", NextHop: "10.1.1.9" }, { Destination: "10.1.1.1/32" }],
    });

    expect(stepsFor(done(), wish, routes)).toEqual([]);
  });

  it.each<[string, Partial<InsideLink>, readonly string[]]>([
    ["MAC address", { address: "02:00:00:00:00:01" }, [`ip link set dev eth1 address ${MAC}`]],
    ["MTU", { mtu: 1400 }, ["ip link set dev eth1 mtu 1500"]],
    [
      "address",
      { addr_info: [{ local: "10.1.1.254", prefixlen: 32 }] },
      ["sysctl -q -e -w net/ipv6/conf/eth1/disable_ipv6=1", "ip address replace 10.1.1.254/24 dev eth1"],
    ],
  ])("put back a %s that somebody changed", (_what, change, steps) => {
    expect(stepsFor(done(change))).toEqual(steps);
  });

  it("add the routes that are missing, each in its own family", () => {
    const Routes = [
      { Destination: "10.9.0.0/16", NextHop: "10.1.1.9" },
      { Destination: "fd09::/16", NextHop: "fd00::9" },
      { Destination: "fd00::1/128" },
    ];

    expect(stepsFor(done(), wanted({ Routes, Gateways: ["10.1.1.1"] }))).toEqual([
      "ip -4 route replace 10.9.0.0/16 via 10.1.1.9 dev eth1",
      "ip -6 route replace fd09::/16 via fd00::9 dev eth1",
      "ip -6 route replace fd00::1/128 dev eth1",
      "ip -4 route replace default via 10.1.1.1 dev eth1",
    ]);
  });

  it("leave the link the name that somebody gave it", () => {
    expect(stepsFor(done({ ifname: "lan0" }))).toEqual([]);
  });

  it("are refused when another link has the name", () => {
    const other = link({ ifname: "eth1", ifindex: 3 });

    expect(() => stepsFor(link(), wanted(), [], [other])).toThrow(/there is a link eth1 already; .*--ifname/);
  });

  it("are refused when there is another default route of the same family", () => {
    const wish = wanted({ Gateways: ["10.1.1.1"] });
    const toOther = { dst: "default", gateway: "172.17.0.1", dev: "eth0" };
    const ofIpv6 = { dst: "default", gateway: "fd17::1", dev: "eth0" };

    expect(() => stepsFor(done(), wish, [toOther])).toThrow(/a default route by eth0 already; attach without/);
    expect(stepsFor(done(), wish, [ofIpv6])).toEqual(["ip -4 route replace default via 10.1.1.1 dev eth1"]);
  });
});

describe("the name of a link that is not given one", () => {
  it("is the first number that is free", () => {
    const links = ["lo", "eth0", "eth2"].map((ifname) => link({ ifname }));

    expect(freeName("eth", { links, routes: [] })).toBe("eth1");
    expect(freeName("net", { links, routes: [] })).toBe("net0");
  });
});

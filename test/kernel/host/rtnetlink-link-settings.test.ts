import { describe, expect, it } from "vitest";
import { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { NetNamespace } from "../../support/namespace.ts";

const BRIDGE = { name: "tsbr0", mac: "02:11:22:33:44:55", mtu: 1450, group: 71 };

const file = async (ns: NetNamespace, name: string) =>
  Number(await ns.exec(["cat", `/proc/sys/net/ipv4/conf/tsbr0/${name}`]));

describe("setIpv4Conf", () => {
  it.each([
    ["arpIgnore", "arp_ignore", [1, 2, 0]],
    ["arpAnnounce", "arp_announce", [2, 1, 0]],
    ["rpFilter", "rp_filter", [1, 2, 0]],
    ["forwarding", "forwarding", [1, 0, 1]],
    ["routeLocalnet", "route_localnet", [1, 0]],
    ["acceptLocal", "accept_local", [1, 0]],
    ["sendRedirects", "send_redirects", [0, 1]],
    ["acceptRedirects", "accept_redirects", [0, 1]],
    ["acceptSourceRoute", "accept_source_route", [0, 1]],
    ["proxyArp", "proxy_arp", [1, 0]],
  ])("sets %s, as the file %s shows", async (name, fileName, values) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await rtnetlink.addBridge(BRIDGE);

    for (const value of values) {
      await rtnetlink.setIpv4Conf(index, { [name]: value });
      expect(await file(ns, fileName)).toBe(value);
    }
  });

  it("sets several at once and leaves the others alone", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await rtnetlink.addBridge(BRIDGE);
    const all = ["sh", "-c", "cd /proc/sys/net/ipv4/conf/tsbr0 && grep -H . *"];
    const before = await ns.exec(all);

    await rtnetlink.setIpv4Conf(index, { arpIgnore: 1, proxyArp: 1 });

    const expected = before.replace("arp_ignore:0", "arp_ignore:1").replace("proxy_arp:0", "proxy_arp:1");
    expect(await ns.exec(all)).toBe(expected);
  });

  it("names the link that is gone", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    await expect(rtnetlink.setIpv4Conf(4711, { proxyArp: 1 })).rejects.toThrow(
      "of link with index 4711: No such device",
    );
  });
});

describe("ipv4Conf", () => {
  it("reads what the files say", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await rtnetlink.addBridge(BRIDGE);
    const values = { arp_ignore: 8, arp_announce: 1, rp_filter: 2, forwarding: 1, route_localnet: 1, proxy_arp: 1 };
    const settings = Object.entries({
      ...values,
      accept_local: 1,
      send_redirects: 0,
      accept_redirects: 0,
      accept_source_route: 0,
    });
    await ns.exec(["sysctl", "-q", "-w", ...settings.map(([name, value]) => `net.ipv4.conf.tsbr0.${name}=${value}`)]);

    expect(await rtnetlink.ipv4Conf(index)).toEqual({
      arpIgnore: 8,
      arpAnnounce: 1,
      rpFilter: 2,
      forwarding: 1,
      routeLocalnet: 1,
      proxyArp: 1,
      acceptLocal: 1,
      sendRedirects: 0,
      acceptRedirects: 0,
      acceptSourceRoute: 0,
    });
  });

  it("throws for a link that is gone", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    await expect(rtnetlink.ipv4Conf(4711)).rejects.toThrow("link 4711 does not exist or has no IPv4");
  });
});

describe("setAddressGeneration", () => {
  const linkLocal = async (ns: NetNamespace) => {
    const addresses = await ns.json<{ addr_info?: { local?: string }[] }[]>([
      "ip",
      "-json",
      "-6",
      "addr",
      "show",
      "dev",
      "tsbr0",
      "scope",
      "link",
    ]);
    return addresses.flatMap(({ addr_info = [] }) => addr_info.map(({ local }) => local)).filter(Boolean);
  };
  const withCarrier = async (rtnetlink: Rtnetlink, masterIndex: number) => {
    const port = await rtnetlink.addVeth({
      name: "v0",
      mtu: 1450,
      group: 0,
      isUp: true,
      masterIndex,
      peer: { name: "v1" },
    });
    const { peerIndex = 0 } = await rtnetlink.requireLink("v0");
    await rtnetlink.setLink(peerIndex, { isUp: true });
    return port;
  };

  it("none leaves a link that is set up without a link-local address", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await rtnetlink.addBridge(BRIDGE);

    await rtnetlink.setAddressGeneration(index, "none");
    await rtnetlink.setLink(index, { isUp: true });
    await withCarrier(rtnetlink, index);

    const [link] = await ns.json<object[]>(["ip", "-json", "-details", "link", "show", "dev", "tsbr0"]);
    expect(link).toMatchObject({ inet6_addr_gen_mode: "none" });
    expect(await linkLocal(ns)).toEqual([]);
  });

  it("eui64 makes the address out of the MAC address", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await rtnetlink.addBridge(BRIDGE);
    await rtnetlink.setAddressGeneration(index, "none");

    await rtnetlink.setAddressGeneration(index, "eui64");
    await rtnetlink.setLink(index, { isUp: true });
    await withCarrier(rtnetlink, index);

    await expect.poll(() => linkLocal(ns)).toEqual(["fe80::11:22ff:fe33:4455"]);
  });
});

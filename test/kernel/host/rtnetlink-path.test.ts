// Which way packets to an address go, beside what `ip route get` says.
import { describe, expect, it } from "vitest";
import { formatAddress, parseAddress } from "../../../src/cidr.ts";
import { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";

const SETUP = [
  "ip link add eth0 mtu 1500 type veth peer name far0",
  "ip link add eth1 mtu 9000 type veth peer name far1",
  ...["eth0", "far0", "eth1", "far1"].map((name) => `ip link set ${name} up`),
  "ip address add 192.0.2.1/24 dev eth0",
  "ip address add 198.51.100.1/24 dev eth1",
  "ip address add 198.51.100.77/32 dev eth1",
  "ip address add 2001:db8:1::1/64 dev eth0 nodad",
  "ip address add 2001:db8:2::1/64 dev eth1 nodad",
  "ip route add default via 192.0.2.254",
  "ip route add 203.0.113.0/24 via 198.51.100.254 mtu 1400 src 198.51.100.77",
  "ip route add 203.0.114.0/24 via 198.51.100.254 mtu lock 1300",
  "ip route add 203.0.115.0/24 via 192.0.2.254 mtu 4000",
  "ip -6 route add default via 2001:db8:1::fe",
  "ip -6 route add 2001:db8:3::/48 via 2001:db8:2::fe mtu 1400",
  "ip -6 route add 2001:db8:5::/48 via 2001:db8:1::fe mtu 4000",
  ...["blackhole", "unreachable", "prohibit"].flatMap((type, n) => [
    `ip route add ${type} 203.0.${120 + n}.0/24`,
    `ip -6 route add ${type} 2001:db8:${20 + n}::/48`,
  ]),
];

/** With all its routes: the kernel makes the local one of an IPv6 address behind the answer. */
async function setUp(ns: NetNamespace, more: readonly string[] = []): Promise<void> {
  await shell(ns, [...SETUP, ...more]);
  await waitUntil("the routes to the host's own addresses", async () => {
    const routes = await ns.exec(["ip", "-6", "route", "show", "table", "local"]);
    return ["eth0", "eth1"].every((name, n) => routes.includes(`local 2001:db8:${n + 1}::1 dev ${name} `));
  });
}

interface Shown {
  readonly dev: string;
  readonly prefsrc: string;
  readonly type?: string;
}

describe("routeTo", () => {
  it.each([
    ["on the subnet of a link", "192.0.2.9", 1500],
    ["by the default route", "8.8.8.8", 1500],
    ["by a link with large frames", "198.51.100.9", 9000],
    ["by a route with an MTU and a source address of its own", "203.0.113.9", 1400],
    ["by a route with a locked MTU", "203.0.114.9", 1300],
    ["by a route that promises more than its link carries", "203.0.115.9", 1500],
    ["on the subnet of a link", "2001:db8:1::9", 1500],
    ["by the default route", "2001:4860:4860::8888", 1500],
    ["by a link with large frames", "2001:db8:2::9", 9000],
    ["by a route with an MTU", "2001:db8:3::9", 1400],
    ["by a route that promises more than its link carries", "2001:db8:5::9", 1500],
    ["at this host itself", "198.51.100.1", 65536],
    ["at this host itself", "127.0.0.1", 65536],
    ["at this host itself", "::1", 65536],
    ["at this host itself", "2001:db8:2::1", undefined],
  ])("finds an address %s: %s", async (_where, text, mtu) => {
    await using ns = await NetNamespace.create();
    await setUp(ns);
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    const path = await rtnetlink.routeTo(parseAddress(text));

    const [shown] = await ns.json<Shown[]>(["ip", "-json", "route", "get", text]);
    const links = await ns.json<{ ifindex: number; ifname: string }[]>(["ip", "-json", "link", "show"]);
    expect(path).toMatchObject({
      linkIndex: links.find(({ ifname }) => ifname === shown?.dev)?.ifindex,
      isLocal: shown?.type === "local",
    });
    expect(path && formatAddress(path.source)).toBe(shown?.prefsrc);
    if (mtu !== undefined) expect(path?.mtu).toBe(mtu);
  });

  it("takes the MTU that IPv6 has on a link where that is less than the link's", async () => {
    await using ns = await NetNamespace.create();
    await setUp(ns, ["sysctl -qw net.ipv6.conf.eth1.mtu=1280"]);
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    expect(await rtnetlink.routeTo(parseAddress("2001:db8:2::9"))).toMatchObject({ mtu: 1280 });
    expect(await rtnetlink.routeTo(parseAddress("198.51.100.9"))).toMatchObject({ mtu: 9000 });
  });

  it.each([
    ["203.0.120.9", "blackhole"],
    ["203.0.121.9", "unreachable"],
    ["203.0.122.9", "prohibit"],
    ["2001:db8:20::9", "blackhole"],
    ["2001:db8:21::9", "unreachable"],
    ["2001:db8:22::9", "prohibit"],
    ["224.0.0.1", "multicast"],
    ["255.255.255.255", "broadcast"],
    ["ff02::1", "multicast"],
  ])("finds no way to %s, which is %s", async (text) => {
    await using ns = await NetNamespace.create();
    await shell(ns, SETUP);
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    expect(await rtnetlink.routeTo(parseAddress(text))).toBeUndefined();
  });

  it("finds no way where there is no route, and one as soon as there is", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const both = ["8.8.8.8", "2001:4860:4860::8888"].map(parseAddress);
    for (const address of both) expect(await rtnetlink.routeTo(address)).toBeUndefined();

    await shell(ns, SETUP);

    for (const address of both) expect(await rtnetlink.routeTo(address)).toMatchObject({ mtu: 1500 });
  });

  it("finds no way by a link without any address to send from", async () => {
    await using ns = await NetNamespace.create();
    await shell(ns, [
      "ip link add eth0 type veth peer name far0",
      "sysctl -qw net.ipv6.conf.eth0.addr_gen_mode=1",
      "ip link set eth0 up",
      "ip -6 route add 2001:db8::/32 dev eth0",
    ]);
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    expect(await rtnetlink.routeTo(parseAddress("2001:db8::9"))).toBeUndefined();
  });
});

import { describe, expect, it } from "vitest";
import { formatAddress, formatSubnet } from "../../../src/cidr.ts";
import { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { NetNamespace } from "../../support/namespace.ts";

describe("listRoutes", () => {
  it("lists the main table's unicast routes and the local table's local ones, and no others", async () => {
    await using ns = await NetNamespace.create();
    const commands = [
      "ip link add br0 type bridge",
      "ip link set br0 addrgenmode none up",
      "ip addr add 10.1.0.1/16 dev br0",
      "ip addr add fd00:1::1/64 dev br0 nodad",
      "ip route add default via 10.1.0.9",
      "ip route add 192.168.7.0/24 via 10.1.0.8",
      "ip -6 route add fd00:2::/48 via fd00:1::9",
      "ip route add blackhole 192.168.8.0/24",
      "ip route add 192.168.9.0/24 dev br0 table 100",
    ];
    await ns.exec(["sh", "-ec", commands.join("\n")]);
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const { index } = await rtnetlink.requireLink("br0");

    const texts = async () =>
      (await rtnetlink.listRoutes()).map(({ family, subnet, tableId, type, oifIndex, gateway }) => {
        const via = gateway ? ` via ${formatAddress(gateway)}` : "";
        return `${family} ${type} ${formatSubnet(subnet)}${via} dev ${oifIndex} table ${tableId}`;
      });
    const ownSubnet = `6 unicast fe80::/64 dev ${index} table 254`; // there or not, as soon as the bridge has settled
    const seen = async () => (await texts()).filter((text) => text !== ownSubnet).sort();

    // The kernel makes the local route of an IPv6 address behind the answer.
    await expect
      .poll(seen)
      .toEqual([
        `4 local 10.1.0.1/32 dev ${index} table 255`,
        "4 local 127.0.0.0/8 dev 1 table 255",
        "4 local 127.0.0.1/32 dev 1 table 255",
        `4 unicast 0.0.0.0/0 via 10.1.0.9 dev ${index} table 254`,
        `4 unicast 10.1.0.0/16 dev ${index} table 254`,
        `4 unicast 192.168.7.0/24 via 10.1.0.8 dev ${index} table 254`,
        "6 local ::1/128 dev 1 table 255",
        `6 local fd00:1::1/128 dev ${index} table 255`,
        `6 unicast fd00:1::/64 dev ${index} table 254`,
        `6 unicast fd00:2::/48 via fd00:1::9 dev ${index} table 254`,
      ]);
  });

  it("tells no link for a route over several", async () => {
    await using ns = await NetNamespace.create();
    const commands = [
      "ip addr add 10.1.0.1/16 dev lo",
      "ip route add 192.168.7.0/24 nexthop via 10.1.0.8 dev lo nexthop via 10.1.0.9 dev lo",
    ];
    await ns.exec(["sh", "-ec", commands.join("\n")]);
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    const routes = await rtnetlink.listRoutes();

    const route = routes.find(({ subnet }) => formatSubnet(subnet) === "192.168.7.0/24");
    expect(route).toMatchObject({ type: "unicast", tableId: 254 });
    expect(route).not.toHaveProperty("oifIndex");
  });

  it("lists 20 000 routes without leaving one out", async () => {
    await using ns = await NetNamespace.create();
    const commands = Array.from({ length: 20_000 }, (_, i) => `route add 10.${i >> 8}.${i & 255}.0/24 dev lo\n`).join(
      "",
    );
    const batch = ns.spawn(["ip", "-batch", "-"]);
    batch.stdin?.end(commands);
    await new Promise((resolve) => batch.once("exit", resolve));
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    const routes = await rtnetlink.listRoutes();

    expect(routes.filter(({ type, subnet }) => type === "unicast" && subnet.prefixLength === 24)).toHaveLength(20_000);
  });
});

// Tunnel links of the kinds that every kernel of a host has. All kinds: `../../vm/rtnetlink-tunnel.test.ts`.
import { describe, expect, it } from "vitest";
import { parseAddress } from "../../../src/cidr.ts";
import { isErrno } from "../../../src/host/netlink.ts";
import type { VxlanTunnel } from "../../../src/host/rtnetlink-tunnel.ts";
import { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { DatagramListener } from "../../support/frame-capture.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { TUNNEL_CASES, describeTunnels } from "../../support/tunnel-links.ts";

describeTunnels(TUNNEL_CASES.filter(({ title }) => title.startsWith("vxlan")));

describe("a VXLAN link", () => {
  const spec = (name: string, tunnel: Partial<VxlanTunnel> = {}) => ({
    name,
    mtu: 1430,
    group: 71,
    isUp: true,
    tunnel: { kind: "vxlan", vni: 7, local: parseAddress("192.0.2.1"), port: 4789, ...tunnel } as const,
  });
  const conflict = (taken: string, by: string) => ({
    code: "conflict",
    message: `add vxlan link tun1: VNI 7 on UDP port 4789 over ${taken}, whatever the local address, is taken by ${by}`,
  });

  it("has its VNI, port and family for itself, whatever its local address", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    await rtnetlink.addTunnel(spec("tun0"));

    const again = rtnetlink.addTunnel(spec("tun1", { local: parseAddress("192.0.2.99") }));

    await expect(again).rejects.toMatchObject(conflict("IPv4", "link tun0"));
    await rtnetlink.addTunnel(spec("tun2", { vni: 8 }));
    await rtnetlink.addTunnel(spec("tun3", { port: 8472 }));
    await rtnetlink.addTunnel(spec("tun4", { local: parseAddress("2001:db8::1") }));
    const overIpv6 = rtnetlink.addTunnel(spec("tun1", { local: parseAddress("2001:db8::2") }));
    await expect(overIpv6).rejects.toMatchObject(conflict("IPv6", "link tun4"));
  });

  it("keeps them when it is moved to another namespace", async () => {
    await using ns = await NetNamespace.create();
    await using other = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    await rtnetlink.addTunnel(spec("tun0"));
    await ns.exec(["ip", "link", "set", "tun0", "netns", other.name]);

    const again = rtnetlink.addTunnel(spec("tun1"));

    await expect(again).rejects.toMatchObject(
      conflict("IPv4", "a link that cannot be seen from this network namespace"),
    );
  });

  it("is refused, and nothing left of it, when a program has the port", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    using _program = DatagramListener.open(ns, 4789);

    const failure = await rtnetlink.addTunnel(spec("tun0")).catch((thrown: unknown) => thrown);

    expect(failure).toMatchObject({ code: "host" });
    expect(isErrno(failure, "EADDRINUSE")).toBe(true);
    expect(await rtnetlink.findLink("tun0")).toBeUndefined();
  });

  it("is refused for a VNI of more than 24 bits", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    await expect(rtnetlink.addTunnel(spec("tun0", { vni: 0x1000000 }))).rejects.toMatchObject({ code: "host" });
  });
});

import { describe, expect, it } from "vitest";
import type { HostRoute } from "../../../src/cnm/datapath.ts";
import type { Network } from "../../../src/cnm/network.ts";
import { placeNetwork } from "../../../src/cnm/placement.ts";
import { planNetwork } from "../../../src/cnm/plan.ts";
import { Registry } from "../../../src/cnm/registry.ts";
import { ifName, network, networkId, networkRequest, pool4, pool6 } from "../../support/cnm-builder.ts";
import { FakeDatapath } from "../../support/fake-datapath.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const [A, B, C] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"] as const;
const own = (address: string, mtu = 1500): readonly [string, HostRoute] => [
  address,
  { source: address, mtu, link: "eth0", isOwn: true },
];
const to = (address: string, more: Partial<HostRoute> = {}): readonly [string, HostRoute] => [
  address,
  { source: A, mtu: 1500, link: "eth0", isOwn: false, ...more },
];

/** On a host with the address 192.0.2.1 unless `routes` say otherwise. */
async function place(
  options: Readonly<Record<string, string>>,
  routes: readonly (readonly [string, HostRoute | undefined])[] = [own(A), to(B), to(C)],
  known: readonly Network[] = [],
  hasIpv6 = false,
): Promise<Network> {
  const datapath = new FakeDatapath();
  for (const [address, route] of routes) datapath.routes.set(address, route);
  const registry = new Registry(new MemoryStore());
  for (const other of known) await registry.putNetwork(other, "ready");
  const pools = hasIpv6 ? [pool4(), pool6()] : [pool4()];
  const planned = planNetwork(networkRequest(1, { tunnel: "vxlan", vni: "77", ...options }, { pools }));
  const datapaths = { bridge: datapath, ovs: new FakeDatapath("ovs", datapath) };
  return placeNetwork(planned, { registry, datapaths, links: datapath });
}

const ALL = `${A},${B},${C}`;

describe("the ends of a tunnel", () => {
  it("are this host's address among the peers, and the other peers", async () => {
    expect((await place({ peers: ALL })).tunnel).toEqual({
      kind: "vxlan",
      vni: 77,
      port: 4789,
      local: A,
      peers: [B, C],
    });
  });

  it("are the address by which this host speaks to the peers, when none of them is its own", async () => {
    expect((await place({ peers: `${B},${C}` })).tunnel).toMatchObject({ local: A, peers: [B, C] });
  });

  it("are the address that the user says, whatever else is this host's own", async () => {
    const routes = [own(A), own("198.51.100.1"), to(B)];

    expect((await place({ peers: `${A},${B}`, local: "198.51.100.1" }, routes)).tunnel).toMatchObject({
      local: "198.51.100.1",
      peers: [B],
    });
  });

  it("may be this host alone, until the others come", async () => {
    expect(await place({ peers: A }, [own(A, 1400)])).toMatchObject({ tunnel: { local: A, peers: [] }, mtu: 1350 });
  });

  it("are not to be guessed when two of the peers are this host", async () => {
    await expect(place({ peers: ALL }, [own(A), own(B), to(C)])).rejects.toMatchObject({
      code: "invalid",
      message: `option peers: ${A} and ${B} of ${ALL} are addresses of this host; say which with option local`,
    });
  });

  it("are not to be guessed when the ways to the peers begin at different addresses", async () => {
    await expect(place({ peers: `${B},${C}` }, [to(B), to(C, { source: "198.51.100.1" })])).rejects.toMatchObject({
      code: "invalid",
      message: `option peers: this host would speak to them from ${A} and 198.51.100.1; say which with option local`,
    });
  });

  it("cannot be a peer to which there is no route", async () => {
    await expect(place({ peers: ALL }, [own(A), to(B), [C, undefined]])).rejects.toMatchObject({
      code: "not-found",
      message: `option peers: this host has no route to ${C}`,
    });
  });

  it("cannot be an address that this host does not have", async () => {
    await expect(place({ peers: `${B},${C}`, local: "198.51.100.7" })).rejects.toMatchObject({
      code: "not-found",
      message: "option local: 198.51.100.7 is no address of this host",
    });
  });

  it("cannot be reached by the network itself", async () => {
    const routes = [to(B, { link: "br0" })];

    await expect(place({ peers: B, bridge: "br0" }, routes)).rejects.toMatchObject({
      code: "conflict",
      message: `option peers: the tunnel cannot lead to ${B}: they are reached by br0, the network's own link`,
    });
    await expect(place({ peers: B, bridge: "br0", mode: "l2" }, routes)).resolves.toBeDefined();
  });
});

describe("the MTU of a network with a tunnel", () => {
  it("is what the narrowest way to a peer has room for", async () => {
    expect(await place({ peers: ALL }, [own(A, 9000), to(B, { mtu: 9000 }), to(C, { mtu: 1400 })])).toMatchObject({
      mtu: 1350,
    });
  });

  it("is what the user says up to that, and no more [F109]", async () => {
    expect(await place({ peers: ALL, mtu: "1450" })).toMatchObject({ mtu: 1450 });
    await expect(place({ peers: ALL, mtu: "1451" })).rejects.toMatchObject({
      code: "invalid",
      message: "option mtu: 1451 is more than the 1450 that its tunnel has room for; permitted: up to 1450",
    });
  });

  it("leaves room for the tags of a trunk", async () => {
    expect(await place({ peers: ALL, vlan: "10", trunk: "20" })).toMatchObject({ mtu: 1446 });
  });

  it("must do for IPv6", async () => {
    const narrow = [own(A, 1320), to(B, { mtu: 1320 })];

    await expect(place({ peers: `${A},${B}` }, narrow, [], true)).rejects.toMatchObject({
      code: "invalid",
      message:
        "the network would have the 1270 that its tunnel has room for, which is too small for IPv6, which needs 1280",
    });
  });
});

describe("a tunnel that this host has already", () => {
  const tunnel = { kind: "vxlan", vni: 77, port: 4789, local: A, peers: [B, C] } as const;
  const other = (more: Partial<Network> = {}) => {
    const pools = [{ subnet: "10.2.0.0/24", gateway: "10.2.0.1" }];
    return network(2, {
      switchName: ifName("br0"),
      tunnel,
      mtu: 1450,
      vlans: { vlan: 10 },
      isVlanShared: true,
      pools,
      ...more,
    });
  };
  const same = { peers: ALL, bridge: "br0", vlan: "10", "shared-vlan": "true" };
  const refused = {
    code: "conflict",
    message: `vxlan 77, port 4789 is the tunnel of network ${networkId(2).slice(0, 12)}; two networks may have one tunnel with the same switch, VLANs, peers and local address only`,
  };

  it("serves another network of the same switch and VLAN", async () => {
    await expect(place(same, undefined, [other()])).resolves.toMatchObject({ tunnel });
  });

  it.each<[string, Readonly<Record<string, string>>, Partial<Network>]>([
    ["of another switch", { peers: ALL }, {}],
    ["of another VLAN", { ...same, vlan: "20" }, {}],
    ["with other peers", same, { tunnel: { ...tunnel, peers: [B] } }],
    ["with another local address", same, { tunnel: { ...tunnel, local: "198.51.100.1" } }],
  ])("serves no network %s", async (_what, options, more) => {
    await expect(place(options, undefined, [other(more)])).rejects.toMatchObject(refused);
  });

  it.each<[string, Partial<Network>]>([
    ["another number", { tunnel: { ...tunnel, vni: 78 } }],
    ["another port", { tunnel: { ...tunnel, port: 4790 } }],
    ["another kind", { tunnel: { ...tunnel, kind: "geneve" } }],
  ])("is not one with %s", async (_what, more) => {
    await expect(place({ peers: ALL, vlan: "20", bridge: "br0" }, undefined, [other(more)])).resolves.toBeDefined();
  });
});

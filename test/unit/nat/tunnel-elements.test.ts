import { describe, expect, it } from "vitest";
import { tunnelLinkName } from "../../../src/cnm/names.ts";
import type { Network, Tunnel } from "../../../src/cnm/network.ts";
import { Elements, SETS, type SetName } from "../../../src/nat/element-sets.ts";
import { addTunnel } from "../../../src/nat/tunnel-elements.ts";
import { dualStack, ifName, network } from "../../support/cnm-builder.ts";

const SWITCH = ifName("br0");
const VXLAN: Tunnel = {
  kind: "vxlan",
  vni: 77,
  port: 4789,
  local: "192.0.2.10",
  peers: ["192.0.2.11", "192.0.2.12"],
};
const GENEVE: Tunnel = { ...VXLAN, kind: "geneve", vni: 0x010203, port: 6081, peers: ["2001:db8::11"] };
const GRE: Tunnel = { kind: "gre", vni: 0xfffefdfc, local: "192.0.2.10", peers: ["192.0.2.11", "192.0.2.12"] };

/** The sets that are not empty: keys in hex, names of links as text. */
function setsOf(...networks: readonly Network[]): Partial<Record<SetName, readonly string[]>> {
  const elements = new Elements();
  for (const each of networks) addTunnel(elements, each);
  const text = (key: Buffer) => {
    const isName = /^tsx[0-9a-f]{12}\0$/.test(key.toString("latin1", 0, 16));
    return isName ? `${key.toString("latin1", 0, 15)} ${key.toString("hex", 16)}`.trim() : key.toString("hex");
  };
  const entries = SETS.map(({ set }) => [set, elements.of(set).map(({ key }) => text(key))] as const);
  return Object.fromEntries(entries.filter(([, keys]) => keys.length > 0));
}

const on = (tunnel: Tunnel, more: Partial<Network> = {}) => dualStack(1, { switchName: SWITCH, tunnel, ...more });
const nameOf = (tunnel: Tunnel, peer?: string) => tunnelLinkName(SWITCH, tunnel, peer);

describe("the elements of a tunnel", () => {
  it("are none for a network without one", () => {
    expect(setsOf(dualStack())).toEqual({});
  });

  it("of VXLAN are one link, the gateways, the VNI at its port, and each peer by itself and there", () => {
    const link = nameOf(VXLAN);

    expect(setsOf(on(VXLAN))).toEqual({
      tunnels: [link],
      untagged: [link],
      reserved4: [`${link} 0a010101`],
      reserved6: [`${link} fd000001000100000000000000000001`],
      vnis: ["12b5000000004d00"],
      peers4: ["12b5000000004d00c000020b", "12b5000000004d00c000020c"],
      ends4: ["c000020b", "c000020c"],
    });
  });

  it.each([GRE, { ...GENEVE, peers: ["192.0.2.11", "192.0.2.12"] }])("of $kind are a link for each peer", (tunnel) => {
    const links = tunnel.peers.map((peer) => nameOf(tunnel, peer));

    const { tunnels, untagged, reserved4 } = setsOf(on(tunnel));

    expect(links[0]).not.toBe(links[1]);
    expect({ tunnels, untagged }).toEqual({ tunnels: links, untagged: links });
    expect(reserved4).toEqual(links.map((link) => `${link} 0a010101`));
  });

  it("name peers of IPv6 as such", () => {
    const { vnis, peers4, peers6, ends4, ends6 } = setsOf(on(GENEVE));

    const peer = "20010db8000000000000000000000011";
    expect([vnis, peers6, ends6]).toEqual([["17c1000001020300"], [`17c1000001020300${peer}`], [peer]]);
    expect([peers4, ends4]).toEqual([undefined, undefined]);
  });

  it("know GRE by its key, or by having none", () => {
    const { vni: _, ...keyless } = GRE;

    const { keys, vnis, ends4 } = setsOf(on(GRE));
    expect({ keys, vnis, ends4 }).toEqual({ keys: ["fffefdfc"], vnis: undefined, ends4: ["c000020b", "c000020c"] });
    expect(setsOf(on(keyless))).toMatchObject({ keyless: ["2f"] });
    expect(setsOf(on(keyless))).not.toHaveProperty("keys");
    expect(setsOf(on({ ...GRE, vni: 0 }))).toMatchObject({ keys: ["00000000"] });
  });

  it("close the tunnel of a host that is alone", () => {
    expect(setsOf(on({ ...VXLAN, peers: [] }))).toMatchObject({ vnis: ["12b5000000004d00"] });
    expect(setsOf(on({ ...VXLAN, peers: [] }))).not.toHaveProperty("peers4");
  });

  it("let tags in where the network has a trunk, but for that of what goes untagged", () => {
    const link = nameOf(VXLAN);
    const tagsOf = (vlans: Network["vlans"]) => {
      const { untagged, native } = setsOf(on(VXLAN, { vlans }));
      return { untagged, native };
    };

    expect(tagsOf({ vlan: 10 })).toEqual({ untagged: [link] });
    expect(tagsOf({ trunk: [20] })).toEqual({});
    expect(tagsOf({ vlan: 10, trunk: [20] })).toEqual({ native: [`${link} 000a0000`] });
  });

  it.each(["l2", "isolated"] as const)("reserve no address in mode %s, where the host is not on the switch", (mode) => {
    const sets = setsOf(on(VXLAN, { mode, isHostOnSwitch: false }));

    expect(sets).toHaveProperty("tunnels");
    expect(sets).not.toHaveProperty("reserved4");
    expect(sets).not.toHaveProperty("reserved6");
  });

  it("are of Open vSwitch what the host's own stack takes in for its kernel datapath", () => {
    expect(Object.keys(setsOf(on(VXLAN, { backend: "ovs" }))).toSorted()).toEqual(["ends4", "peers4", "vnis"]);
  });

  it("stand once for networks that share the tunnel, with the gateways of both", () => {
    const shared = { switchName: SWITCH, tunnel: VXLAN } as const;

    const sets = setsOf(network(1, shared), network(2, shared));

    expect(sets.tunnels).toHaveLength(1);
    expect(sets.vnis).toHaveLength(1);
    expect(sets.reserved4).toHaveLength(2);
  });
});

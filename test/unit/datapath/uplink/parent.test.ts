import { describe, expect, it } from "vitest";
import { parseAddress } from "../../../../src/cidr.ts";
import { type ParentCandidate, refuseParent } from "../../../../src/datapath/uplink/parent.ts";
import type { LinkAddress } from "../../../../src/host/rtnetlink-address.ts";
import type { Link } from "../../../../src/host/rtnetlink-link.ts";

const link = (index: number, name: string, over: Partial<Link> = {}): Link => {
  return { index, name, group: 0, mac: "02:00:00:00:00:01", mtu: 1500, isUp: true, altNames: [], ...over };
};
const address = (linkIndex: number, text: string, scope: LinkAddress["scope"] = "global"): LinkAddress => {
  return { linkIndex, address: parseAddress(text), prefixLength: text.includes(":") ? 64 : 24, scope };
};
const LINKS = [
  link(1, "lo", { mac: "00:00:00:00:00:00" }),
  link(2, "eth0"),
  link(3, "br0", { kind: "bridge" }),
  link(4, "bond0", { kind: "bond" }),
  link(5, "ovs-system", { kind: "openvswitch" }),
  link(6, "wg0", { mac: "" }),
  link(7, "eth1", { masterIndex: 4 }),
  link(8, "eth2", { masterIndex: 3 }),
  link(9, "eth3", { masterIndex: 5 }),
];

function refuse(name: string, over: Partial<ParentCandidate> = {}): [string | undefined, string | undefined] {
  const plain = {
    parentAddress: "keep",
    links: LINKS,
    addresses: [],
    isWireless: false,
    switchName: "tsn-1",
    vlans: {},
  } as const;
  const error = refuseParent({ ...plain, name, ...over });
  return [error?.code, error?.message];
}

const refused = (code: string, name: string, why: string) => [
  code,
  `${name} cannot be the parent: ${why} (option parent)`,
];

describe("refuseParent", () => {
  it("takes a link that is nobody's and has no address", () => {
    expect(refuse("eth0")).toEqual([undefined, undefined]);
  });

  it("takes a link that is a port of the wanted switch already", () => {
    expect(refuse("eth2", { switchName: "br0" })).toEqual([undefined, undefined]);
    expect(refuse("eth3", { switchName: "ovs1", ovsBridge: "ovs1" })).toEqual([undefined, undefined]);
  });

  it.each([
    ["eth9", "not-found", "there is no such link on this host"],
    ["lo", "invalid", "it is the loopback device"],
    ["br0", "invalid", "it is a Linux bridge itself, and an uplink is a link to the outside"],
    ["ovs-system", "invalid", "it is a port of Open vSwitch itself, and an uplink is a link to the outside"],
    ["wg0", "invalid", "it is no Ethernet link"],
    ["eth1", "conflict", "it belongs to bond bond0; take it out there first"],
    ["eth2", "conflict", "it belongs to bridge br0; take it out there first"],
  ])("refuses %s, code %s: %s [F106]", (name, code, why) => {
    expect(refuse(name)).toEqual(refused(code, name, why));
  });

  it("refuses a wireless link", () => {
    const why = "it is wireless: an access point takes frames only from the station's own MAC address";
    expect(refuse("eth0", { isWireless: true })).toEqual(refused("invalid", "eth0", why));
  });

  it("refuses a port of another bridge of Open vSwitch [F106]", () => {
    const why = "it belongs to bridge ovs0 of Open vSwitch; take it out there first";
    expect(refuse("eth0", { ovsBridge: "ovs0" })).toEqual(refused("conflict", "eth0", why));
  });

  it("names the host's own addresses and the way out [F107]", () => {
    const addresses = [address(2, "192.0.2.10"), address(2, "2001:db8::10"), address(3, "10.0.0.1")];

    const why =
      "it has the host's own address 192.0.2.10/24, 2001:db8::10/64, which would stop working in a switch; " +
      "with parent-address=move the switch takes over addresses and routes";
    expect(refuse("eth0", { addresses })).toEqual(refused("conflict", "eth0", why));
    expect(refuse("eth0", { addresses, parentAddress: "move" })).toEqual([undefined, undefined]);
  });

  it.each(["macvlan", "macvtap", "ipvlan", "ipvtap"])("refuses a link with a %s link above it [F106]", (kind) => {
    const links = [...LINKS, link(10, "above", { kind, peerIndex: 2 })];

    const why = `${kind} link above is above it; remove that first`;
    expect(refuse("eth0", { links })).toEqual(refused("conflict", "eth0", why));
    expect(refuse("eth1", { links })[1]).not.toContain("above");
  });

  it("refuses a VLAN of which the host has a link above it, which would get its frames, and no other [F70]", () => {
    const links = [...LINKS, link(10, "eth0.100", { kind: "vlan", peerIndex: 2, vlanId: 100 })];
    const why = "link eth0.100 gets its frames of VLAN 100; remove that first, or choose another vlan";

    for (const vlans of [{ vlan: 100 }, { trunk: [7, 100] }, { vlan: 5, trunk: [100] }]) {
      expect(refuse("eth0", { links, vlans })).toEqual(refused("conflict", "eth0", why));
    }
    for (const vlans of [{}, { vlan: 101 }, { trunk: [99, 101] }]) {
      expect(refuse("eth0", { links, vlans })).toEqual([undefined, undefined]);
    }
  });

  it("does not count an IPv6 link-local address", () => {
    expect(refuse("eth0", { addresses: [address(2, "fe80::1", "link")] })).toEqual([undefined, undefined]);
  });
});

import { describe, expect, it } from "vitest";
import { hostLinkName } from "../../../src/cnm/names.ts";
import type { Network } from "../../../src/cnm/network.ts";
import { refuseToShare } from "../../../src/cnm/switch-sharing.ts";
import { dualStack, ifName, network, networkId } from "../../support/cnm-builder.ts";

const BR0 = ifName("br0");
const SECOND = networkId(2).slice(0, 12);
const ETH1 = { parent: ifName("eth1"), isAddressMoved: false } as const;
const ETH2 = { parent: ifName("eth2"), isAddressMoved: false } as const;

const on = (n: number, more: Partial<Network> = {}) => network(n, { switchName: BR0, ...more });
/** Network 1 comes to a switch that network 2 uses. */
const share = (own: Partial<Network>, theirs: Partial<Network>) => () => refuseToShare(on(1, own), [on(2, theirs)]);
const refusal = (text: string) =>
  expect.objectContaining({
    code: "conflict",
    message: `switch br0 cannot be shared: network ${SECOND} uses it ${text}`,
  }) as Error;

const OF_ONE_SWITCH = "and the networks of one switch must have the same";
const OF_UNTAGGED = "and those that have its untagged frames must have the same";
const OF_ONE_VLAN = "and the networks of one VLAN must have the same";

describe("networks of one switch of which one has a tunnel", () => {
  const tunnel = { kind: "vxlan", vni: 77, port: 4789, local: "192.0.2.1", peers: ["192.0.2.2"] } as const;

  it("share it in different VLANs", () => {
    expect(share({ vlans: { vlan: 10 }, tunnel }, { vlans: { vlan: 20 } })).not.toThrow();
    expect(share({ vlans: { vlan: 10 } }, { vlans: { vlan: 20 }, tunnel })).not.toThrow();
  });

  it("have one way out where their frames meet", () => {
    const theirs = `with tunnel vxlan 77, port 4789, ${OF_UNTAGGED}`;

    expect(share({ mode: "l2" }, { mode: "l2", tunnel })).toThrow(refusal(theirs));
    expect(share({ mode: "l2", uplink: ETH1 }, { mode: "l2", tunnel })).toThrow(refusal(theirs));
    expect(share({ mode: "l2", tunnel }, { mode: "l2" })).toThrow(
      refusal(`without a parent or tunnel, ${OF_UNTAGGED}`),
    );
  });

  it("have no spanning tree", () => {
    const rule = "and a switch has a spanning tree or tunnels";
    const stp = { switchSettings: { stp: true }, vlans: { vlan: 20 } };

    expect(share({ vlans: { vlan: 10 }, tunnel }, stp)).toThrow(refusal(`with stp=true, ${rule}`));
    expect(share(stp, { vlans: { vlan: 10 }, tunnel })).toThrow(refusal(`with tunnel vxlan 77, port 4789, ${rule}`));
  });
});

describe("networks of one switch", () => {
  it.each<[string, Partial<Network>, Partial<Network>]>([
    ["without VLANs", {}, {}],
    ["in different VLANs", { vlans: { vlan: 10 } }, { vlans: { vlan: 20 } }],
    ["with and without a VLAN", { vlans: { vlan: 10 } }, {}],
    ["with trunks that have nothing in common", { vlans: { trunk: [10, 20] } }, { vlans: { vlan: 5, trunk: [30] } }],
    ["that set different things", { switchSettings: { ageing: 60 } }, { switchSettings: { stp: true } }],
    ["that set the same", { switchSettings: { ageing: 60 } }, { switchSettings: { ageing: 60 } }],
    ["of which one is guarded", { isGuarded: false }, {}],
  ])("%s share it", (_what, own, theirs) => {
    expect(share(own, theirs)).not.toThrow();
    expect(share(theirs, own)).not.toThrow();
  });

  it.each(["nat", "routed", "l2", "isolated"] as const)(
    "share it in different VLANs whatever their modes: %s",
    (mode) => {
      for (const theirs of ["nat", "routed", "l2", "isolated"] as const) {
        const own = { mode, vlans: { vlan: 10 }, isIccAllowed: false };

        expect(share(own, { mode: theirs, vlans: { vlan: 20 } })).not.toThrow();
        expect(share(own, { mode: theirs })).not.toThrow();
      }
    },
  );

  it("have uplinks of their own in different VLANs", () => {
    expect(
      share({ mode: "l2", vlans: { vlan: 10 }, uplink: ETH1 }, { mode: "l2", vlans: { vlan: 20 }, uplink: ETH2 }),
    ).not.toThrow();
    expect(
      share({ mode: "l2", vlans: { vlan: 10 }, uplink: ETH1 }, { mode: "isolated", vlans: { vlan: 20 } }),
    ).not.toThrow();
  });

  it("have no spanning tree on Open vSwitch beside a guarded network, whose containers could take it over", () => {
    const [free, guarded] = [{ backend: "ovs", isGuarded: false }, { backend: "ovs" }] as const;
    const tree = { ...free, switchSettings: { stp: true } };

    expect(share(tree, guarded)).toThrow("with antispoof=true, and in the spanning tree of Open vSwitch a container");
    expect(share(guarded, tree)).toThrow("with stp=true, and in the spanning tree of Open vSwitch a container");
    expect(share(tree, free)).not.toThrow();
    expect(share({ switchSettings: { stp: true } }, {})).not.toThrow();
  });

  it.each<[string, Partial<Network>, Partial<Network>, string]>([
    ["backend", { backend: "ovs" }, {}, `with backend=bridge, ${OF_ONE_SWITCH}`],
    ["datapath", { datapathType: "kernel" }, {}, `with datapath=auto, ${OF_ONE_SWITCH}`],
    ["mtu", { mtu: 1400 }, {}, `with mtu 1500, ${OF_ONE_SWITCH}, not 1400`],
    ["stp", { switchSettings: { stp: true } }, { switchSettings: { stp: false } }, `with stp=false, ${OF_ONE_SWITCH}`],
    ["ageing", { switchSettings: { ageing: 1 } }, { switchSettings: { ageing: 2 } }, `with ageing=2, ${OF_ONE_SWITCH}`],
    ["mode", { mode: "routed" }, {}, `with mode nat, ${OF_ONE_SWITCH}`],
    ["--internal", {}, { isInternal: true }, `with mode nat and --internal, ${OF_ONE_SWITCH}`],
    ["icc", {}, { isIccAllowed: false }, `with icc=false, ${OF_ONE_SWITCH}`],
    ["icc the other way round", { isIccAllowed: false }, {}, `with icc=true, ${OF_ONE_SWITCH}`],
    ["IPv6", {}, { hasIpv6: true }, "with IPv6, and the host has IPv6 on a link or has it not"],
    ["IPv6 the other way round", { hasIpv6: true }, {}, "without IPv6, and the host has IPv6 on a link or has it not"],
  ])("must agree about %s", (_what, own, theirs, text) => {
    expect(share(own, theirs)).toThrow(refusal(text));
  });

  it("must agree about backend, datapath, mtu and settings also in different VLANs", () => {
    const [own, theirs] = [{ vlans: { vlan: 10 } }, { vlans: { vlan: 20 } }];

    for (const more of [{ backend: "ovs" }, { datapathType: "kernel" }, { mtu: 1400 }] as const) {
      expect(share({ ...own, ...more }, theirs)).toThrow(OF_ONE_SWITCH);
    }
    expect(share({ ...own, switchSettings: { stp: true } }, { ...theirs, switchSettings: { stp: false } })).toThrow(
      OF_ONE_SWITCH,
    );
  });

  it("need not agree about IPv6 where the host is not on it", () => {
    expect(share({ mode: "l2" }, { mode: "l2", hasIpv6: true })).not.toThrow();
  });

  it("set cost and priority of an uplink alike if it is the same one", () => {
    const own = { mode: "l2", vlans: { vlan: 10 }, uplink: ETH1, switchSettings: { "stp-cost": 5 } } as const;
    const theirs = { mode: "l2", vlans: { vlan: 20 }, switchSettings: { "stp-cost": 6 } } as const;

    expect(share(own, { ...theirs, uplink: ETH2 })).not.toThrow();
    expect(share(own, { ...theirs, uplink: ETH1 })).toThrow(refusal(`with stp-cost=6, ${OF_ONE_SWITCH}`));
  });

  it("have timers of the spanning tree that fit together, of however many networks they come", () => {
    const set = (n: number, settings: Network["switchSettings"]) =>
      on(n, { vlans: { vlan: n }, switchSettings: { stp: true, ...settings } });

    expect(() =>
      refuseToShare(set(1, { "stp-forward-delay": 11 }), [set(2, { "stp-hello": 9 }), set(3, {})]),
    ).not.toThrow();
    expect(() =>
      refuseToShare(set(1, { "stp-forward-delay": 11 }), [set(2, { "stp-max-age": 28 }), set(3, {})]),
    ).toThrow("switch br0 cannot be shared: with what its other networks set, option stp-max-age: 28 does not fit");
  });

  it("are asked about all others, not just the first", () => {
    expect(() => refuseToShare(on(1), [on(3), on(2, { mtu: 1400 })])).toThrow(
      refusal(`with mtu 1400, ${OF_ONE_SWITCH}, not 1500`),
    );
  });
});

describe("one VLAN in two networks of a switch", () => {
  const SHARED = { isVlanShared: true } as const;
  const l2 = (vlans: Network["vlans"], more: Partial<Network> = {}) => ({ mode: "l2", vlans, ...more }) as const;

  it.each<[string, Network["vlans"], Network["vlans"], string, string]>([
    ["the same access VLAN", { vlan: 10 }, { vlan: 10 }, "vlan 10", "10"],
    ["an access VLAN in a trunk", { vlan: 10 }, { trunk: [10, 20] }, "trunk 10,20", "10"],
    ["a trunk over an access VLAN", { trunk: [10, 20] }, { vlan: 20 }, "vlan 20", "20"],
    [
      "trunks that overlap",
      { trunk: [10, 20, 21, 22] },
      { vlan: 5, trunk: [20, 21, 30] },
      "vlan 5 and trunk 20-21,30",
      "20-21",
    ],
    ["a native VLAN in a trunk", { vlan: 10, trunk: [20] }, { trunk: [10] }, "trunk 10", "10"],
  ])("is refused unless both say so: %s [F70]", (_what, own, theirs, used, common) => {
    const rule = `with ${used}, and for VLAN ${common} in two networks`;

    expect(share(l2(own), l2(theirs))).toThrow(refusal(`${rule} both must say shared-vlan=true`));
    expect(share(l2(own, SHARED), l2(theirs))).toThrow(refusal(`${rule} both must say shared-vlan=true`));
    expect(share(l2(own), l2(theirs, SHARED))).toThrow(refusal(`${rule} this one must say so too: shared-vlan=true`));
    expect(share(l2(own, SHARED), l2(theirs, SHARED))).not.toThrow();
  });

  it("may not have subnets that overlap", () => {
    const pools = [{ subnet: "10.1.0.0/16", gateway: "10.1.0.1" }];

    expect(share(l2({ vlan: 10 }, { ...SHARED, pools }), l2({ trunk: [10] }, SHARED))).toThrow(
      refusal("with subnet 10.1.2.0/24, and subnets of one VLAN may not overlap, as 10.1.0.0/16 does"),
    );
    expect(share(l2({ vlan: 10 }, { ...SHARED, pools }), l2({ vlan: 20 }, SHARED))).not.toThrow();
  });

  it("has one link of the host, and what is behind it is one: mode, --internal, icc, IPv6", () => {
    const nat = { mode: "nat", vlans: { vlan: 10 }, ...SHARED } as const;

    expect(share(nat, nat)).not.toThrow();
    expect(share(nat, { ...nat, mode: "l2" })).toThrow(refusal(`with mode l2, ${OF_ONE_VLAN}`));
    expect(share(nat, { ...nat, isInternal: true })).toThrow(refusal(`with mode nat and --internal, ${OF_ONE_VLAN}`));
    expect(share(nat, { ...nat, isIccAllowed: false })).toThrow(refusal(`with icc=false, ${OF_ONE_VLAN}`));
    expect(() => refuseToShare(dualStack(1, { ...nat, switchName: BR0 }), [on(2, nat)])).toThrow("without IPv6");
  });

  it("may be a trunk for a router of a network with the gateway on the host", () => {
    expect(share(l2({ trunk: [10, 20] }, SHARED), { mode: "nat", vlans: { vlan: 10 }, ...SHARED })).not.toThrow();
  });

  it("is isolated in both or in neither", () => {
    const isolated = { mode: "isolated", vlans: { vlan: 10 }, ...SHARED } as const;

    expect(share(l2({ trunk: [10, 20] }, SHARED), isolated)).toThrow(refusal(`with mode isolated, ${OF_ONE_VLAN}`));
    expect(share(isolated, l2({ trunk: [10, 20] }, SHARED))).toThrow(refusal(`with mode l2, ${OF_ONE_VLAN}`));
  });

  it("has one way out: nobody gets by it where its network does not lead", () => {
    const plain = l2({ vlan: 10 }, SHARED);

    expect(share({ ...plain, uplink: ETH1 }, plain)).toThrow(refusal(`without a parent or tunnel, ${OF_ONE_VLAN}`));
    expect(share(plain, { ...plain, uplink: ETH1 })).toThrow(refusal(`with parent=eth1, ${OF_ONE_VLAN}`));
    expect(share({ ...plain, uplink: ETH1 }, { ...plain, uplink: ETH2 })).toThrow(
      refusal(`with parent=eth2, ${OF_ONE_VLAN}`),
    );
    expect(share({ ...plain, uplink: ETH1 }, { ...plain, uplink: ETH1 })).not.toThrow();
  });
});

describe("networks without VLANs on one switch", () => {
  it("have one way out and subnets of their own, too", () => {
    const plain = { mode: "l2" } as const;

    expect(share({ ...plain, uplink: ETH1 }, plain)).toThrow(refusal(`without a parent or tunnel, ${OF_UNTAGGED}`));
    expect(share({ ...plain, pools: [{ subnet: "10.1.2.0/25" }] }, plain)).toThrow("as 10.1.2.0/25 does");
    expect(share({ ...plain, pools: [] }, { ...plain, pools: [] })).not.toThrow();
  });
});

describe("an uplink whose addresses were moved, which carries untagged frames whatever the VLANs of its network", () => {
  const moved = { mode: "l2", vlans: { vlan: 10 }, uplink: { ...ETH1, isAddressMoved: true } } as const;

  it.each(["nat", "l2", "isolated"] as const)("is no way out for a network without VLANs of mode %s", (mode) => {
    expect(share(moved, { mode })).toThrow(refusal(`without a parent or tunnel, ${OF_UNTAGGED}`));
    expect(share({ mode }, moved)).toThrow(refusal(`with parent=eth1, ${OF_UNTAGGED}`));
  });

  it("does not join with a second one", () => {
    const second = { ...moved, vlans: { vlan: 20 }, uplink: { ...ETH2, isAddressMoved: true } };

    expect(share(second, moved)).toThrow(refusal(`with parent=eth1, ${OF_UNTAGGED}`));
  });

  it("serves further networks with VLANs, and those without that name it", () => {
    for (const own of [{ vlans: { vlan: 20 } }, { vlans: {} }]) {
      expect(share({ ...moved, ...own }, moved)).not.toThrow();
      expect(share({ mode: "l2", vlans: { vlan: 20 } }, moved)).not.toThrow();
    }
  });
});

describe("the host's link of networks that share a VLAN", () => {
  it("is the same by its name alone", () => {
    expect(hostLinkName("bridge", BR0, { vlan: 10 })).toBe(hostLinkName("bridge", BR0, { vlan: 10, trunk: [20] }));
  });
});

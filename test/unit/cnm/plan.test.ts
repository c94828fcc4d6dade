import { describe, expect, it } from "vitest";
import { planNetwork, planOptions } from "../../../src/cnm/plan.ts";
import type { CreateNetwork, RequestedPool } from "../../../src/cnm/requests.ts";
import { refuseOverlap } from "../../../src/cnm/switch-sharing.ts";
import { dualStack, network, networkId, networkRequest, pool4, pool6 } from "../../support/cnm-builder.ts";

const NULL_POOL: RequestedPool = { addressSpace: "null", subnet: "0.0.0.0/0" };
const NULL_POOL6: RequestedPool = { addressSpace: "null", subnet: "::/0" };

const plan = (options: Readonly<Record<string, string>> = {}, more: Partial<CreateNetwork> = {}) =>
  planNetwork(networkRequest(1, options, more));
const withGateway = (gateway: string, subnet = "10.1.1.0/24") =>
  plan({}, { pools: [{ addressSpace: "LocalDefault", subnet, gateway }] });

describe("planOptions", () => {
  it("reports every fault of the options in one message", () => {
    expect(() => planOptions(networkRequest(1, { mtu: "1", mode: "x" }))).toThrow(/option mtu.*; option mode/);
  });
});

describe("a planned network", () => {
  it("has the defaults of mode nat", () => {
    expect(plan()).toMatchObject({
      id: networkId(),
      mode: "nat",
      isInternal: false,
      isHostOnSwitch: true,
      backend: "bridge",
      requested: {},
      vlans: {},
      isVlanShared: false,
      switchSettings: {},
      isMasqueraded: true,
      hasDefaultRoute: true,
      hasIpv6: false,
      ifPrefix: "eth",
      routes: [],
      pools: [{ subnet: "10.1.1.0/24", gateway: "10.1.1.1" }],
    });
  });

  it.each([
    ["nat", { isHostOnSwitch: true, isMasqueraded: true }],
    ["routed", { isHostOnSwitch: true, isMasqueraded: false }],
    ["l2", { isHostOnSwitch: false, isMasqueraded: false }],
    ["isolated", { isHostOnSwitch: false, isMasqueraded: false }],
  ])("of mode %s has the host where the mode says", (mode, expected) => {
    expect(plan({ mode })).toMatchObject(expected);
  });

  it("is not masqueraded with masquerade=false", () => {
    expect(plan({ masquerade: "false" }).isMasqueraded).toBe(false);
  });

  it("lets its endpoints speak to each other and guards them, unless it is told otherwise, in every mode", () => {
    for (const mode of ["nat", "routed", "l2", "isolated"]) {
      expect(plan({ mode })).toMatchObject({ isIccAllowed: true, isGuarded: true });
      expect(plan({ mode, icc: "false" })).toMatchObject({ isIccAllowed: false, isGuarded: true });
      expect(plan({ mode, antispoof: "false" })).toMatchObject({ isIccAllowed: true, isGuarded: false });
    }
  });

  it("has the address of host-binding, and none without it", () => {
    expect(plan({ "host-binding": "192.0.2.1" }).hostBinding).toBe("192.0.2.1");
    expect(plan()).not.toHaveProperty("hostBinding");
  });

  it("has no default route with gateway=none", () => {
    expect(plan({ gateway: "none" })).toMatchObject({ hasDefaultRoute: false, pools: [{ gateway: "10.1.1.1" }] });
  });

  it("keeps the gateway of mode l2, which is the physical router's, and none of mode isolated", () => {
    expect(plan({ mode: "l2" }).pools).toEqual([{ subnet: "10.1.1.0/24", gateway: "10.1.1.1" }]);
    expect(plan({ mode: "isolated" }).pools).toEqual([{ subnet: "10.1.1.0/24" }]);
  });

  it("has IPv6 when it has a pool of it, whatever the flag says", () => {
    expect(plan({}, { pools: [pool4(), pool6()] }).hasIpv6).toBe(true);
    expect(plan({}, { hasIpv6: true }).hasIpv6).toBe(true);
  });

  it("has a MAC for its switch that is the same at every repetition", () => {
    expect(plan().switchMac).toBe(plan().switchMac);
    expect(plan().switchMac).not.toBe(planNetwork(networkRequest(2)).switchMac);
  });

  it("keeps addresses in canonical form", () => {
    const pools = [{ addressSpace: "LocalDefault", subnet: "FD00:1:1:0::/64", gateway: "fd00:1:1:0::0001/64" }];

    expect(plan({}, { pools }).pools).toEqual([{ subnet: "fd00:1:1::/64", gateway: "fd00:1:1::1" }]);
  });

  it("may have several subnets of one family", () => {
    expect(plan({}, { pools: [pool4(1), pool4(2), pool6(1)] }).pools).toHaveLength(3);
  });
});

describe("the null IPAM", () => {
  it.each(["l2", "isolated"])("goes with mode %s, of both families", (mode) => {
    expect(plan({ mode }, { pools: [NULL_POOL, NULL_POOL6] }).pools).toEqual([]);
  });

  it.each(["nat", "routed"])("does not go with mode %s, and the message names the modes that do", (mode) => {
    expect(() => plan({ mode }, { pools: [NULL_POOL] })).toThrow(
      `mode ${mode} needs addresses; with --ipam-driver null the modes l2 and isolated are permitted`,
    );
  });
});

describe("refused is", () => {
  it.each(["routed", "l2", "isolated"])(
    "host-binding in mode %s, which publishes on no address of the host",
    (mode) => {
      expect(() => plan({ mode, "host-binding": "192.0.2.1" })).toThrow(
        `option host-binding is permitted in mode nat; mode ${mode} publishes no port on an address of the host`,
      );
    },
  );

  it("a gateway outside its subnet", () => {
    expect(() => withGateway("10.9.9.1/24")).toThrow("gateway 10.9.9.1/24 is outside 10.1.1.0/24");
  });

  it("a gateway of the other family", () => {
    expect(() => withGateway("fd00::1/64")).toThrow("is outside 10.1.1.0/24");
  });

  it.each(["10.1.1.1", "10.1.1.1/33", "none", ""])("%j as a gateway", (gateway) => {
    expect(() => withGateway(gateway)).toThrow();
  });

  it("a subnet with host bits, with the one that was probably meant", () => {
    const pools = [{ addressSpace: "LocalDefault", subnet: "10.1.1.7/24", gateway: "10.1.1.1/24" }];

    expect(() => plan({}, { pools })).toThrow("subnet 10.1.1.7/24 has host bits set; did you mean 10.1.1.0/24");
  });

  it("subnets of one network that overlap", () => {
    const wide = { addressSpace: "LocalDefault", subnet: "10.1.0.0/16", gateway: "10.1.0.1/16" };

    expect(() => plan({}, { pools: [wide, pool4()] })).toThrow("subnets 10.1.0.0/16 and 10.1.1.0/24 overlap");
  });

  it.each(["nat", "routed"])("mode %s without a gateway address", (mode) => {
    const pools = [{ addressSpace: "LocalDefault", subnet: "10.1.1.0/24" }];

    expect(() => plan({ mode }, { pools })).toThrow(`mode ${mode} needs a gateway address in 10.1.1.0/24`);
  });

  it.each(["l2", "isolated"])("--internal in mode %s", (mode) => {
    expect(() => plan({ mode }, { isInternal: true })).toThrow("--internal is permitted in the modes nat and routed");
  });

  it.each(["routed", "l2", "isolated"])("masquerade=false in mode %s", (mode) => {
    expect(() => plan({ mode, masquerade: "false" })).toThrow("option masquerade: false is permitted in mode nat");
  });

  it("an mtu below 1280 with IPv6, and 1280 is taken", () => {
    const pools = [pool4(), pool6()];

    expect(() => plan({ mtu: "1279" }, { pools })).toThrow(
      "option mtu: 1279 is too small for IPv6; permitted: 1280-65535",
    );
    expect(plan({ mtu: "1280" }, { pools }).requested.mtu).toBe(1280);
    expect(plan({ mtu: "68" }).requested.mtu).toBe(68);
  });

  it("a route whose next hop is in no subnet of the network", () => {
    expect(() => plan({ routes: "10.0.0.0/16 via 10.9.9.9" })).toThrow(
      "option routes: 10.9.9.9 is in no subnet of the network (10.1.1.0/24)",
    );
  });

  it("a route that overlaps the network's own subnet", () => {
    expect(() => plan({ routes: "10.0.0.0/8 via 10.1.1.9" })).toThrow(
      "option routes: 10.0.0.0/8 overlaps the network's own 10.1.1.0/24",
    );
  });

  it("everything wrong at once, as one invalid request", () => {
    const pools = [{ addressSpace: "LocalDefault", subnet: "10.1.1.7/24" }];
    const request = networkRequest(1, { mtu: "5", mode: "x", bogus: "1" }, { pools });

    expect(() => planNetwork(request)).toThrow(
      expect.objectContaining({
        code: "invalid",
        message: expect.stringMatching(/mtu.*mode.*bogus.*host bits/) as string,
      }),
    );
  });
});

describe("refuseOverlap", () => {
  const planned = (mode: string, subnet: string) =>
    plan({ mode }, { pools: [{ addressSpace: "LocalDefault", subnet, gateway: subnet.replace("0/", "1/") }] });

  it.each([
    ["nat", "nat"],
    ["nat", "l2"],
    ["routed", "isolated"],
    ["l2", "nat"],
    ["isolated", "routed"],
  ] as const)("refuses a subnet of mode %s that meets one of mode %s, and names the other network", (mode, other) => {
    expect(() => refuseOverlap(planned(mode, "10.1.2.0/25"), [network(2, { mode: other })])).toThrow(
      `subnet 10.1.2.0/25 overlaps 10.1.2.0/24 of network ${networkId(2).slice(0, 12)}`,
    );
  });

  it.each(["l2", "isolated"] as const)("permits it where the host routes for neither: mode %s", (mode) => {
    expect(() => refuseOverlap(planned("l2", "10.1.2.0/24"), [network(2, { mode })])).not.toThrow();
  });

  it("permits neighbouring subnets", () => {
    expect(() => refuseOverlap(planned("nat", "10.1.3.0/24"), [network(2), network(4)])).not.toThrow();
  });

  it("looks at IPv6 too", () => {
    const pools = [{ addressSpace: "LocalDefault", subnet: "fd00:1:2::/80", gateway: "fd00:1:2::1/80" }];

    expect(() => refuseOverlap(plan({}, { pools }), [dualStack(2)])).toThrow("overlaps fd00:1:2::/64");
  });
});

import { describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import { planEndpoint } from "../../../src/cnm/plan-endpoint.ts";
import type { CreateEndpoint } from "../../../src/cnm/requests.ts";
import { dualStack, endpointId, endpointRequest, network, networkId } from "../../support/cnm-builder.ts";

describe("a planned endpoint", () => {
  const planned = (more: Partial<CreateEndpoint> = {}, on = network()) => planEndpoint(endpointRequest(1, 1, more), on);
  const withMtu = (mtu: string, more: Partial<CreateEndpoint> = {}) =>
    planned({ options: new Map([["mtu", mtu]]), ...more }, dualStack());

  it("has the MAC of its address and the network's MTU", () => {
    expect(planned()).toEqual({
      networkId: networkId(),
      endpointId: endpointId(),
      address: "10.1.1.2/24",
      mac: "02:42:0a:01:01:02",
      vlans: {},
      mtu: 1500,
    });
  });

  it("keeps the MAC that was given, in lower case", () => {
    expect(planned({ mac: "02:AA:bb:CC:dd:EE" }).mac).toBe("02:aa:bb:cc:dd:ee");
  });

  it.each(["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01", "00:00:00:00:00:00"])(
    "cannot have the MAC %s, which is no unicast address",
    (mac) => {
      expect(() => planned({ mac })).toThrow(`MAC address ${mac} is no unicast address`);
    },
  );

  it("may have a smaller MTU, down to 68, and with IPv6 to 1280", () => {
    expect(withMtu("68").mtu).toBe(68);
    expect(withMtu("1500").mtu).toBe(1500);
    expect(withMtu("1280", { addressIpv6: "fd00:1:1::2/64" }).mtu).toBe(1280);
  });

  it("cannot have a larger MTU than its network", () => {
    expect(() => withMtu("1501")).toThrow("option mtu: 1501 is more than the network's 1500");
  });

  it("cannot have an MTU below 1280 with IPv6", () => {
    expect(() => withMtu("1279", { addressIpv6: "fd00:1:1::2/64" })).toThrow("permitted: 1280-1500");
  });

  it("cannot have an address outside the network's subnets", () => {
    expect(() => planned({ address: "10.9.9.2/24" })).toThrow(
      "address 10.9.9.2/24 is in no subnet of the network (10.1.1.0/24)",
    );
  });

  it.each([{ address: "fd00::2/64" }, { addressIpv6: "10.1.1.2/24" }, { address: "10.1.1.2" }, { address: "x/24" }])(
    "cannot have the address %o",
    (more) => {
      expect(() => planned(more)).toThrow(expect.objectContaining({ code: "invalid" }));
    },
  );

  it("may have any address, or none, on a network without subnets", () => {
    const bare = network(1, { mode: "l2", pools: [] });

    expect(planned({ address: "192.0.2.7/24" }, bare).address).toBe("192.0.2.7/24");
    expect(planEndpoint({ networkId: networkId(), endpointId: endpointId(), options: new Map() }, bare)).toMatchObject({
      mac: expect.stringMatching(/^02:/) as string,
    });
  });

  it("reports every fault at once", () => {
    expect(() => planned({ address: "10.9.9.2/24", addressIpv6: "x", mac: "ff:ff:ff:ff:ff:ff" })).toThrow(
      /10\.9\.9\.2.*"x".*MAC address/,
    );
  });
});

describe("the VLANs of a planned endpoint", () => {
  const TRUNK = [20, 30, 31];
  const vlansOn = (on: Partial<Network>, options: Readonly<Record<string, string>> = {}) =>
    planEndpoint(endpointRequest(1, 1, { options: new Map(Object.entries(options)) }), network(1, on)).vlans;

  it.each<[string, Partial<Network>]>([
    ["of an access network", { vlans: { vlan: 10 } }],
    ["of a trunk", { mode: "l2", vlans: { trunk: TRUNK } }],
    ["of a trunk with a native VLAN", { vlans: { vlan: 10, trunk: TRUNK } }],
  ])("are those %s when it names none", (_what, on) => {
    expect(vlansOn(on)).toEqual(on.vlans);
  });

  it.each<[Readonly<Record<string, string>>, object]>([
    [{ vlan: "30" }, { vlan: 30 }],
    [{ trunk: "20,30" }, { trunk: [20, 30] }],
    [
      { vlan: "20", trunk: "10,31" },
      { vlan: 20, trunk: [10, 31] },
    ],
  ])("are those that it names and no others: %j", (options, vlans) => {
    expect(vlansOn({ mode: "l2", vlans: { vlan: 10, trunk: TRUNK } }, options)).toEqual(vlans);
  });

  it.each([
    [{ vlan: "40" }, "VLAN 40 is none of the network's; permitted: 10,20,30-31"],
    [{ trunk: "20-40" }, "VLAN 21-29,32-40 is none of the network's; permitted: 10,20,30-31"],
    [{ vlan: "10", trunk: "1" }, "VLAN 1 is none of the network's"],
  ])("cannot lie outside the network's: %j", (options, message) => {
    expect(() => vlansOn({ mode: "l2", vlans: { vlan: 10, trunk: TRUNK } }, options)).toThrow(message);
  });

  it("cannot be had on a network without any", () => {
    expect(() => vlansOn({}, { vlan: "10" })).toThrow("VLAN 10 is none of the network's; the network has none");
  });

  it("cannot be one both untagged and tagged", () => {
    expect(() => vlansOn({ mode: "l2", vlans: { trunk: TRUNK } }, { vlan: "20", trunk: "20,30" })).toThrow(
      "VLAN 20 is untagged by option vlan, and by option trunk it would be tagged as well; leave it out of the list: trunk=30",
    );
  });

  it.each(["nat", "routed"] as const)("reach the gateway untagged in mode %s", (mode) => {
    const on = { mode, vlans: { vlan: 10, trunk: TRUNK } };

    for (const options of [{ vlan: "20" }, { trunk: "20" }, { trunk: "10,20" }]) {
      expect(() => vlansOn(on, options)).toThrow(
        `does not reach the gateway: mode ${mode} has the gateway in VLAN 10, untagged at the container; permitted: vlan=10`,
      );
    }
    expect(vlansOn(on, { vlan: "10", trunk: "30" })).toEqual({ vlan: 10, trunk: [30] });
  });

  it("are reported together with what else is wrong", () => {
    const request = endpointRequest(1, 1, { options: new Map([["vlan", "7"]]), address: "10.9.9.2/24" });

    expect(() => planEndpoint(request, network(1, { vlans: { vlan: 10 } }))).toThrow(
      expect.objectContaining({ code: "invalid", message: expect.stringMatching(/10\.9\.9\.2.*VLAN 7/) as string }),
    );
  });
});

import { describe, expect, it } from "vitest";
import { planNetwork, planOptions } from "../../../src/cnm/plan.ts";
import { modeOf } from "../../../src/cnm/plan-switch.ts";
import type { CreateNetwork } from "../../../src/cnm/requests.ts";
import { networkRequest } from "../../support/cnm-builder.ts";

type Options = Readonly<Record<string, string>>;

const plan = (options: Options, more: Partial<CreateNetwork> = {}) => planNetwork(networkRequest(1, options, more));
/** The message of both places that read options, which must say the same. */
const faultOf = (options: Options) => {
  const messages = [plan, (given: Options) => planOptions(networkRequest(1, given))].map((read) => {
    try {
      read(options);
      return "";
    } catch (fault) {
      return (fault as Error).message; // both throw TsnetError
    }
  });
  expect(messages[0]).toBe(messages[1]);
  return messages[0];
};

describe("the mode", () => {
  it.each([
    [{}, "nat"],
    [{ parent: "eth1" }, "l2"],
    [{ parent: "eth1", mode: "nat" }, "nat"],
    [{ parent: "eth1", mode: "routed" }, "routed"],
    [{ vlan: "10" }, "nat"],
  ])("with %j is %s", (options, mode) => {
    expect(modeOf(planOptions(networkRequest(1, options)))).toBe(mode);
    expect(plan(options).mode).toBe(mode);
  });
});

describe("what a network asks of its switch", () => {
  it("is in the plan as it was given", () => {
    const options = { backend: "ovs", vlan: "10", trunk: "20,30-32", parent: "eth1", "parent-address": "move" };

    expect(
      plan({ ...options, "shared-vlan": "true", mtu: "1400", datapath: "userspace", bridge: "br0" }),
    ).toMatchObject({
      backend: "ovs",
      mode: "l2",
      isHostOnSwitch: false,
      vlans: { vlan: 10, trunk: [20, 30, 31, 32] },
      isVlanShared: true,
      uplink: { parent: "eth1", isAddressMoved: true },
      requested: { bridge: "br0", datapath: "userspace", mtu: 1400 },
    });
  });

  it("has switch settings that were given, and no others", () => {
    const given = {
      stp: "true",
      "stp-priority": "4096",
      "stp-forward-delay": "4",
      "stp-hello": "1",
      "stp-max-age": "6",
    };
    const more = {
      "stp-cost": "100",
      "stp-port-priority": "8",
      ageing: "60",
      "mcast-snooping": "false",
      hairpin: "false",
    };

    expect(plan({ parent: "eth1", ...given, ...more }).switchSettings).toEqual({
      stp: true,
      "stp-priority": 4096,
      "stp-forward-delay": 4,
      "stp-hello": 1,
      "stp-max-age": 6,
      "stp-cost": 100,
      "stp-port-priority": 8,
      ageing: 60,
      "mcast-snooping": false,
      hairpin: false,
    });
    expect(plan({}).switchSettings).toEqual({});
  });

  it("guards its endpoints unless they have a trunk, whose frames are those of others", () => {
    expect(plan({ vlan: "10" }).isGuarded).toBe(true);
    expect(plan({ vlan: "10", trunk: "20" }).isGuarded).toBe(false);
    expect(plan({ vlan: "10", trunk: "20", antispoof: "false" }).isGuarded).toBe(false);
  });
});

describe("refused is", () => {
  it.each<[string, Options, string]>([
    [
      "vlan in the list of trunk",
      { vlan: "10", trunk: "10,20-22" },
      "options vlan and trunk: VLAN 10 is untagged by option vlan, and by option trunk it would be tagged as well; leave it out of the list: trunk=20-22",
    ],
    [
      "vlan as the whole list of trunk",
      { vlan: "10", trunk: "10" },
      "options vlan and trunk: VLAN 10 is untagged by option vlan, and by option trunk it would be tagged as well; leave trunk out",
    ],
    [
      "a trunk without vlan in mode nat",
      { trunk: "10,20" },
      "mode nat with option trunk needs option vlan: the VLAN of the gateway, untagged at the containers; the modes l2 and isolated need none",
    ],
    [
      "a trunk without vlan in mode routed",
      { trunk: "10,20", mode: "routed" },
      "mode routed with option trunk needs option vlan: the VLAN of the gateway, untagged at the containers; the modes l2 and isolated need none",
    ],
    [
      "antispoof=true with a trunk",
      { vlan: "10", trunk: "20", antispoof: "true" },
      "option antispoof: true is not permitted with option trunk, whose containers send for others; permitted: false",
    ],
    [
      "shared-vlan without a VLAN",
      { "shared-vlan": "true" },
      "option shared-vlan is permitted with option vlan or trunk",
    ],
    [
      "parent-address=move without a parent",
      { "parent-address": "move" },
      "option parent-address: move is permitted with option parent",
    ],
    [
      "the cost of an uplink that there is not",
      { stp: "true", "stp-cost": "5" },
      "option stp-cost is that of the uplink: it is permitted with option parent",
    ],
    [
      "the port priority of an uplink that there is not",
      { stp: "true", "stp-port-priority": "5" },
      "option stp-port-priority is that of the uplink: it is permitted with option parent",
    ],
    [
      "a switch in itself",
      { parent: "br0", bridge: "br0" },
      "options parent and bridge: br0 cannot be a port of itself",
    ],
    [
      "an uplink in mode isolated",
      { parent: "eth1", mode: "isolated" },
      "option parent is not permitted in mode isolated, where nothing gets in or out; permitted: nat, routed, l2",
    ],
    [
      "a kind of datapath on a Linux bridge",
      { datapath: "userspace" },
      "option datapath is permitted with backend=ovs",
    ],
    [
      "hairpin on Open vSwitch",
      { backend: "ovs", hairpin: "true" },
      "option hairpin: Open vSwitch sends no frame back by the port by which it came; permitted with backend=bridge",
    ],
    [
      "an ageing that Open vSwitch cannot have",
      { backend: "ovs", ageing: "10" },
      "option ageing: 10 is nothing that a switch of backend ovs can have; permitted: 15-3600",
    ],
    [
      "a port priority that a Linux bridge cannot have",
      { stp: "true", parent: "eth1", "stp-port-priority": "64" },
      "option stp-port-priority: 64 is nothing that a switch of backend bridge can have; permitted: 0-63",
    ],
    [
      "a forward delay too short for the age of messages",
      { stp: "true", "stp-forward-delay": "4" },
      "option stp-max-age: 20 does not fit: with stp-hello 2 and stp-forward-delay 4; permitted: 6 seconds",
    ],
    [
      "a hello time too long for the age of messages",
      { stp: "true", "stp-hello": "10" },
      "option stp-max-age: 20 does not fit: with stp-hello 10 and stp-forward-delay 15; permitted: 22-28 seconds",
    ],
    [
      "timers that no age of messages fits",
      { stp: "true", "stp-hello": "10", "stp-forward-delay": "2" },
      "option stp-max-age: 20 does not fit: with stp-hello 10 and stp-forward-delay 2; no value fits",
    ],
  ])("%s", (_what, options, message) => {
    expect(faultOf(options)).toBe(message);
  });

  it.each(["stp-priority", "stp-forward-delay", "stp-hello", "stp-max-age"])(
    "%s without the spanning tree, or with stp=false",
    (key) => {
      for (const options of [{ [key]: "10" }, { [key]: "10", stp: "false" }]) {
        expect(faultOf(options)).toBe(`option ${key} is permitted with stp=true`);
      }
    },
  );

  it("an uplink with --internal, by which frames would leave", () => {
    for (const mode of ["nat", "routed"]) {
      expect(() => plan({ parent: "eth1", mode }, { isInternal: true })).toThrow(
        "--internal is not permitted with option parent, by which frames leave the host",
      );
    }
  });

  it("everything wrong at once", () => {
    const options = { vlan: "10", trunk: "10", parent: "br0", bridge: "br0", "stp-hello": "2", datapath: "kernel" };

    expect(faultOf(options)).toMatch(/VLAN 10 is untagged.*port of itself.*stp-hello.*option datapath/);
  });
});

describe("taken is", () => {
  it.each<Options>([
    { vlan: "10", trunk: "20" },
    { trunk: "20", mode: "l2" },
    { trunk: "20", mode: "isolated" },
    { trunk: "20", parent: "eth1" },
    { vlan: "10", "shared-vlan": "true" },
    { trunk: "10", mode: "l2", "shared-vlan": "true" },
    { parent: "eth1", "parent-address": "move", mode: "nat" },
    { backend: "ovs", hairpin: "false" },
    { backend: "ovs", ageing: "15" },
    { backend: "ovs", ageing: "3600" },
    { ageing: "0" },
    { stp: "true", parent: "eth1", "stp-port-priority": "63", "stp-cost": "1" },
    { stp: "true", parent: "eth1", "stp-port-priority": "255", backend: "ovs" },
    { stp: "true", "stp-forward-delay": "4", "stp-max-age": "6" },
    { stp: "true", "stp-forward-delay": "11" },
    { backend: "ovs", datapath: "kernel" },
  ])("%j", (options) => {
    expect(faultOf(options)).toBe("");
  });
});

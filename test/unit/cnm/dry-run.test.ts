// What a creation would do, said and not done: `-o dry-run=true` and `tsnet plan`.
import { describe, expect, it } from "vitest";
import type { PlanNetwork } from "../../../src/cnm/change-requests.ts";
import type { PoolKeeper } from "../../../src/cnm/pool-keeper.ts";
import { CnmRig, NOTHING, OTHER_IPAM } from "../../support/cnm-rig.ts";
import { networkId, networkRequest, pool4 } from "../../support/cnm-builder.ts";

const POOL = { subnet: "10.1.1.0/24" };

async function planOf(
  options: Readonly<Record<string, string>>,
  more: Partial<PlanNetwork> = {},
  rig = new CnmRig(),
): Promise<readonly string[]> {
  rig.datapath.plant("eth1", { kind: "other" });
  const base = { isInternal: false, hasIpv6: false, pools: [POOL] };
  const { steps } = await rig.changes.plan({ ...base, ...more, options: new Map(Object.entries(options)) });
  return steps;
}

describe("a creation with dry-run=true", () => {
  it("fails with what it would do, and changes nothing", async () => {
    const rig = new CnmRig();

    await expect(rig.createNetwork(networkRequest(1, { "dry-run": "true" }))).rejects.toThrow(
      `dry run, nothing was changed; without it tsnet would make bridge tsn-${networkId().slice(0, 11)} with mtu 1500; give`,
    );
    expect(rig.state()).toEqual(NOTHING);
    expect(rig.writeCount).toBe(0);
  });

  it("fails as the creation would where that is not possible", async () => {
    const rig = new CnmRig();
    const request = networkRequest(1, { "dry-run": "true", bridge: "eth1" });
    rig.datapath.plant("eth1", { kind: "other" });

    await expect(rig.createNetwork(request)).rejects.toThrow("link eth1 is no Linux bridge");
  });

  it("gives the pool back that the engine takes back next, as with any creation that fails", async () => {
    const refused: string[] = [];
    const pools: PoolKeeper = { ...OTHER_IPAM, refuse: (_space, subnet) => void refused.push(subnet) };

    await expect(
      new CnmRig(undefined, pools).createNetwork(networkRequest(1, { "dry-run": "true" })),
    ).rejects.toThrow();

    expect(refused).toEqual(["10.1.1.0/24"]);
  });

  it("is a creation with dry-run=false", async () => {
    const rig = new CnmRig();

    await rig.createNetwork(networkRequest(1, { "dry-run": "false" }));

    expect(rig.registry.live()).toHaveLength(1);
  });

  it("leaves a network that Docker has no more where it is, and says that it would go", async () => {
    const pools: PoolKeeper = { ...OTHER_IPAM, count: () => 0 };
    const rig = new CnmRig(undefined, pools);
    await rig.createNetwork(networkRequest(1));
    const request = networkRequest(2, { "dry-run": "true" }, { pools: [pool4(1)] });

    await expect(rig.createNetwork(request)).rejects.toThrow(
      `would remove network ${networkId(1).slice(0, 12)}, which Docker has no more; make bridge`,
    );
    expect(rig.registry.live().map(({ id }) => id)).toEqual([networkId(1)]);
  });
});

describe("Plan", () => {
  it("says all steps of a network without options", async () => {
    expect(await planOf({})).toEqual([
      "make bridge tsn-… with mtu 1500",
      "give tsn-… the address 10.1.1.1/24",
      "forward for 10.1.1.0/24",
      "masquerade what leaves 10.1.1.0/24",
      "give each container a link eth0 with no VLAN, mtu 1500 and a default route",
      "let it send from its own MAC and addresses only",
    ]);
  });

  it.each<[string, Readonly<Record<string, string>>, Partial<PlanNetwork>, string]>([
    ["a switch's name", { bridge: "sw0" }, {}, "make bridge sw0 with mtu 1500"],
    ["Open vSwitch", { backend: "ovs" }, {}, "make Open vSwitch bridge tsn-… with mtu 1500"],
    ["switch settings", { stp: "true", ageing: "60", bridge: "sw0" }, {}, "set stp=true, ageing=60 on sw0"],
    ["an uplink", { parent: "eth1", bridge: "sw0" }, {}, "make eth1 a port of sw0 that carries its untagged frames"],
    [
      "a VLAN",
      { parent: "eth1", vlan: "10", trunk: "20-22", bridge: "sw0" },
      {},
      "make eth1 a port of sw0 that carries 10,20-22 tagged",
    ],
    [
      "a moved uplink",
      { parent: "eth1", "parent-address": "move" },
      {},
      "move the addresses and routes of eth1 to tsn-…",
    ],
    [
      "a tunnel",
      { tunnel: "vxlan", vni: "7", peers: "192.0.2.1" },
      {},
      "join it by vxlan 7, port 4789, from 192.0.2.99 with 192.0.2.1",
    ],
    ["the host's VLAN", { vlan: "10" }, {}, "make the host's link tsg… in VLAN 10"],
    ["a gateway", {}, { pools: [{ ...POOL, gateway: "10.1.1.254/24" }] }, "give tsn-… the address 10.1.1.254/24"],
    ["IPAM's choice", {}, { pools: [] }, "masquerade what leaves the IPv4 subnet that IPAM gives"],
    [
      "IPAM's choice of the family without a subnet",
      { mode: "routed" },
      { hasIpv6: true },
      "forward for 10.1.1.0/24, the IPv6 subnet that IPAM gives",
    ],
    [
      "the gateway of IPAM's choice",
      {},
      { hasIpv6: true },
      "give tsn-… the address 10.1.1.1/24, of the IPv6 gateway that IPAM gives",
    ],
    ["--internal", {}, { isInternal: true }, "let nothing pass between 10.1.1.0/24 and the world"],
    ["mode l2", { mode: "l2" }, {}, "give the host no address there (mode l2)"],
    ["routes", { routes: "10.9.0.0/16 via 10.1.1.9" }, {}, "give it the route 10.9.0.0/16 via 10.1.1.9"],
    [
      "host-binding",
      { "host-binding": "192.0.2.1" },
      {},
      "publish its ports on 192.0.2.1 unless another address is named",
    ],
    [
      "routes between containers in mode routed",
      { mode: "routed", icc: "false" },
      {},
      "give it routes to these by way of the host",
    ],
    ["icc=false", { icc: "false" }, {}, "keep it from the other containers but for published ports"],
    [
      "no default route",
      { gateway: "none", ifprefix: "net" },
      {},
      "give each container a link net0 with no VLAN, mtu 1500",
    ],
  ])("says %s", async (_, options, more, step) => {
    expect(await planOf(options, more)).toContain(step);
  });

  it("says that a switch is there that another network has", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(2, { bridge: "sw0", mode: "l2", vlan: "20" }));

    expect((await planOf({ bridge: "sw0", mode: "l2", vlan: "10" }, {}, rig))[0]).toBe(
      "use bridge sw0, which is there",
    );
  });

  it("says no name of a switch that will have another one, also with an uplink", async () => {
    expect(await planOf({ parent: "eth1" })).toContain("make eth1 a port of tsn-… that carries its untagged frames");
  });

  it("says of an uplink that is there what it carries more, and makes no link of the host's twice", async () => {
    const rig = new CnmRig();
    rig.datapath.plant("eth1", { kind: "other" });
    const shared = { bridge: "sw0", parent: "eth1", "shared-vlan": "true", mode: "nat" };
    await rig.createNetwork(networkRequest(2, { ...shared, vlan: "20" }, { pools: [pool4(2)] }));

    expect(await planOf({ ...shared, vlan: "30" }, {}, rig)).toContain(
      "have eth1, a port of sw0, carry 30 tagged as well",
    );
    const same = await planOf({ ...shared, vlan: "20" }, {}, rig);
    expect(same).toContain("use eth1, a port of sw0, which is there");
    expect(same.filter((step) => step.startsWith("make"))).toEqual([]);
  });

  it("masquerades nothing without masquerade, and guards nobody without antispoof", async () => {
    const steps = (await planOf({ masquerade: "false", antispoof: "false" })).join();

    expect(steps).not.toMatch(/masquerade|its own MAC/);
  });

  it("changes nothing", async () => {
    const rig = new CnmRig();
    await planOf({ parent: "eth1", vlan: "10", bridge: "sw0" }, {}, rig);

    expect(rig.writeCount).toBe(0);
    expect(rig.datapath.links.size).toBe(1);
  });

  it.each<[Readonly<Record<string, string>>, Partial<PlanNetwork>, string]>([
    [{ vlan: "0", mtu: "1" }, {}, "option vlan"],
    [{ parent: "eth9" }, {}, "this host has no link eth9"],
    [{}, { pools: [{ subnet: "10.1.1.0/24", gateway: "10.9.9.1/24" }] }, "gateway 10.9.9.1/24 is outside 10.1.1.0/24"],
    [{}, { pools: [{ subnet: "10.1.1.x/24" }] }, "10.1.1.x"],
  ])("refuses %o %o as the creation does", async (options, more, why) => {
    await expect(planOf(options, more)).rejects.toThrow(why);
  });

  it("refuses a subnet that another network has", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1));

    await expect(planOf({}, {}, rig)).rejects.toThrow("overlaps 10.1.1.0/24 of network");
  });
});

// `tsnet plan` told against the host: what it says of a network is what a creation with the same options then does there, and
// `dry-run=true` says the same. The answers are read as an operator reads them, the host by ip(8), nft(8) and ovs-vsctl(8).
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PlannedHost, type PlanCase } from "../../support/planned-host.ts";
import { toldBy } from "../../support/told-plan.ts";

const ROUTER = "10.80.0.254";

/** By what is particular about each; `beside`: networks that are there already. */
const CASES: Readonly<Record<string, PlanCase>> = {
  "no option": {},
  "both families, mode routed and icc=false": { options: { mode: "routed", icc: "false" }, hasIpv6: true },
  "no masquerading, settings and an MTU": {
    options: { bridge: "sw0", masquerade: "false", stp: "true", ageing: "60", mtu: "1400", antispoof: "false" },
  },
  "an uplink": { options: { parent: "eth1" } },
  "an uplink of another network": { options: { parent: "eth1" }, beside: [{ options: { parent: "eth1" }, net: 81 }] },
  "an uplink whose addresses move": { options: { parent: "eth2", "parent-address": "move", mode: "nat" } },
  "mode isolated": { options: { mode: "isolated" } },
  "a tunnel": { options: { tunnel: "vxlan", vni: "7", peers: "192.0.2.1,192.0.2.2" } },
  "the switch of another network": { options: { bridge: "sw0" }, beside: [{ options: { bridge: "sw0" }, net: 81 }] },
  "a bridge of somebody else's with the gateway's address": { options: { bridge: "mine" } },
  "routes, no default route, another name inside and an address for ports": {
    options: { gateway: "none", ifprefix: "net", routes: `10.128.0.0/9 via ${ROUTER}`, "host-binding": "192.0.2.1" },
  },
  "no subnet": { options: { mode: "l2" }, isBare: true },
  "Open vSwitch, both families, --internal": { options: { backend: "ovs" }, hasIpv6: true, isInternal: true },
  "Open vSwitch, a trunk by an uplink": { options: { backend: "ovs", vlan: "10", trunk: "20-22", parent: "eth1" } },
  "Open vSwitch, a second network by an uplink": {
    options: { backend: "ovs", vlan: "30", parent: "eth1", mode: "nat" },
    beside: [{ options: { backend: "ovs", vlan: "10", parent: "eth1" }, net: 81 }],
  },
  "Open vSwitch, a VLAN that is shared": {
    options: { backend: "ovs", bridge: "sw0", vlan: "10", "shared-vlan": "true" },
    beside: [{ options: { backend: "ovs", bridge: "sw0", vlan: "10", "shared-vlan": "true" }, net: 81 }],
  },
  "Open vSwitch, an uplink whose addresses move": {
    options: { backend: "ovs", parent: "eth2", "parent-address": "move" },
  },
  "Open vSwitch, a second network by an uplink whose addresses moved, with a gateway": {
    options: { backend: "ovs", parent: "eth2", "parent-address": "move", mode: "nat", vlan: "5" },
    beside: [{ options: { backend: "ovs", parent: "eth2", "parent-address": "move" }, net: 81 }],
  },
  "Open vSwitch, a tunnel": {
    options: { backend: "ovs", tunnel: "gre", peers: "198.51.100.2,198.51.100.3", local: "198.51.100.1" },
    beside: [{ options: { backend: "ovs", parent: "eth2", "parent-address": "move" }, net: 81 }],
  },
  "Open vSwitch, a bridge of somebody else's": { options: { backend: "ovs", bridge: "theirs", vlan: "7" } },
};

/** What no creation does, with a word of the reason. */
const REFUSED: readonly (readonly [PlanCase, string])[] = [
  [{ options: { vlan: "5000" } }, "option vlan"],
  [{ options: { parent: "eth9" } }, "this host has no link eth9"],
  [{ options: { bridge: "eth1" } }, "no Linux bridge"],
  [{ options: { bridge: "mine", ageing: "60" } }, "leaves its settings alone"],
  [{ options: { tunnel: "vxlan", vni: "7", peers: "192.0.2.1", local: "192.0.2.77" } }, "no address of this host"],
  [{ options: { mode: "l2" }, isInternal: true }, "--internal is permitted"],
];

let host: PlannedHost;

beforeAll(async () => {
  host = await PlannedHost.up();
});
afterAll(async () => await host?.[Symbol.asyncDispose]());

describe("a plan", () => {
  it("changes nothing, whether it says what would be done or why that cannot be", async () => {
    const before = await host.serve.restingCensus();

    for (const [name, each] of Object.entries(CASES)) {
      if (each.beside === undefined && each.isBare !== true) expect(await host.plan(each), name).not.toEqual([]);
    }
    for (const [each, why] of REFUSED) {
      await expect(host.plan(each)).rejects.toThrow(why);
      await expect(host.create(each)).rejects.toThrow(why);
    }

    await expect.poll(() => host.serve.changesSince(before), { timeout: 20_000 }).toEqual([]);
  });

  it.each(Object.entries(CASES))("of %s is what the creation does", async (_name, each) => {
    await using stack = new AsyncDisposableStack();
    for (const beside of each.beside ?? []) stack.use(await host.create(beside));
    const steps = each.isBare === true ? await host.dryRun(each) : await host.plan(each);
    const before = await host.look();
    expect(await host.dryRun(each)).toEqual(steps);

    const made = stack.use(await host.create(each));

    const told = toldBy(steps);
    const isSeen = each.options?.["backend"] !== "ovs"; // there it is the flows that guard
    const { isGuarded: _unseen, ...rest } = told.container;
    expect(await host.changesSince(before, made)).toEqual(isSeen ? told : { ...told, container: rest });
  });
});

// `tsnet set CONTAINER` on a remembered host with tsnet's own IPAM: what an endpoint gets, and who may have its addresses when.
import { describe, expect, it } from "vitest";
import type { SetAnswer } from "../../../src/cnm/change-requests.ts";
import type { Endpoint } from "../../../src/cnm/endpoint.ts";
import { releaseLostAddresses } from "../../../src/cnm/lost-addresses.ts";
import type { Ipam } from "../../../src/ipam/driver.ts";
import { CnmRig, NEVER } from "../../support/cnm-rig.ts";
import { endpointId, endpointRequest, joinRequest, networkId, networkRequest } from "../../support/cnm-builder.ts";
import { ipamWith, makePool, requestAddress, requestGateway } from "../../support/ipam-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const SUBNET = "10.1.1.0/24";
const SUBNET6 = "fd00:1:1::/64";
const OLD = "10.1.1.2";
const NEW = "10.1.1.50";

/** A network of tsnet's IPAM with two joined endpoints, .2 and .3, of which the first publishes a port. */
class Stand {
  /** Of IPAM. */
  readonly records: MemoryStore;
  readonly ipam: Ipam;
  readonly rig: CnmRig;
  readonly #poolIds: ReadonlyMap<string, string>;

  private constructor(records: MemoryStore, ipam: Ipam, rig: CnmRig, poolIds: ReadonlyMap<string, string>) {
    [this.records, this.ipam, this.rig, this.#poolIds] = [records, ipam, rig, poolIds];
  }

  static async up(options: Readonly<Record<string, string>> = {}): Promise<Stand> {
    const records = new MemoryStore();
    const ipam = ipamWith({ records });
    const poolIds = new Map<string, string>();
    for (const subnet of [SUBNET, SUBNET6]) poolIds.set(subnet, await makePool(ipam, subnet));
    const stand = new Stand(records, ipam, new CnmRig(undefined, ipam.ofNetworks), poolIds);
    const gateways = await Promise.all([...poolIds.values()].map((id) => requestGateway(ipam, id)));
    const pools = [SUBNET, SUBNET6].map((subnet, n) => {
      return { addressSpace: "tsnet", subnet, gateway: gateways[n] ?? "" };
    });
    await stand.rig.createNetwork(networkRequest(1, options, { pools }));
    for (const n of [1, 2]) {
      const [address, addressIpv6] = [await stand.take(SUBNET), await stand.take(SUBNET6)];
      await stand.rig.createEndpoint(endpointRequest(n, 1, { address, addressIpv6 }));
      await stand.rig.join(joinRequest(n));
    }
    const binding = { protocol: 6, containerPort: 80, hostAddress: "", hostPort: 8080, hostPortEnd: 8080 };
    if (options["mode"] === undefined) await stand.rig.publish({ ...joinRequest(1), portMap: [binding] });
    return stand;
  }

  /** As the engine asks for it. */
  take(subnet: string, address?: string): Promise<string> {
    return requestAddress(this.ipam, this.#poolIds.get(subnet) ?? "", address);
  }

  /** As the engine gives it back. */
  async giveBack(subnet: string, address: string): Promise<void> {
    await this.ipam.releaseAddress(this.#poolIds.get(subnet) ?? "", address);
  }

  set(options: Readonly<Record<string, string>>, n = 1, signal = NEVER): Promise<SetAnswer> {
    return this.rig.changes.setEndpoint({ ...joinRequest(n), options: new Map(Object.entries(options)) }, signal);
  }

  endpoint(n = 1): Endpoint {
    return this.rig.registry.requireEndpoint(joinRequest(n)).endpoint;
  }

  /** The addresses in use of the IPv4 pool, without the gateway. */
  inUse(subnet = SUBNET): readonly string[] {
    const pool = this.ipam.describe().pools.find((each) => each.subnet === subnet);
    return (pool?.addresses ?? []).flatMap(({ address, use }) => (use === "gateway" ? [] : [address]));
  }

  state(): object {
    return { ...this.rig.state(), inUse: this.inUse() };
  }
}

describe("SetEndpoint ip", () => {
  it("takes the new address in IPAM, records it, and tells what is to be done inside", async () => {
    const stand = await Stand.up();
    const { mac } = stand.endpoint();

    const answer = await stand.set({ ip: NEW });

    const addresses = [{ from: `${OLD}/24`, to: `${NEW}/24` }];
    expect(answer).toEqual({
      changes: [{ key: "ip", from: OLD, to: NEW }],
      inside: [{ endpointId: endpointId(1), sandboxKey: "/var/run/docker/netns/1", mac, addresses }],
    });
    expect(stand.endpoint()).toMatchObject({ address: `${NEW}/24`, given: { address: `${OLD}/24` }, mac });
    expect(stand.rig.cnm.describeEndpoint(joinRequest(1))?.addresses[0]).toBe(`${NEW}/24`);
  });

  it("changes the IPv6 address as well", async () => {
    const stand = await Stand.up();

    const { changes } = await stand.set({ ip6: "fd00:1:1::50" });

    expect(changes.map(({ key, to }) => [key, to])).toEqual([["ip6", "fd00:1:1::50"]]);
    expect(stand.inUse(SUBNET6)).toContain("fd00:1:1::50");
  });

  it("has published ports lead to the new address, on the same number", async () => {
    const stand = await Stand.up();
    expect(stand.rig.ports.targets.get(endpointId(1))).toMatchObject({ address: OLD });

    await stand.set({ ip: NEW });

    expect(stand.rig.ports.targets.get(endpointId(1))).toMatchObject({ address: NEW });
    expect(stand.rig.published(endpointId(1))).toEqual({
      rules: ["tcp *:8080>80"],
      held: ["tcp *:8080>80"],
      record: ["tcp *:8080>80"],
    });
  });

  it("gives neither address to anybody else while the endpoint lives", async () => {
    const stand = await Stand.up();
    await stand.set({ ip: NEW });

    for (const address of [OLD, NEW]) await expect(stand.take(SUBNET, address)).rejects.toThrow("in use");
  });

  it("refuses an endpoint with its address, should the engine come to think that it has it", async () => {
    const stand = await Stand.up();
    await stand.set({ ip: NEW });

    const call = stand.rig.createEndpoint(endpointRequest(3, 1, { address: `${NEW}/24` }));

    await expect(call).rejects.toThrow(
      `${NEW}/24 is in use by endpoint ${endpointId(1).slice(0, 12)}; \`tsnet set\` gave`,
    );
  });

  it("frees both when the endpoint ends as the engine ends it", async () => {
    const stand = await Stand.up();
    await stand.set({ ip: NEW });

    await stand.rig.cnm.leave(joinRequest(1));
    expect(stand.inUse()).toContain(NEW);
    await stand.rig.cnm.deleteEndpoint(joinRequest(1));
    await stand.giveBack(SUBNET, OLD);

    expect(stand.inUse()).toEqual(["10.1.1.3"]);
  });

  it("frees nothing of another endpoint that has the address by then", async () => {
    const stand = await Stand.up();
    await stand.set({ ip: NEW });
    await stand.rig.cnm.deleteEndpoint(joinRequest(1));
    await stand.giveBack(SUBNET, OLD);
    const next = await stand.take(SUBNET, NEW);
    await stand.rig.createEndpoint(endpointRequest(3, 1, { address: next }));

    await stand.rig.cnm.deleteEndpoint(joinRequest(1)); // as the engine does that has forgotten it did

    expect(stand.inUse()).toContain(NEW);
  });

  it("gives the second new address back when there is a third, and takes nothing for the first one again", async () => {
    const stand = await Stand.up();
    await stand.set({ ip: NEW });
    await stand.set({ ip: "10.1.1.60" });
    expect(stand.inUse()).toEqual([OLD, "10.1.1.3", "10.1.1.60"]);

    await stand.set({ ip: OLD });

    expect(stand.inUse()).toEqual([OLD, "10.1.1.3"]);
    expect(stand.endpoint()).not.toHaveProperty("given");
  });

  it("is kept by a restart of tsnet, and so are both addresses", async () => {
    const stand = await Stand.up();
    await stand.set({ ip: NEW });

    const again = new CnmRig(stand.rig, stand.ipam.ofNetworks);
    await again.reconciler.recover(false);

    expect(again.registry.requireEndpoint(joinRequest(1)).endpoint.address).toBe(`${NEW}/24`);
    await again.cnm.deleteEndpoint(joinRequest(1));
    await stand.giveBack(SUBNET, OLD);
    expect(stand.inUse()).toEqual(["10.1.1.3"]);
  });

  it("leaves both addresses in use when the next start looks for those that are nobody's", async () => {
    const stand = await Stand.up();
    await stand.set({ ip: NEW });
    await stand.set({ ip6: "fd00:1:1::50" });

    const ipam = ipamWith({ records: stand.records.reopened() });
    const { registry } = new CnmRig(stand.rig);

    expect(await releaseLostAddresses({ registry, pools: ipam.ofNetworks })).toEqual([]);
  });

  it.each([
    ["10.1.1.3", "in use"],
    ["10.1.1.1", "gateway"],
    ["10.1.1.255", "broadcast"],
    ["10.2.1.5", "is outside 10.1.1.0/24"],
    ["fd00:1:1::9", "no IPv4 address"],
    ["10.1.1.5/24", "not permitted"],
    ["web", "not permitted"],
  ])("refuses %s, and changes nothing", async (ip, why) => {
    const stand = await Stand.up();
    const before = stand.state();

    await expect(stand.set({ ip })).rejects.toThrow(why);
    expect(stand.state()).toEqual(before);
  });

  it("refuses where another IPAM gives the addresses, and says with what it is possible", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest());
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());
    const before = rig.state();

    const call = rig.changes.setEndpoint({ ...joinRequest(), options: new Map([["ip", NEW]]) }, NEVER);

    await expect(call).rejects.toThrow(/address space LocalDefault.*--ipam-driver tsnet/);
    expect(rig.state()).toEqual(before);
  });

  it.each(["removeEndpoint", "ensureEndpoint"] as const)("takes all back when the rules fail at %s", async (call) => {
    const stand = await Stand.up();
    const before = stand.state();
    stand.rig.firewall.fail(call);

    await expect(stand.set({ ip: NEW, mtu: "1400" })).rejects.toThrow("cannot be changed");
    expect(stand.state()).toEqual(before);
    expect(stand.rig.ports.targets.get(endpointId(1))).toMatchObject({ address: OLD });
  });

  it("takes all back when the switch fails", async () => {
    const stand = await Stand.up();
    const before = stand.state();
    stand.rig.datapath.failWrite(1, "after");

    await expect(stand.set({ ip: NEW, mtu: "1400" })).rejects.toThrow("cannot be changed");
    expect(stand.state()).toEqual(before);
  });

  it("takes all back when a published port cannot be held for the new address", async () => {
    const stand = await Stand.up();
    const before = stand.state();
    stand.rig.ports.fail("hold");

    await expect(stand.set({ ip: NEW })).rejects.toThrow("cannot be changed");
    expect(stand.state()).toEqual(before);
    expect(stand.rig.ports.heldBy(endpointId(1))).toMatchObject([{ hostPort: 8080 }]);
    expect(stand.rig.ports.targets.get(endpointId(1))).toMatchObject({ address: OLD });
  });

  it("may be given again at once after a crash that left its address in use, and the engine's addresses stay", async () => {
    const stand = await Stand.up();
    await stand.ipam.ofNetworks.requestAddress("tsnet", SUBNET, NEW); // the last thing that was recorded
    const ofEngine = await stand.take(SUBNET);
    const ipam = ipamWith({ records: stand.records.reopened() });
    const again = new CnmRig(stand.rig, ipam.ofNetworks);

    await again.reconciler.recover(false);
    await again.changes.setEndpoint({ ...joinRequest(1), options: new Map([["ip", NEW]]) }, NEVER);

    expect(again.registry.requireEndpoint(joinRequest(1)).endpoint.address).toBe(`${NEW}/24`);
    const own = ipam.ofNetworks.requestAddress("tsnet", SUBNET, ofEngine.split("/")[0]);
    await expect(own).rejects.toThrow("already in use");
  });

  it("takes all back when the record cannot be written, or the caller has gone", async () => {
    const stand = await Stand.up();
    const before = stand.state();
    stand.rig.records.failCommit(1);
    await expect(stand.set({ ip: NEW })).rejects.toThrow("disk full");
    expect(stand.state()).toEqual(before);

    await expect(stand.set({ ip: NEW }, 1, AbortSignal.abort())).rejects.toThrow();
    expect(stand.state()).toEqual(before);
  });
});

describe("SetEndpoint vlan, trunk, mtu", () => {
  const L2 = { mode: "l2", trunk: "10,20,30" };

  it("puts the port into other VLANs of the network, and back to the network's own", async () => {
    const stand = await Stand.up(L2);
    const port = () => stand.rig.datapath.links.get(stand.endpoint().hostIfName)?.vlans;

    expect((await stand.set({ vlan: "20", trunk: "none" })).changes).toEqual([
      { key: "vlan", from: "none", to: "20" },
      { key: "trunk", from: "10,20,30", to: "none" },
    ]);
    expect(port()).toEqual({ vlan: 20 });

    await stand.set({ vlan: "none" });
    expect(port()).toEqual({ trunk: [10, 20, 30] });
  });

  it("gives the host's end another MTU, and has the caller give it to the other one", async () => {
    const stand = await Stand.up();

    const { inside } = await stand.set({ mtu: "1400" });

    expect(stand.rig.datapath.links.get(stand.endpoint().hostIfName)?.mtu).toBe(1400);
    expect(inside).toMatchObject([{ mtu: 1400, addresses: [] }]);
  });

  it.each([
    [{ vlan: "40" }, "VLAN 40 is none of the network's"],
    [{ mtu: "9000" }, "more than the network's 1500"],
    [{ mtu: "1000" }, "too small for IPv6"],
    [{ vlna: "1" }, "did you mean vlan"],
    [{ icc: "false" }, "unknown option"],
  ])("refuses %o, and changes nothing", async (options, why) => {
    const stand = await Stand.up(L2);
    const before = stand.state();

    await expect(stand.set(options)).rejects.toThrow(why);
    expect(stand.state()).toEqual(before);
  });

  it("says that nothing changes when all is so already", async () => {
    const stand = await Stand.up(L2);
    const writes = stand.rig.writeCount;

    expect(await stand.set({ ip: OLD, mtu: "1500", trunk: "10,20,30" })).toEqual({ changes: [], inside: [] });
    expect(stand.rig.writeCount).toBe(writes);
  });

  it("refuses an endpoint that is not there", async () => {
    const stand = await Stand.up();

    await expect(stand.set({ mtu: "1400" }, 9)).rejects.toThrow(`network ${networkId().slice(0, 12)} has no endpoint`);
  });
});

describe("an attachment of the operator's", () => {
  it("gives its old address back at once, since no engine will, and its new one when it is detached", async () => {
    const stand = await Stand.up();
    const owner = { kind: "netns", id: "/run/netns/lab", name: "/run/netns/lab" } as const;
    const ask = {
      ...joinRequest(3),
      owner,
      ifName: "eth0",
      options: new Map<string, string>(),
      hasDefaultRoute: false,
    };
    await stand.rig.attachments.attach(
      { ...ask, address: "10.1.1.9", routes: [], isOnce: false, isAgain: false, isLost: false },
      NEVER,
    );

    const { inside } = await stand.set({ ip: NEW }, 3);

    expect(inside).toMatchObject([{ owner }]);
    expect(stand.inUse()).toEqual([OLD, "10.1.1.3", NEW]);
    await stand.rig.attachments.detach(joinRequest(3));
    expect(stand.rig.releasedAddresses).toContain(`${NEW}/24`);
  });
});

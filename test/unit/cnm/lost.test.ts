// What the engine forgot: networks whose pools it gave back, addresses that nobody has.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { PoolKeeper } from "../../../src/cnm/pool-keeper.ts";
import {
  endpointId,
  endpointRequest,
  joinRequest,
  networkId,
  networkRequest,
  pool4,
} from "../../support/cnm-builder.ts";
import { CnmRig, NEVER, OTHER_IPAM } from "../../support/cnm-rig.ts";

/** tsnet's own IPAM as far as it matters here: subnets of pools, and addresses of a former life. */
function ipamOf(pools: string[], ofFormerLife: string[] = []): PoolKeeper & { readonly released: string[] } {
  const released: string[] = [];
  return {
    ...OTHER_IPAM,
    released,
    count: (_, subnet) => pools.filter((pool) => pool === subnet).length,
    release: async (_, subnet) => void released.push(subnet),
    releaseAddress: async (_, _subnet, address) => {
      released.push(address);
      ofFormerLife.splice(ofFormerLife.indexOf(address), 1);
    },
    listOfFormerLife: (_, _subnet, isOperators) => (isOperators === true ? [] : [...ofFormerLife]),
  };
}

const SUBNET = "10.1.1.0/24";

describe("a network of tsnet's own IPAM", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  async function pass(rig: CnmRig, seconds: number): Promise<void> {
    for (let passed = 0; passed < seconds; passed++) {
      await vi.advanceTimersByTimeAsync(1000);
      await rig.reconciler.idle();
    }
  }

  it("whose pool the engine gave back is removed after a while [F02]", async () => {
    const pools = [SUBNET];
    const rig = new CnmRig(undefined, ipamOf(pools));
    await rig.createNetwork(networkRequest());
    pools.splice(0);

    rig.reconciler.schedule("links");
    await pass(rig, 15);
    expect(rig.registry.networks()).toHaveLength(1);
    await pass(rig, 30);

    expect(rig.registry.networks()).toEqual([]);
    expect(rig.datapath.links.size).toBe(0);
    expect(rig.logged.map(({ message }) => message)).toContain("forgotten network removed");
  });

  it.each([
    ["whose pool is there", [SUBNET], undefined],
    ["of another IPAM driver", [], OTHER_IPAM],
  ])("%s stays", async (_, pools, ipam) => {
    const rig = new CnmRig(undefined, ipam ?? ipamOf(pools));
    await rig.createNetwork(networkRequest());

    rig.reconciler.schedule("links");
    await pass(rig, 60);

    expect(rig.registry.networks()).toHaveLength(1);
  });

  it("stays with its addresses where records are damaged: what is not in the others may be in those [F30]", async () => {
    const before = new CnmRig(undefined, ipamOf([SUBNET]));
    await before.createNetwork(networkRequest());
    await before.createEndpoint(endpointRequest());
    await before.join(joinRequest());
    before.records.damage("endpoint", endpointId());
    const ipam = ipamOf([], ["10.1.1.2"]); // its pool cannot be read either
    const rig = new CnmRig(before, ipam);

    await rig.reconciler.recover(false);
    await pass(rig, 60);
    await expect(rig.createNetwork(networkRequest(2, {}, { pools: [pool4(1)] }))).rejects.toThrow("overlaps");

    expect([ipam.released, rig.registry.networks().length]).toEqual([[], 1]);
  });

  it("stays as long as a container is on it", async () => {
    const pools = [SUBNET];
    const rig = new CnmRig(undefined, ipamOf(pools));
    await rig.createNetwork(networkRequest());
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());
    pools.splice(0);

    rig.reconciler.schedule("links");
    await pass(rig, 60);

    expect(rig.registry.networks()).toHaveLength(1);
    expect(rig.registry.endpoints()).toHaveLength(1);
  });

  it("has of an endpoint that was forgotten the address given back that the engine gave, and the one that it got since", async () => {
    const ipam = ipamOf([SUBNET]);
    const rig = new CnmRig(undefined, { ...ipam, requestAddress: async (_, _subnet, address) => `${address}/24` });
    await rig.createNetwork(networkRequest());
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());
    await rig.changes.setEndpoint({ ...joinRequest(), options: new Map([["ip", "10.1.1.50"]]) }, NEVER);
    rig.datapath.unplug(rig.registry.requireEndpoint(joinRequest()).endpoint.hostIfName);

    rig.reconciler.schedule("links");
    await pass(rig, 60);

    expect(rig.registry.endpoints()).toEqual([]);
    expect(ipam.released).toEqual(["10.1.1.2", "10.1.1.50"]);
  });

  it("whose pool the engine gave back does not keep its subnet from the next network", async () => {
    const pools = [SUBNET];
    const rig = new CnmRig(undefined, ipamOf(pools));
    await rig.createNetwork(networkRequest());
    pools.splice(0); // that of the next one is of no network yet

    await rig.createNetwork(networkRequest(2, {}, { pools: [pool4(1)] }));

    expect(rig.registry.networks().map(({ network }) => network.id)).toEqual([networkId(2)]);
  });

  it("keeps its subnet when the next network's pool is of another segment", async () => {
    const rig = new CnmRig(undefined, ipamOf([SUBNET]));
    await rig.createNetwork(networkRequest());

    await expect(rig.createNetwork(networkRequest(2, {}, { pools: [pool4(1)] }))).rejects.toThrow("overlaps");

    expect(rig.registry.networks().map(({ network }) => network.id)).toEqual([networkId(1)]);
  });

  it("gives back with its end what the engine gave back in vain", async () => {
    const ipam = ipamOf([SUBNET]);
    const rig = new CnmRig(undefined, ipam);
    await rig.createNetwork(networkRequest());

    await rig.cnm.deleteNetwork(networkId());

    expect(ipam.released).toEqual([SUBNET]);
  });

  it("gives up the addresses of its former life that nobody has, 20 s after the start [F76]", async () => {
    const ipam = ipamOf([SUBNET], ["10.1.1.2", "10.1.1.9", "10.1.1.66"]);
    const rig = new CnmRig(undefined, ipam);
    const pool = { ...pool4(), auxAddresses: ["10.1.1.9/24"] };
    await rig.createNetwork(networkRequest(1, {}, { pools: [pool] }));
    await rig.createEndpoint({ ...endpointRequest(), address: "10.1.1.2/24" });
    await rig.join(joinRequest());

    rig.reconciler.schedule("links");
    await pass(rig, 15);
    expect(ipam.released).toEqual([]);
    await pass(rig, 10);

    expect(ipam.released).toEqual(["10.1.1.66"]);
  });
});

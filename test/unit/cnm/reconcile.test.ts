import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { TsnetError } from "../../../src/errors.ts";
import { CnmRig, NEVER, NOTHING } from "../../support/cnm-rig.ts";
import {
  endpointId,
  endpointRequest,
  joinRequest,
  network,
  networkId,
  networkRequest,
} from "../../support/cnm-builder.ts";

const SWITCH = `tsn-${networkId().slice(0, 11)}`;
const PORT = `tsv${endpointId().slice(0, 12)}`;

/** A daemon that was killed with one network and one joined endpoint, and the next daemon, which has not recovered yet. */
async function restarted(): Promise<CnmRig> {
  const before = new CnmRig();
  await before.createNetwork(networkRequest());
  await before.createEndpoint(endpointRequest());
  await before.join(joinRequest());
  return new CnmRig(before);
}

const REF = { networkId: networkId(), endpointId: endpointId() };
const TCP_8080 = { protocol: 6, containerPort: 80, hostAddress: "", hostPort: 8080, hostPortEnd: 8080 };

/** The same with a published port, and no daemon that holds it yet. */
async function restartedWithPort(): Promise<CnmRig> {
  const before = await restarted();
  before.firewall.isPolicing = false;
  await before.publish({ ...REF, portMap: [TCP_8080] });
  return new CnmRig(before);
}

describe("recovery on a host where everything is as it was", () => {
  it("writes nothing: no record, no link, no rule", async () => {
    const rig = await restarted();
    const [before, host] = [rig.state(), rig.datapath.writeCount + rig.firewall.writeCount];

    await rig.reconciler.recover(false);
    await rig.reconciler.run();

    expect(rig.state()).toEqual(before);
    expect(rig.records.commitCount).toBe(0);
    expect(rig.datapath.writeCount + rig.firewall.writeCount).toBe(host);
    expect(rig.logged).toEqual([]);
    expect(rig.repairs).toEqual([]);
  });
});

describe("recovery after a crash", () => {
  it("removes a network that was being created", async () => {
    const before = new CnmRig();
    await before.registry.putNetwork(network(), "creating");
    await before.datapath.ensureNetwork(network(), []);

    const rig = new CnmRig(before);
    await rig.reconciler.recover(false);

    expect(rig.state()).toEqual(NOTHING);
  });

  it("finishes the removal of a network and of its endpoint", async () => {
    const before = await restarted();
    const [record] = before.registry.endpoints();
    if (record === undefined) throw new Error("the endpoint is recorded");
    await before.registry.putEndpoint({ endpoint: record.endpoint, state: "removing" });
    await before.registry.putNetwork(network(), "removing");

    const rig = new CnmRig(before);
    await rig.reconciler.recover(false);

    expect(rig.state()).toEqual(NOTHING);
  });

  it("keeps a network that waits for a joined endpoint, and that endpoint's port", async () => {
    const before = await restarted();
    await before.registry.putNetwork(network(), "removing");

    const rig = new CnmRig(before);
    await rig.reconciler.recover(false);

    expect(rig.datapath.links.has(PORT)).toBe(true);
    expect(rig.registry.networks()).toHaveLength(1);
    await rig.cnm.deleteEndpoint({ networkId: networkId(), endpointId: endpointId() });
    expect(rig.state()).toEqual(NOTHING);
  });

  it("takes a network away that waited only for endpoints which left meanwhile", async () => {
    const before = await restarted();
    await before.registry.putNetwork(network(), "removing");
    await before.cnm.leave({ networkId: networkId(), endpointId: endpointId() });

    const rig = new CnmRig(before);
    await rig.reconciler.recover(false);

    expect(rig.state()).toEqual(NOTHING);
  });
});

describe("recovery after a reboot", () => {
  it("makes the networks again and drops the endpoints, which no reboot survives [F25]", async () => {
    const rig = await restarted();
    rig.datapath.links.clear();
    rig.firewall.rules = [];

    await rig.reconciler.recover(true);

    expect([...rig.datapath.links.keys()]).toEqual([SWITCH]);
    expect(rig.datapath.links.get(SWITCH)?.addresses).toEqual(new Set(["10.1.1.1/24"]));
    expect(rig.firewall.rules).toEqual([networkId()]);
    expect(rig.registry.endpoints()).toEqual([]);
  });
});

describe("recovery with published ports", () => {
  it("holds them again and changes nothing else", async () => {
    const rig = await restartedWithPort();
    const { held: _, ...before } = rig.state() as { held: object };
    const host = rig.datapath.writeCount + rig.firewall.writeCount;

    await rig.reconciler.recover(false);
    await rig.reconciler.run();

    expect(rig.published(endpointId()).held).toEqual(["tcp *:8080>80"]);
    expect(rig.state()).toMatchObject(before);
    expect(rig.datapath.writeCount + rig.firewall.writeCount).toBe(host);
    expect(rig.ports.calls).toEqual(["hold"]);
    expect(rig.records.commitCount).toBe(0);
    expect(rig.logged).toEqual([]);
  });

  it("puts rules with ports back in one application", async () => {
    const rig = await restartedWithPort();
    rig.firewall.elements.clear();
    const writes = rig.firewall.writeCount;

    await rig.reconciler.recover(false);

    expect(rig.published(endpointId()).rules).toEqual(["tcp *:8080>80"]);
    expect(rig.firewall.writeCount).toBe(writes + 1);
  });

  it("holds none of a network in mode routed", async () => {
    const before = new CnmRig();
    await before.createNetwork(networkRequest(1, { mode: "routed" }));
    await before.createEndpoint(endpointRequest());
    await before.join(joinRequest());
    await before.publish({ ...REF, portMap: [TCP_8080] });

    const rig = new CnmRig(before);
    await rig.reconciler.recover(false);

    expect(rig.ports.calls).toEqual([]);
    expect(rig.published(endpointId()).rules).toEqual(["tcp *:0>80"]);
  });

  it("drops them with their endpoint after a reboot, and asks for no element that a reboot took", async () => {
    const rig = await restartedWithPort();
    rig.datapath.links.clear();
    rig.firewall.rules = [];
    rig.firewall.elements.clear();
    rig.firewall.calls.splice(0);

    await rig.reconciler.recover(true);

    expect(rig.registry.endpoints()).toEqual([]);
    expect(rig.ports.held.size + rig.firewall.elements.size).toBe(0);
    expect(new Set(rig.firewall.calls)).toEqual(new Set(["apply"]));
  });

  it("withdraws those of an endpoint whose removal was interrupted, rules first", async () => {
    const before = await restartedWithPort();
    const [record] = before.registry.endpoints();
    if (record === undefined) throw new Error("the endpoint is recorded");
    await before.registry.putEndpoint({ ...record, state: "removing" });

    const rig = new CnmRig(before);
    await rig.reconciler.recover(false);

    expect(rig.firewall.elements.size).toBe(0);
    expect(rig.ports.calls).not.toContain("hold");
    expect(rig.registry.endpoints()).toEqual([]);
  });

  it("brings a network's rules before its switch: no frame passes without them", async () => {
    const rig = await restarted();
    rig.datapath.links.clear();
    const steps = rig.steps();

    await rig.reconciler.recover(true);

    expect(steps.indexOf("apply")).toBeGreaterThanOrEqual(0);
    expect(steps.indexOf("apply")).toBeLessThan(steps.indexOf("ensureNetwork"));
  });
});

describe("a port that is taken when it is to be held again", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  async function taken(): Promise<CnmRig> {
    const rig = await restartedWithPort();
    rig.ports.ofTheHost.push({ protocol: "tcp", hostAddress: "", hostPort: 8080, containerPort: 0 });
    await rig.reconciler.recover(false);
    return rig;
  }

  async function pass(rig: CnmRig, durationMs: number): Promise<void> {
    for (let passed = 0; passed < durationMs; passed += 500) {
      await vi.advanceTimersByTimeAsync(500);
      await rig.reconciler.idle();
    }
  }

  it("is logged with the name of the endpoint and keeps its rules and its record", async () => {
    const rig = await taken();

    expect(rig.published(endpointId())).toEqual({ rules: ["tcp *:8080>80"], held: [], record: ["tcp *:8080>80"] });
    expect(rig.logged).toEqual([
      {
        level: "error",
        fields: {
          kind: "published ports of endpoint",
          id: endpointId().slice(0, 12),
          err: "tcp port 8080 of all addresses is taken",
        },
        message: "reconciliation failed, will be tried again",
      },
    ]);
    rig.reconciler.close();
  });

  it("is held as soon as it is free", async () => {
    const rig = await taken();
    await pass(rig, 16_000);
    rig.ports.ofTheHost.splice(0);

    await pass(rig, 16_000);

    expect(rig.published(endpointId()).held).toEqual(["tcp *:8080>80"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is tried every 15 s, whatever else changes meanwhile", async () => {
    const rig = await taken();

    for (let second = 0; second < 31; second++) {
      rig.reconciler.schedule("links");
      await pass(rig, 1000);
    }

    expect(rig.ports.calls.filter((call) => call === "hold")).toHaveLength(3);
    rig.reconciler.close();
  });

  it("is not tried for an endpoint that goes meanwhile", async () => {
    const rig = await taken();
    await rig.cnm.deleteEndpoint(REF);

    await pass(rig, 16_000);

    expect(rig.ports.calls.filter((call) => call === "hold")).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("Open vSwitch that is away [F124]", () => {
  it("is asked for once a look, however many networks it has, and keeps no Linux bridge waiting", async () => {
    const rig = new CnmRig();
    for (const n of [1, 2, 3]) await rig.createNetwork(networkRequest(n, { backend: "ovs" }));
    await rig.createNetwork(networkRequest(4));
    rig.datapath.unplug(network(4).switchName);
    rig.ovs.calls.length = 0;
    rig.ovs.onCall = () => {
      throw new TsnetError("unavailable", "fake: Open vSwitch is away");
    };

    await rig.reconciler.run();
    rig.reconciler.close();

    expect(rig.ovs.calls).toHaveLength(1);
    expect(rig.datapath.links.has(network(4).switchName)).toBe(true);
  });

  it("has its networks put back when it is there again", async () => {
    const rig = new CnmRig();
    for (const n of [1, 2]) await rig.createNetwork(networkRequest(n, { backend: "ovs" }));
    const before = rig.state();
    for (const n of [1, 2]) rig.datapath.unplug(network(n).switchName);
    rig.ovs.onCall = () => {
      throw new TsnetError("unavailable", "fake: Open vSwitch is away");
    };
    await rig.reconciler.run();
    rig.ovs.onCall = () => {};

    await rig.reconciler.run();
    rig.reconciler.close();

    expect(rig.state()).toEqual(before);
  });
});

describe("a port in VLANs", () => {
  it("is put back into them with its switch, as the endpoint asked for them", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { bridge: "br0", vlan: "10", trunk: "20-30", mode: "l2" }));
    await rig.createEndpoint(endpointRequest(1, 1, { options: new Map([["vlan", "20"]]) }));
    await rig.join(joinRequest());
    const before = rig.state();
    const port = rig.datapath.links.get(`tsv${endpointId().slice(0, 12)}`);
    rig.datapath.unplug("br0");
    Object.assign(port ?? {}, { vlans: { vlan: 30 } });

    await rig.reconciler.run();

    expect(port?.vlans).toEqual({ vlan: 20 });
    expect(rig.state()).toEqual(before);
  });

  it("of a network with hairpin=true sends frames back, published or not, after any repair", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { hairpin: "true" }));
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());
    const port = rig.datapath.links.get(`tsv${endpointId().slice(0, 12)}`);
    expect(port?.isHairpin).toBe(true);
    rig.datapath.unplug(network().switchName);

    await rig.reconciler.run();

    expect(port?.isHairpin).toBe(true);
  });
});

describe("a look at the host", () => {
  it("puts the hairpin of a port back that was lost with its switch, where ports are published", async () => {
    const rig = await restartedWithPort();
    await rig.createEndpoint(endpointRequest(2));
    await rig.join(joinRequest(2));
    rig.datapath.unplug(SWITCH);

    await rig.reconciler.run();

    expect(rig.datapath.links.get(PORT)?.isHairpin).toBe(true);
    expect(rig.datapath.links.get(`tsv${endpointId(2).slice(0, 12)}`)?.isHairpin ?? false).toBe(false);
  });

  it("puts back elements of endpoints that somebody flushed", async () => {
    const rig = await restarted();
    rig.firewall.elements.clear();

    await rig.reconciler.run(new Set(["firewall"]));

    expect([...rig.firewall.elements.keys()]).toEqual([endpointId()]);
  });

  it("applies the rules before it finishes a removal, also when only links changed", async () => {
    const rig = await restarted();
    rig.datapath.failWrite(1);
    await expect(rig.cnm.deleteEndpoint(REF)).rejects.toThrow();
    const steps = rig.steps();

    await rig.reconciler.run(new Set(["links"]));

    expect(steps.slice(0, 5)).toEqual(["apply", "record removing", "release", "detach", "record gone"]);
  });

  it("puts back a switch that was deleted by hand, and the ports into it", async () => {
    const rig = await restarted();
    rig.datapath.unplug(SWITCH);

    await rig.reconciler.run();

    expect(rig.datapath.links.get(PORT)).toMatchObject({ switchName: SWITCH, isUp: true });
    expect(rig.repairs).toEqual(["network", "endpoint"]);
    expect(rig.repaired).toEqual([{ networkId: networkId() }, { networkId: networkId(), endpointId: endpointId() }]);
  });

  it("puts back an address, and rules with a line in the log", async () => {
    const rig = await restarted();
    rig.datapath.links.get(SWITCH)?.addresses.clear();
    rig.firewall.rules = [];

    await rig.reconciler.run();

    expect(rig.datapath.links.get(SWITCH)?.addresses.size).toBe(1);
    expect(rig.firewall.rules).toEqual([networkId()]);
    expect(rig.logged.map(({ message }) => message)).toEqual(["firewall rules put in place"]);
    expect(rig.repairs).toEqual(["rules", "network"]);
  });

  it("makes no port for an endpoint whose port is gone", async () => {
    const rig = await restarted();
    rig.datapath.unplug(PORT);

    await rig.reconciler.run();

    expect(rig.datapath.links.has(PORT)).toBe(false);
  });

  it("leaves a network alone that is being created just now [F57]", async () => {
    const rig = new CnmRig();
    await rig.registry.putNetwork(network(), "creating");
    rig.firewall.isPolicing = false;

    await rig.reconciler.run();

    expect(rig.datapath.writeCount).toBe(0);
    expect(rig.registry.findNetwork(networkId())?.state).toBe("creating");
  });

  it("during verbs leaves what they leave [F57]", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest());
    const before = rig.state();
    const life = async (n: number) => {
      const ref = { networkId: networkId(), endpointId: endpointId(n) };
      await rig.createEndpoint(endpointRequest(n));
      await rig.join(joinRequest(n));
      await rig.reconciler.run();
      await rig.cnm.deleteEndpoint(ref);
      await rig.createNetwork(networkRequest(n + 100));
      await rig.cnm.deleteNetwork(networkId(n + 100));
    };

    await Promise.all(Array.from({ length: 20 }, (_, n) => life(n + 1)));

    expect(rig.state()).toEqual(before);
  });

  it("does not let one network keep the others away, and logs which one failed", async () => {
    const rig = await restarted();
    await rig.createNetwork(networkRequest(2)).catch(() => {});
    rig.firewall.isPolicing = false;
    await rig.createNetwork(networkRequest(2));
    rig.datapath.links.clear();
    rig.datapath.plant(SWITCH, { kind: "other" });

    await rig.reconciler.run();

    expect(rig.datapath.links.has(`tsn-${networkId(2).slice(0, 11)}`)).toBe(true);
    expect(rig.logged).toEqual([
      expect.objectContaining({
        level: "error",
        fields: expect.objectContaining({ id: networkId().slice(0, 12) }) as object,
      }),
    ]);
    rig.reconciler.close();
  });
});

describe("the schedule", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("looks once for a burst of changes", async () => {
    const rig = await restarted();
    for (let n = 0; n < 50; n++) rig.reconciler.schedule("firewall");

    await vi.advanceTimersByTimeAsync(1000);
    await rig.reconciler.idle();

    expect(rig.firewall.calls.filter((call) => call === "apply")).toHaveLength(2); // the network's creation, the look
  });

  it("tries again after a failure until it succeeds", async () => {
    const rig = await restarted();
    rig.firewall.rules = [];
    rig.firewall.fail("apply", 2);

    rig.reconciler.schedule("firewall");
    for (let n = 0; n < 3; n++) {
      await vi.advanceTimersByTimeAsync(20_000);
      await rig.reconciler.idle();
    }

    expect(rig.firewall.rules).toEqual([networkId()]);
    expect(rig.logged.filter(({ level }) => level === "error")).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("finishes a removal that failed, without being asked", async () => {
    const rig = await restarted();
    rig.datapath.failWrite(1);
    await expect(rig.cnm.deleteEndpoint({ networkId: networkId(), endpointId: endpointId() })).rejects.toThrow();

    rig.reconciler.schedule("links");
    await vi.advanceTimersByTimeAsync(1000);
    await rig.reconciler.idle();

    expect(rig.datapath.links.has(PORT)).toBe(false);
    expect(rig.registry.endpoints()).toEqual([]);
  });

  it("looks at a firewall change soon although a failed repair waits for its next try", async () => {
    const rig = await restarted();
    rig.datapath.failWrite(1);
    rig.datapath.links.clear();
    rig.reconciler.schedule("links");
    await vi.advanceTimersByTimeAsync(1000);
    await rig.reconciler.idle();
    rig.firewall.rules = [];

    rig.reconciler.schedule("firewall");
    await vi.advanceTimersByTimeAsync(1000);
    await rig.reconciler.idle();

    expect(rig.firewall.rules).toEqual([networkId()]);
  });

  it.each([
    ["does not look", false],
    ["looks", true],
  ])("%s at the rules when only links changed, where rules go by links: %s", async (_does, isByLinks) => {
    const rig = await restarted();
    rig.firewall.isByLinks = isByLinks;
    rig.reconciler.schedule("links");

    await vi.advanceTimersByTimeAsync(1000);
    await rig.reconciler.idle();

    expect(rig.firewall.calls.filter((call) => call === "apply")).toHaveLength(isByLinks ? 2 : 1); // one for the network's creation
  });

  it.each<readonly [string, readonly string[] | undefined, readonly number[], readonly number[]]>([
    ["an endpoint's port", ["port 1"], [], [1]],
    ["a port, and of another endpoint the end in the container", ["port 1", "inner 4"], [], [1]],
    ["a network's switch", ["switch 2"], [2], [3, 4]],
    ["another link, which may be an uplink", ["eth0"], [1, 2], []],
    ["an address", [""], [1, 2], []],
    ["links that nobody can name", undefined, [1, 2], [1, 2, 3, 4]],
  ])("after a change of %s looks at that and at nothing else", async (_what, named, networks, endpoints) => {
    const rig = new CnmRig();
    for (const n of [1, 2]) await rig.createNetwork(networkRequest(n));
    for (const n of [1, 2, 3, 4]) {
      await rig.createEndpoint(endpointRequest(n, Math.ceil(n / 2)));
      await rig.join(joinRequest(n, Math.ceil(n / 2)));
    }
    const names = named?.map((name) => {
      const [what, n] = name.split(" ");
      if (what === "switch") return rig.registry.requireNetwork(networkId(Number(n))).switchName;
      const ends = rig.registry.findEndpoint(endpointId(Number(n)))?.endpoint;
      return (what === "port" ? ends?.hostIfName : what === "inner" ? ends?.sandboxIfName : undefined) ?? name;
    });
    rig.datapath.calls.length = 0;

    rig.reconciler.schedule("links", names && new Set(names));
    await vi.advanceTimersByTimeAsync(1000);
    await rig.reconciler.idle();

    const of = (call: string, ids: readonly string[]) => ids.map((id) => `${call} ${id.slice(0, 12)}`);
    expect(rig.datapath.calls.filter((call) => /^(ensureNetwork|reattach) /.test(call)).toSorted()).toEqual(
      [...of("ensureNetwork", networks.map(networkId)), ...of("reattach", endpoints.map(endpointId))].toSorted(),
    );
    rig.reconciler.close();
  });

  it("lets an endpoint's removal that is under way be, and does not look at the rules for it", async () => {
    const rig = await restarted();
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    rig.datapath.onCall = (call) => (call === "detach" ? held : Promise.resolve());
    const removal = rig.cnm.deleteEndpoint(REF);
    await vi.waitFor(() => expect(rig.registry.findEndpoint(endpointId())?.state).toBe("removing"));

    rig.reconciler.schedule("links", new Set(["tsv000000000000"]));
    await vi.advanceTimersByTimeAsync(1000);
    await rig.reconciler.idle();

    expect(rig.firewall.calls.filter((call) => call === "apply")).toHaveLength(1); // the network's creation
    release();
    await removal;
    rig.reconciler.close();
  });

  it("starts nothing any more once it is closed", async () => {
    const rig = await restarted();
    rig.reconciler.schedule("links");
    rig.reconciler.close();
    rig.reconciler.schedule("links");

    await vi.advanceTimersByTimeAsync(60_000);

    expect(vi.getTimerCount()).toBe(0);
    expect(rig.firewall.calls.filter((call) => call === "apply")).toHaveLength(1);
  });
});

describe("an endpoint that the engine forgot [F22, F76]", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  async function lookFor(rig: CnmRig, durationMs: number): Promise<void> {
    rig.reconciler.schedule("links");
    for (let passed = 0; passed < durationMs; passed += 1000) {
      await vi.advanceTimersByTimeAsync(1000);
      await rig.reconciler.idle();
    }
  }

  it("is removed with its addresses when its link has been back on the host for a while", async () => {
    const rig = await restarted();
    rig.datapath.plant(PORT.replace("tsv", "tsc"), { kind: "sandbox" });

    await lookFor(rig, 45_000);

    expect(rig.registry.endpoints()).toEqual([]);
    expect(rig.released).toEqual([endpointId()]);
    expect(rig.repairs).toEqual(["forgotten-endpoint"]);
    expect(rig.repaired).toEqual([{ networkId: networkId(), endpointId: endpointId() }]);
    expect(rig.datapath.links.has(PORT)).toBe(false);
  });

  it("is removed with its published ports", async () => {
    const rig = await restartedWithPort();
    rig.datapath.links.delete(PORT);

    await lookFor(rig, 45_000);

    expect(rig.registry.endpoints()).toEqual([]);
    expect(rig.ports.held.size + rig.firewall.elements.size).toBe(0);
  });

  it("does not give back an address that another endpoint has by now", async () => {
    const rig = await restarted();
    rig.datapath.links.delete(PORT);
    await rig.createEndpoint(endpointRequest(2, 1, { address: "10.1.1.2/24", mac: "02:00:00:00:00:09" }));
    await rig.join(joinRequest(2));

    await lookFor(rig, 45_000);

    expect(rig.releasedAddresses).toEqual([]);
    expect(rig.registry.findEndpoint(endpointId(1))).toBeUndefined();
  });

  it("is removed when its link is gone with the container", async () => {
    const rig = await restarted();
    rig.datapath.links.delete(PORT);

    await lookFor(rig, 45_000);

    expect(rig.registry.endpoints()).toEqual([]);
  });

  it("is kept while the engine may still be moving its link", async () => {
    const rig = await restarted();
    rig.datapath.plant(PORT.replace("tsv", "tsc"), { kind: "sandbox" });

    await lookFor(rig, 15_000);

    expect(rig.registry.endpoints()).toHaveLength(1);
  });

  it("is none while it may be about to start: with hundreds at once the engine needs minutes for the last ones [F52]", async () => {
    const rig = new CnmRig();
    await rig.reconciler.recover(false);
    await rig.createNetwork(networkRequest());
    await rig.createEndpoint(endpointRequest(1));
    await rig.createEndpoint(endpointRequest(2));
    await rig.cnm.join(joinRequest(2), NEVER); // its link is on the host still

    await lookFor(rig, 300_000);

    expect(rig.registry.endpoints()).toHaveLength(2);
    expect(rig.datapath.links.has(`tsc${endpointId(2).slice(0, 12)}`)).toBe(true);
  });

  it("is one when it has not started for ten minutes", async () => {
    const rig = new CnmRig();
    await rig.reconciler.recover(false);
    await rig.createNetwork(networkRequest());
    await rig.createEndpoint(endpointRequest());

    await lookFor(rig, 660_000);

    expect(rig.registry.endpoints()).toEqual([]);
  });

  it("is removed soon when it was in a container, has left that, and is not told to end", async () => {
    const rig = new CnmRig();
    await rig.reconciler.recover(false);
    await rig.createNetwork(networkRequest());
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());
    await lookFor(rig, 2000);
    rig.datapath.plant(PORT.replace("tsv", "tsc"), { kind: "sandbox" });

    await lookFor(rig, 45_000);

    expect(rig.registry.endpoints()).toEqual([]);
  });

  it("is kept for as long as a container has its link", async () => {
    const rig = await restarted();

    await lookFor(rig, 120_000);

    expect(rig.registry.endpoints()).toHaveLength(1);
    expect(rig.released).toEqual([]);
  });
});

describe("a network that could not be removed because containers are in it", () => {
  it("keeps its rules, and theirs, until they have left [F46]", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest());
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());
    await expect(rig.cnm.deleteNetwork(networkId())).rejects.toThrow("it goes with the last of them");

    await rig.reconciler.run();

    expect(rig.firewall.rules).toEqual([networkId()]);
    expect([...rig.firewall.elements.keys()]).toEqual([endpointId()]);
    rig.reconciler.close();
  });

  it("is recorded as one that must go as soon as the disk takes it", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest());
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());
    rig.records.failCommit(1);
    await expect(rig.cnm.deleteNetwork(networkId())).rejects.toThrow("disk full");

    await rig.reconciler.run();

    expect(rig.records.list("network").get(networkId())).toMatchObject({ state: "removing" });
    rig.reconciler.close();
  });
});

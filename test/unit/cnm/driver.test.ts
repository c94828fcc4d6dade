import { describe, expect, it } from "vitest";
import type { CreateNetwork } from "../../../src/cnm/requests.ts";
import { TsnetError } from "../../../src/errors.ts";
import { CnmRig, NOTHING } from "../../support/cnm-rig.ts";
import {
  endpointId,
  endpointRequest,
  joinRequest,
  networkId,
  networkRequest,
  pool4,
  pool6,
} from "../../support/cnm-builder.ts";

const REF = { networkId: networkId(), endpointId: endpointId() };

/** A rig with the network 1, the endpoint 1 created on it, or joined. */
async function rigWith(stage: "network" | "created" | "joined"): Promise<CnmRig> {
  const rig = new CnmRig();
  await rig.createNetwork(networkRequest());
  if (stage !== "network") await rig.createEndpoint(endpointRequest());
  if (stage === "joined") await rig.join(joinRequest());
  return rig;
}

function portsOf(rig: CnmRig): string[] {
  return [...rig.datapath.links].filter(([, { kind }]) => kind === "port").map(([name]) => name);
}

/** A promise that the test resolves, and one that tells when the call has arrived at it. */
function gate() {
  const [arrived, opened] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const pass = (wanted: string) => async (call: string) => {
    if (call !== wanted) return;
    arrived.resolve();
    await opened.promise;
  };
  return { pass, arrived: arrived.promise, open: opened.resolve };
}

describe("GwAllocCheck", () => {
  it("needs a gateway address in every mode but isolated", () => {
    const { cnm } = new CnmRig();
    const skipped = (mode: string) => cnm.checkGatewayAllocation(networkRequest(1, { mode }));

    for (const mode of ["nat", "routed", "l2"]) expect(skipped(mode)).toEqual({ skipIpv4: false, skipIpv6: false });
    expect(cnm.checkGatewayAllocation(networkRequest(1, { parent: "eth1" })).skipIpv4).toBe(false);
    expect(skipped("isolated")).toEqual({ skipIpv4: true, skipIpv6: true });
  });

  it("refuses bad options with all faults", () => {
    expect(() => new CnmRig().cnm.checkGatewayAllocation(networkRequest(1, { mode: "x", mtu: "1" }))).toThrow(
      /mode.*mtu/,
    );
  });
});

describe("CreateNetwork", () => {
  it("leaves a record, a switch and rules", async () => {
    const rig = await rigWith("network");

    expect(rig.records.list("network").get(networkId())).toMatchObject({ state: "ready" });
    expect(rig.datapath.snapshot()).toMatchObject({
      [`tsn-${networkId().slice(0, 11)}`]: { kind: "switch", addresses: ["10.1.1.1/24"], isUp: true },
    });
    expect(rig.firewall.rules).toEqual([networkId()]);
  });

  it("has the record on disk before the host is changed", async () => {
    const rig = new CnmRig();
    const seen: unknown[] = [];
    rig.datapath.onCall = (call) => void (call === "ensureNetwork" && seen.push(rig.records.list("network").size));

    await rig.createNetwork(networkRequest());

    expect(seen).toEqual([1]);
  });

  it.each<[string, CreateNetwork]>([
    ["bad options", networkRequest(1, { mtu: "1" })],
    ["a gateway outside the subnet", networkRequest(1, {}, { pools: [{ ...pool4(), gateway: "10.9.9.1/24" }] })],
    ["an overlapping subnet", networkRequest(1, {}, { pools: [pool4(2)] })],
    ["a switch that is none", networkRequest(1, { bridge: "eth9" })],
    ["a switch that serves another mode", networkRequest(1, { bridge: "shared", mode: "l2" })],
  ])("changes nothing when it refuses %s", async (_what, request) => {
    const rig = new CnmRig();
    rig.datapath.plant("eth9", { kind: "other" });
    await rig.createNetwork(networkRequest(2, { bridge: "shared" }));
    const [before, writes] = [rig.state(), rig.writeCount];

    await expect(rig.createNetwork(request)).rejects.toThrow();

    expect(rig.state()).toEqual(before);
    expect(rig.writeCount).toBe(writes);
  });

  it("changes nothing when the switch cannot serve the network: its uplink is a port of another one", async () => {
    const rig = new CnmRig();
    rig.datapath.plant("eth1", { kind: "other", switchName: "br9" });

    await expect(rig.createNetwork(networkRequest(1, { parent: "eth1" }))).rejects.toThrow(
      "link eth1 is a port of br9 already",
    );

    expect(rig.writeCount).toBe(0);
  });

  it("asks the switch of its backend before anything changes, with the other networks on it", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { backend: "ovs", bridge: "br0", vlan: "10" }));
    const [check, seen] = [rig.ovs.check.bind(rig.ovs), new Array<unknown>()];
    rig.ovs.check = async (network, others) => {
      seen.push([rig.writeCount, network.id, others.map(({ id }) => id)]);
      await check(network, others);
    };
    const writes = rig.writeCount;

    await rig.createNetwork(networkRequest(2, { backend: "ovs", bridge: "br0", vlan: "20" }));

    expect(seen).toEqual([[writes, networkId(2), [networkId(1)]]]);
  });

  it.each(["new", "known"])(
    "brings the rules of a %s network before its switch: no frame passes without them",
    async (which) => {
      const rig = new CnmRig();
      if (which === "known") await rig.createNetwork(networkRequest());
      const steps = rig.steps();

      await rig.createNetwork(networkRequest());

      expect(steps.indexOf("apply")).toBeGreaterThanOrEqual(0);
      expect(steps.indexOf("apply")).toBeLessThan(steps.indexOf("ensureNetwork"));
    },
  );

  it("changes nothing when the firewall cannot serve the network", async () => {
    const rig = new CnmRig();
    rig.firewall.fail("check");

    await expect(rig.createNetwork(networkRequest())).rejects.toThrow("fake: check failed");

    expect(rig.writeCount).toBe(0);
  });

  for (const when of ["before", "after"] as const) {
    for (const n of [1, 2, 3, 4]) {
      it(`leaves nothing when change ${n} of the switch fails ${when} it was made [F89]`, async () => {
        const rig = new CnmRig();
        rig.datapath.failWrite(n, when);

        await expect(rig.createNetwork(networkRequest())).rejects.toMatchObject({ code: "host" });

        expect(rig.state()).toEqual(NOTHING);
      });
    }

    it(`leaves nothing when the rules fail ${when} they were made [F89]`, async () => {
      const rig = new CnmRig();
      rig.firewall.fail("apply", 1, when);

      await expect(rig.createNetwork(networkRequest())).rejects.toThrow("fake: apply failed");

      expect(rig.state()).toEqual(NOTHING);
    });
  }

  it.each([1, 2])("leaves nothing when record write %i fails", async (n) => {
    const rig = new CnmRig();
    rig.records.failCommit(n);

    await expect(rig.createNetwork(networkRequest())).rejects.toThrow("disk full");

    expect(rig.state()).toEqual(NOTHING);
    expect(rig.registry.networks()).toEqual([]);
  });

  it("says what could not be taken back, and keeps a record of it that is being removed", async () => {
    const rig = new CnmRig();
    rig.firewall.fail("apply", 2);

    await expect(rig.createNetwork(networkRequest())).rejects.toThrow(
      `fake: apply failed; besides, undo: network ${networkId().slice(0, 12)} cannot be removed: fake: apply failed`,
    );

    expect(rig.records.list("network").get(networkId())).toMatchObject({ state: "removing" });
  });

  it.each(["isNameTaken", "ensureNetwork"])("leaves nothing when its time is over in %s [F28]", async (at) => {
    const rig = new CnmRig();
    const controller = new AbortController();
    rig.datapath.onCall = (call) => void (call === at && controller.abort(new Error("out of time")));

    await expect(rig.createNetwork(networkRequest(), controller.signal)).rejects.toThrow("out of time");

    rig.datapath.onCall = () => {};
    expect(rig.state()).toEqual(NOTHING);
  });

  it("leaves nothing when its time is over during the last record", async () => {
    const rig = new CnmRig();
    const controller = new AbortController();
    const putNetwork = rig.registry.putNetwork.bind(rig.registry);
    rig.registry.putNetwork = async (network, state) => {
      await putNetwork(network, state);
      if (state === "ready") controller.abort(new Error("out of time"));
    };

    await expect(rig.createNetwork(networkRequest(), controller.signal)).rejects.toThrow("out of time");

    expect(rig.state()).toEqual(NOTHING);
  });

  it("leaves another network as it was when it is undone", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(2, { bridge: "shared" }));
    const before = rig.state();
    rig.firewall.fail("apply");

    await expect(rig.createNetwork(networkRequest(1, { bridge: "shared" }))).rejects.toThrow();

    expect(rig.state()).toEqual(before);
  });

  it("leaves the rules of the endpoints of other networks as they were", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1));
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());

    await rig.createNetwork(networkRequest(2));
    await rig.cnm.deleteNetwork(networkId(2));

    expect([...rig.firewall.elements.keys()]).toEqual([endpointId()]);
  });

  it("never deletes a switch that was there before, nor the addresses on it", async () => {
    const rig = new CnmRig();
    rig.datapath.plant("br0", { kind: "switch", addresses: new Set(["10.1.1.1/24", "192.0.2.1/24"]) });
    const before = rig.state();

    await rig.createNetwork(networkRequest(1, { bridge: "br0" }));
    await rig.cnm.deleteNetwork(networkId());

    expect(rig.state()).toEqual(before);
  });

  it("refuses the subnet of a network that is still being removed", async () => {
    const rig = await rigWith("joined");
    await expect(rig.cnm.deleteNetwork(networkId())).rejects.toThrow();

    await expect(rig.createNetwork(networkRequest(2, {}, { pools: [pool4(1)] }))).rejects.toMatchObject({
      code: "conflict",
    });
  });
});

describe("CreateNetwork for an id that exists [F47]", () => {
  it("succeeds and changes nothing when it asks for the same", async () => {
    const rig = await rigWith("network");
    const [before, writes] = [rig.state(), rig.writeCount];

    await rig.createNetwork(networkRequest());

    expect(rig.state()).toEqual(before);
    expect(rig.writeCount).toBe(writes);
  });

  it("succeeds too when the switch was named", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { bridge: "br0" }));

    await expect(rig.createNetwork(networkRequest(1, { bridge: "br0" }))).resolves.toBeUndefined();
  });

  it.each<[string, CreateNetwork]>([
    ["other options", networkRequest(1, { mtu: "1400" })],
    ["another subnet", networkRequest(1, {}, { pools: [pool4(7)] })],
    ["IPv6 besides", networkRequest(1, {}, { pools: [pool4(), pool6()] })],
    ["--internal", networkRequest(1, {}, { isInternal: true })],
    ["a named switch", networkRequest(1, { bridge: "br0" })],
    ["icc=false", networkRequest(1, { icc: "false" })],
    ["antispoof=false", networkRequest(1, { antispoof: "false" })],
    ["host-binding", networkRequest(1, { "host-binding": "192.0.2.1" })],
  ])("is refused with %s, and the first one stays", async (_what, request) => {
    const rig = await rigWith("network");
    const before = rig.state();

    await expect(rig.createNetwork(request)).rejects.toMatchObject({
      code: "conflict",
      message: `network ${networkId().slice(0, 12)} exists already, with other options`,
    });

    expect(rig.state()).toEqual(before);
  });

  it("is refused without the host-binding that the first one had", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { "host-binding": "192.0.2.1" }));

    await expect(rig.createNetwork(networkRequest())).rejects.toMatchObject({ code: "conflict" });
  });

  it("succeeds too after a restart, when the first one is read from its record", async () => {
    const before = new CnmRig();
    await before.createNetwork(networkRequest(1, { "host-binding": "192.0.2.1", routes: "10.9.0.0/16 via 10.1.1.9" }));
    const rig = new CnmRig(before);

    await rig.createNetwork(networkRequest(1, { "host-binding": "192.0.2.1", routes: "10.9.0.0/16 via 10.1.1.9" }));

    expect(rig.records.commitCount).toBe(0);
  });

  it.each<[string, Readonly<Record<string, string>>]>([
    ["an uplink", { parent: "eth1", vlan: "10" }],
    ["a moved uplink", { parent: "eth1", "parent-address": "move" }],
    ["the MTU of its uplink", { parent: "eth9000" }],
    ["a trunk", { parent: "eth1", vlan: "10", trunk: "20-30" }],
    ["a switch of Open vSwitch", { backend: "ovs" }],
    ["the datapath of a switch that exists", { backend: "ovs", bridge: "shared", vlan: "10" }],
    ["a shared VLAN", { backend: "ovs", bridge: "shared", vlan: "7", "shared-vlan": "true" }],
    ["switch settings", { stp: "true", ageing: "60" }],
  ])("succeeds with %s, also after a restart", async (_what, options) => {
    const before = new CnmRig();
    before.datapath.plant("eth1", { kind: "other" });
    before.datapath.plant("eth9000", { kind: "other", mtu: 9000 });
    const theirs = { backend: "ovs", bridge: "shared", datapath: "userspace", mtu: "1400", vlan: "7" };
    await before.createNetwork(networkRequest(2, { ...theirs, "shared-vlan": "true" }));
    await before.createNetwork(networkRequest(1, options));
    const state = before.state();
    await before.createNetwork(networkRequest(1, options));
    const rig = new CnmRig(before);
    await rig.createNetwork(networkRequest(1, options));

    expect(rig.state()).toEqual(state);
    expect(rig.records.commitCount).toBe(0);
  });

  it.each<[string, Readonly<Record<string, string>>, Readonly<Record<string, string>>]>([
    ["another VLAN", { vlan: "10" }, { vlan: "20" }],
    ["a trunk besides", { vlan: "10" }, { vlan: "10", trunk: "20" }],
    ["no shared-vlan", { vlan: "10", "shared-vlan": "true" }, { vlan: "10" }],
    ["another backend", {}, { backend: "ovs" }],
    ["a kind of datapath", { backend: "ovs" }, { backend: "ovs", datapath: "auto" }],
    ["no mtu", { mtu: "1400" }, {}],
    ["the mtu that it has anyway", {}, { mtu: "1500" }],
    ["another uplink", { parent: "eth1" }, { parent: "eth2" }],
    ["no uplink", { parent: "eth1", mode: "l2" }, { mode: "l2" }],
    ["parent-address=move", { parent: "eth1" }, { parent: "eth1", "parent-address": "move" }],
    ["no named switch beside its uplink", { parent: "eth1", bridge: "br0" }, { parent: "eth1" }],
    ["a setting of the switch", {}, { ageing: "60" }],
    ["another setting of the switch", { ageing: "60" }, { ageing: "61" }],
  ])("is refused with %s", async (_what, first, second) => {
    const rig = new CnmRig();
    for (const name of ["eth1", "eth2"]) rig.datapath.plant(name, { kind: "other" });
    await rig.createNetwork(networkRequest(1, first));
    const before = rig.state();

    await expect(rig.createNetwork(networkRequest(1, second))).rejects.toMatchObject({
      code: "conflict",
      message: `network ${networkId().slice(0, 12)} exists already, with other options`,
    });
    expect(rig.state()).toEqual(before);
  });

  it("is refused without the switch that the first one named", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { bridge: "br0" }));

    await expect(rig.createNetwork(networkRequest())).rejects.toMatchObject({ code: "conflict" });
  });

  it("makes one network out of a hundred calls at the same time", async () => {
    const rig = new CnmRig();

    await Promise.all(Array.from({ length: 100 }, () => rig.createNetwork(networkRequest())));

    expect(rig.registry.networks()).toHaveLength(1);
    expect(rig.records.commitCount).toBe(2);
    expect(rig.datapath.writeCount).toBe(4);
  });

  it("lets one of a hundred networks win that ask for the same subnet [F47]", async () => {
    const rig = new CnmRig();
    const same = { pools: [pool4()] };

    const calls = Array.from({ length: 100 }, (_, n) => rig.createNetwork(networkRequest(n + 1, {}, same)));

    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(rig.firewall.rules).toHaveLength(1);
    expect(rig.datapath.links.size).toBe(1);
  });
});

describe("DeleteNetwork", () => {
  it("leaves nothing", async () => {
    const rig = await rigWith("network");

    await rig.cnm.deleteNetwork(networkId());

    expect(rig.state()).toEqual(NOTHING);
  });

  it("succeeds a second time, and for a network that was never there [F45]", async () => {
    const rig = await rigWith("network");
    await rig.cnm.deleteNetwork(networkId());

    await rig.cnm.deleteNetwork(networkId());
    await rig.cnm.deleteNetwork(networkId(9));

    expect(rig.state()).toEqual(NOTHING);
  });

  it("removes the switch of a network whose record was lost, by its mark", async () => {
    const rig = await rigWith("network");
    await rig.registry.removeNetwork(networkId());

    await rig.cnm.deleteNetwork(networkId());

    expect(rig.datapath.links.size).toBe(0);
  });

  it("asks both kinds of switch about a network without a record, and Open vSwitch being away stops nothing", async () => {
    const rig = await rigWith("network");
    await rig.registry.removeNetwork(networkId());
    rig.ovs.onCall = () => {
      throw new TsnetError("unavailable", "fake: Open vSwitch is away");
    };

    await rig.cnm.deleteNetwork(networkId());

    for (const { calls } of [rig.datapath, rig.ovs]) {
      expect(calls).toContain(`removeStraySwitch ${networkId().slice(0, 12)}`);
    }
    expect(rig.datapath.links.size).toBe(0);
  });

  it("asks the second kind of switch also when the first one fails, and says so", async () => {
    const rig = new CnmRig();
    rig.datapath.onCall = () => {
      throw new TsnetError("host", "fake: out of memory");
    };

    await expect(rig.cnm.deleteNetwork(networkId())).rejects.toThrow(
      `network ${networkId().slice(0, 12)} cannot be removed: fake: out of memory`,
    );

    expect(rig.ovs.calls).toEqual([`removeStraySwitch ${networkId().slice(0, 12)}`]);
  });

  it("of a network on Open vSwitch that is away fails, and goes on when it is back", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { backend: "ovs" }));
    rig.ovs.onCall = () => {
      throw new TsnetError("unavailable", "fake: Open vSwitch is away");
    };
    await expect(rig.cnm.deleteNetwork(networkId())).rejects.toThrow("Open vSwitch is away");
    rig.ovs.onCall = () => {};

    await rig.reconciler.run();

    expect(rig.state()).toEqual(NOTHING);
  });

  it("leaves the switch to the networks that share it, also when it is repeated", async () => {
    const rig = await rigWith("network");
    await rig.createNetwork(networkRequest(2, { bridge: "shared" }));
    await rig.createNetwork(networkRequest(3, { bridge: "shared" }));

    await rig.cnm.deleteNetwork(networkId(2));
    await rig.cnm.deleteNetwork(networkId(2));

    expect(rig.datapath.links.get("shared")?.addresses).toEqual(new Set(["10.1.3.1/24"]));
    await rig.cnm.deleteNetwork(networkId(3));
    expect(rig.datapath.links.has("shared")).toBe(false);
  });

  it("takes endpoints along that are not joined [F46]", async () => {
    const rig = await rigWith("created");

    await rig.cnm.deleteNetwork(networkId());

    expect(rig.state()).toEqual(NOTHING);
  });

  it("is refused while an endpoint is joined, and goes on when that one is deleted [F46]", async () => {
    const rig = await rigWith("joined");
    await rig.createEndpoint(endpointRequest(2));

    await expect(rig.cnm.deleteNetwork(networkId())).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("1 of its endpoints are joined") as string,
    });
    expect(portsOf(rig)).toHaveLength(1);
    await rig.cnm.leave(REF);
    await rig.cnm.deleteEndpoint(REF);

    expect(rig.state()).toEqual(NOTHING);
  });

  it("takes no new endpoint and no Join once it was asked for", async () => {
    const rig = await rigWith("joined");
    await expect(rig.cnm.deleteNetwork(networkId())).rejects.toThrow();

    await expect(rig.createEndpoint(endpointRequest(2))).rejects.toMatchObject({ code: "not-found" });
    await expect(rig.join(joinRequest())).rejects.toMatchObject({ code: "not-found" });
  });

  it("waits for a DeleteEndpoint that is under way, and leaves nothing", async () => {
    const rig = await rigWith("joined");
    await rig.cnm.leave(REF);
    const { pass, arrived, open } = gate();
    rig.datapath.onCall = pass("detach");

    const endpointGone = rig.cnm.deleteEndpoint(REF);
    await arrived;
    const networkGone = rig.cnm.deleteNetwork(networkId());
    open();
    await Promise.all([endpointGone, networkGone]);

    expect(rig.state()).toEqual(NOTHING);
  });

  it.each([1, 2, 3, 4])("that fails at record write %i or later is finished by the next one", async (n) => {
    const rig = await rigWith("created");
    rig.records.failCommit(n);
    await rig.cnm.deleteNetwork(networkId()).catch(() => {});

    await rig.cnm.deleteNetwork(networkId());

    expect(rig.state()).toEqual(NOTHING);
  });

  it("takes the rules away even when the switch cannot be removed, and says so", async () => {
    const rig = await rigWith("network");
    rig.datapath.failWrite(1);

    await expect(rig.cnm.deleteNetwork(networkId())).rejects.toMatchObject({
      code: "host",
      message: expect.stringContaining("cannot be removed: fake: change") as string,
    });

    expect(rig.firewall.rules).toEqual([]);
    expect(rig.records.list("network").get(networkId())).toMatchObject({ state: "removing" });
  });
});

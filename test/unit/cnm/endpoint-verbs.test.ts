import { describe, expect, it } from "vitest";
import { endpointNames } from "../../../src/cnm/names.ts";
import type { CreateNetwork } from "../../../src/cnm/requests.ts";
import { TsnetError } from "../../../src/errors.ts";
import { CnmRig, NEVER, NOTHING } from "../../support/cnm-rig.ts";
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

describe("CreateEndpoint", () => {
  it("answers with the MAC it derived, and with none when the engine gave one", async () => {
    const rig = await rigWith("network");

    expect(await rig.createEndpoint(endpointRequest(1))).toEqual({ mac: "02:42:0a:01:01:02" });
    expect(await rig.createEndpoint(endpointRequest(2, 1, { mac: "02:00:00:00:00:09" }))).toEqual({});
  });

  it("records the endpoint and changes nothing on the host", async () => {
    const rig = await rigWith("network");
    const writes = rig.datapath.writeCount;

    await rig.createEndpoint(endpointRequest());

    expect(rig.datapath.writeCount).toBe(writes);
    expect(rig.records.list("endpoint").get(endpointId())).toMatchObject({ state: "created" });
  });

  it("is refused on a network that tsnet does not know [F45]", async () => {
    await expect(new CnmRig().createEndpoint(endpointRequest())).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringContaining("remove and recreate the network") as string,
    });
  });

  it("gives the same answer when it is repeated [F41]", async () => {
    const rig = await rigWith("created");
    const writes = rig.writeCount;

    expect(await rig.createEndpoint(endpointRequest())).toEqual({ mac: "02:42:0a:01:01:02" });
    expect(rig.writeCount).toBe(writes);
  });

  it("is refused for a known endpoint with other properties [F41]", async () => {
    const rig = await rigWith("created");
    const before = rig.state();

    await expect(rig.createEndpoint(endpointRequest(1, 1, { address: "10.1.1.9/24" }))).rejects.toMatchObject({
      code: "conflict",
    });
    expect(rig.state()).toEqual(before);
  });

  it("makes one endpoint out of a hundred calls at the same time [F41]", async () => {
    const rig = await rigWith("network");

    await Promise.all(Array.from({ length: 100 }, () => rig.createEndpoint(endpointRequest())));

    expect(rig.registry.endpoints()).toHaveLength(1);
  });

  it("lets one of many endpoints win that ask for the same MAC at the same time [F68]", async () => {
    const rig = await rigWith("network");
    const mac = "02:00:00:00:00:09";

    const calls = Array.from({ length: 20 }, (_, n) => rig.createEndpoint(endpointRequest(n + 1, 1, { mac })));

    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("refuses a MAC that another endpoint on the switch has, and names it [F68]", async () => {
    const rig = new CnmRig();
    for (const n of [1, 2]) await rig.createNetwork(networkRequest(n, { bridge: "shared" }));
    await rig.createEndpoint(endpointRequest(1, 1, { mac: "02:00:00:00:00:09" }));

    await expect(rig.createEndpoint(endpointRequest(2, 2, { mac: "02:00:00:00:00:09" }))).rejects.toMatchObject({
      code: "conflict",
      message:
        `MAC address 02:00:00:00:00:09 is in use on shared by endpoint ${endpointId(1).slice(0, 12)}` +
        ` of network ${networkId(1).slice(0, 12)}`,
    });
  });

  it("takes the MAC of a joined endpoint whose port is gone: the engine never told its end", async () => {
    const rig = await rigWith("network");
    await rig.createEndpoint(endpointRequest(1, 1, { mac: "02:00:00:00:00:09" }));
    await rig.join(joinRequest(1));
    rig.datapath.links.delete(`tsv${endpointId(1).slice(0, 12)}`);

    await rig.createEndpoint(endpointRequest(2, 1, { mac: "02:00:00:00:00:09" }));

    expect(rig.registry.endpoints().map(({ endpoint }) => endpoint.endpointId)).toEqual([endpointId(2)]);
  });

  it("takes a MAC that is in use on another switch", async () => {
    const rig = await rigWith("network");
    await rig.createNetwork(networkRequest(2));
    await rig.createEndpoint(endpointRequest(1, 1, { mac: "02:00:00:00:00:09" }));

    await expect(rig.createEndpoint(endpointRequest(2, 2, { mac: "02:00:00:00:00:09" }))).resolves.toEqual({});
  });

  it("takes the next names when another link has the first ones, which stays [F65]", async () => {
    const rig = await rigWith("network");
    const [first, second] = endpointNames(endpointId());
    rig.datapath.plant(first?.sandbox ?? "", { kind: "other" });

    await rig.createEndpoint(endpointRequest());

    expect((await rig.join(joinRequest())).sourceName).toBe(second?.sandbox);
    expect(rig.datapath.links.get(first?.sandbox ?? "")?.kind).toBe("other");
  });

  it("leaves nothing when its record cannot be written", async () => {
    const rig = await rigWith("network");
    const before = rig.state();
    rig.records.failCommit(1);

    await expect(rig.createEndpoint(endpointRequest())).rejects.toThrow("disk full");

    expect(rig.state()).toEqual(before);
    expect(rig.registry.endpoints()).toEqual([]);
  });

  it.each(["isNameTaken", "record"])("leaves nothing when its time is over: %s [F28]", async (at) => {
    const rig = await rigWith("network");
    const before = rig.state();
    const controller = new AbortController();
    const abort = () => controller.abort(new Error("out of time"));
    rig.datapath.onCall = (call) => void (call === at && abort());
    const putEndpoint = rig.registry.putEndpoint.bind(rig.registry);
    rig.registry.putEndpoint = async (record) => {
      await putEndpoint(record);
      if (at === "record") abort();
    };

    await expect(rig.createEndpoint(endpointRequest(), controller.signal)).rejects.toThrow("out of time");

    expect(rig.state()).toEqual(before);
    expect(rig.registry.endpoints()).toEqual([]);
  });
});

describe("Join", () => {
  it("hands back the free end, the prefix and the gateway", async () => {
    const rig = await rigWith("created");

    expect(await rig.join(joinRequest())).toEqual({
      sourceName: endpointNames(endpointId())[0]?.sandbox,
      destinationPrefix: "eth",
      gateway: "10.1.1.1",
      routes: [],
      isGatewayServiceDisabled: false,
    });
    expect(portsOf(rig)).toEqual([endpointNames(endpointId())[0]?.host]);
  });

  it("tells the other hosts of a tunnel where the endpoint is, once its port is there", async () => {
    const tunnel = { tunnel: "vxlan", vni: "7", peers: "192.0.2.2" };
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, tunnel));
    await rig.createNetwork(networkRequest(2));
    for (const on of [1, 2]) {
      await rig.createEndpoint(endpointRequest(on, on));
      await rig.join(joinRequest(on, on));
    }

    const calls = rig.datapath.calls.filter((call) => /^(attach|announce) /.test(call));
    const of = (n: number) => endpointId(n).slice(0, 4);
    expect(calls.map((call) => call.replace(/ (....).*/, " $1"))).toEqual([
      `attach ${of(1)}`,
      `announce ${of(1)}`,
      `attach ${of(2)}`,
    ]);
  });

  it.each<[string, CreateNetwork, object]>([
    ["gateway=none", networkRequest(1, { gateway: "none" }), { isGatewayServiceDisabled: true }],
    ["--internal", networkRequest(1, {}, { isInternal: true }), { isGatewayServiceDisabled: true }],
    ["mode isolated", networkRequest(1, { mode: "isolated" }), { isGatewayServiceDisabled: true }],
    ["mode l2", networkRequest(1, { mode: "l2" }), { gateway: "10.1.1.1", isGatewayServiceDisabled: false }],
    ["ifprefix", networkRequest(1, { ifprefix: "net" }), { destinationPrefix: "net", gateway: "10.1.1.1" }],
  ])("answers as %s says", async (_what, request, expected) => {
    const rig = new CnmRig();
    await rig.createNetwork(request);
    await rig.createEndpoint(endpointRequest());

    const answer = await rig.join(joinRequest());

    expect(answer).toMatchObject(expected);
    expect(answer.gateway).toBe("gateway" in expected ? expected.gateway : undefined);
  });

  it("gives gateway and routes only of the families that the endpoint has", async () => {
    const rig = new CnmRig();
    const options = { routes: "10.0.0.0/16 via 10.1.1.9,fd07::/16 via fd00:1:1::9" };
    await rig.createNetwork(networkRequest(1, options, { pools: [pool4(), pool6()] }));
    await rig.createEndpoint(endpointRequest(1));
    await rig.createEndpoint(endpointRequest(2, 1, { addressIpv6: "fd00:1:1::3/64" }));

    const [plain, dual] = [await rig.join(joinRequest(1)), await rig.join(joinRequest(2))];

    expect(plain.routes.map(({ via }) => via)).toEqual(["10.1.1.9"]);
    expect(plain.gatewayIpv6).toBeUndefined();
    expect(dual.routes).toHaveLength(2);
    expect(dual.gatewayIpv6).toBe("fd00:1:1::1");
  });

  it("gives the gateway of the subnet in which the endpoint's address lies", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, {}, { pools: [pool4(1), pool4(2)] }));
    await rig.createEndpoint(endpointRequest(1, 1, { address: "10.1.2.9/24" }));

    expect((await rig.join(joinRequest())).gateway).toBe("10.1.2.1");
  });

  it("gives no route to the container that is its router, nor to one in another subnet than the router's", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { routes: "10.9.0.0/16 via 10.1.1.9" }, { pools: [pool4(1), pool4(2)] }));
    await rig.createEndpoint(endpointRequest(1, 1, { address: "10.1.1.9/24" }));
    await rig.createEndpoint(endpointRequest(2, 1, { address: "10.1.2.5/24" }));
    await rig.createEndpoint(endpointRequest(3, 1, { address: "10.1.1.5/24" }));

    expect((await rig.join(joinRequest(1))).routes).toEqual([]);
    expect((await rig.join(joinRequest(2))).routes).toEqual([]);
    expect((await rig.join(joinRequest(3))).routes).toEqual([{ destination: "10.9.0.0/16", via: "10.1.1.9" }]);
  });

  it.each([
    ["routed", "false", true],
    ["routed", "true", false],
    ["nat", "false", false],
  ])(
    "in mode %s with icc=%s says whether endpoints find one another by way of the host: %s",
    async (mode, icc, isByHost) => {
      const rig = new CnmRig();
      await rig.createNetwork(networkRequest(1, { mode, icc }, { pools: [pool4(), pool6()] }));
      await rig.createEndpoint(endpointRequest(1, 1, { addressIpv6: "fd00:1:1::3/64" }));

      const { routes } = await rig.join(joinRequest());

      const byHost = [
        { destination: "10.1.1.1/32" },
        { destination: "10.1.1.0/25", via: "10.1.1.1" },
        { destination: "10.1.1.128/25", via: "10.1.1.1" },
        { destination: "fd00:1:1::1/128" },
        { destination: "fd00:1:1::/65", via: "fd00:1:1::1" },
        { destination: "fd00:1:1:0:8000::/65", via: "fd00:1:1::1" },
      ];
      expect(routes).toEqual(isByHost ? byHost : []);
    },
  );

  it("leaves such routes out in a subnet of two, where there is no other endpoint", async () => {
    const rig = new CnmRig();
    const pool = { addressSpace: "LocalDefault", subnet: "10.1.1.0/31", gateway: "10.1.1.1/31" };
    await rig.createNetwork(networkRequest(1, { mode: "routed", icc: "false" }, { pools: [pool] }));
    await rig.createEndpoint(endpointRequest(1, 1, { address: "10.1.1.0/31" }));

    expect(await rig.join(joinRequest())).toMatchObject({ gateway: "10.1.1.1", routes: [] });
  });

  it("is the same when it is repeated for the same sandbox [F42]", async () => {
    const rig = await rigWith("created");
    const first = await rig.join(joinRequest());
    const [before, writes] = [rig.state(), rig.writeCount];

    expect(await rig.join(joinRequest())).toEqual(first);
    expect(rig.state()).toEqual(before);
    expect(rig.writeCount).toBe(writes);
  });

  it("is refused for another sandbox, and the first one keeps its port [F42]", async () => {
    const rig = await rigWith("joined");
    const before = rig.state();

    await expect(rig.join(joinRequest(1, 1, "/var/run/docker/netns/other"))).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("it is joined to /var/run/docker/netns/1") as string,
    });
    expect(rig.state()).toEqual(before);
  });

  it("makes one port out of a hundred calls at the same time [F42]", async () => {
    const rig = await rigWith("created");

    const answers = await Promise.all(Array.from({ length: 100 }, () => rig.join(joinRequest())));

    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(portsOf(rig)).toHaveLength(1);
  });

  it.each([
    ["a network that tsnet does not know", joinRequest(1, 9)],
    ["an endpoint that tsnet does not know", joinRequest(9, 1)],
    ["an endpoint of another network", joinRequest(1, 2)],
  ])("is refused for %s, and nothing is made", async (_what, request) => {
    const rig = await rigWith("created");
    await rig.createNetwork(networkRequest(2));
    const [before, writes] = [rig.state(), rig.writeCount];

    await expect(rig.join(request)).rejects.toMatchObject({ code: "not-found" });

    expect(rig.state()).toEqual(before);
    expect(rig.writeCount).toBe(writes);
  });

  for (const [n, when] of [
    [1, "before"],
    [1, "after"],
    [2, "before"],
    [2, "after"],
  ] as const) {
    it(`leaves the endpoint created and no port when change ${n} fails ${when} it was made`, async () => {
      const rig = await rigWith("created");
      const before = rig.state();
      rig.datapath.failWrite(n, when);

      await expect(rig.join(joinRequest())).rejects.toThrow(
        `endpoint ${endpointId().slice(0, 12)} cannot join network ${networkId().slice(0, 12)}: fake: change`,
      );

      expect(rig.state()).toEqual(before);
    });
  }

  it("leaves the endpoint created when its record cannot be written", async () => {
    const rig = await rigWith("created");
    const before = rig.state();
    rig.records.failCommit(1);

    await expect(rig.join(joinRequest())).rejects.toThrow("disk full");

    expect(rig.state()).toEqual(before);
  });

  it("leaves no port when its time is over, and works when it is repeated [F28]", async () => {
    const rig = await rigWith("created");
    const before = rig.state();
    const controller = new AbortController();
    rig.datapath.onCall = (call) => void (call === "attach" && controller.abort(new Error("out of time")));

    await expect(rig.join(joinRequest(), controller.signal)).rejects.toThrow("out of time");

    expect(rig.state()).toEqual(before);
    rig.datapath.onCall = () => {};
    await expect(rig.join(joinRequest())).resolves.toMatchObject({ gateway: "10.1.1.1" });
  });

  it("makes the switch anew when somebody deleted it", async () => {
    const rig = await rigWith("created");
    rig.datapath.unplug(`tsn-${networkId().slice(0, 11)}`);

    await rig.join(joinRequest());

    expect(rig.datapath.links.size).toBe(2);
  });
});

describe("Join, with regard to the rules", () => {
  it("has the endpoint's elements there before its port carries a frame, and its record before both", async () => {
    const rig = await rigWith("created");
    const steps = rig.steps();

    await rig.join(joinRequest());

    expect(steps).toEqual(["record joined", "ensureEndpoint", "attach"]);
    expect([...rig.firewall.elements]).toEqual([[endpointId(), []]]);
  });

  it.each(["before", "after"] as const)("leaves nothing when its elements fail %s they were made", async (when) => {
    const rig = await rigWith("created");
    const before = rig.state();
    rig.firewall.fail("ensureEndpoint", 1, when);

    await expect(rig.join(joinRequest())).rejects.toThrow("fake: ensureEndpoint failed");

    expect(rig.state()).toEqual(before);
  });

  it("takes the elements away when the port cannot be made, after the port", async () => {
    const rig = await rigWith("created");
    rig.datapath.failWrite(1);
    const steps = rig.steps();

    await expect(rig.join(joinRequest())).rejects.toThrow("fake: change");

    expect(steps.slice(-3)).toEqual(["detach", "record created", "removeEndpoint"]);
    expect(rig.firewall.elements.size).toBe(0);
  });

  it("makes none for a Join that is repeated", async () => {
    const rig = await rigWith("joined");

    await rig.join(joinRequest());

    expect(rig.firewall.calls.filter((call) => call === "ensureEndpoint")).toHaveLength(1);
  });
});

describe("Leave and DeleteEndpoint, with regard to the rules", () => {
  it("take the elements and then the link away at Leave, with the record first", async () => {
    const rig = await rigWith("joined");
    const steps = rig.steps();

    await rig.cnm.leave(REF);
    expect(steps).toEqual(["record created", "removeEndpoint", "release", "detach"]);
    await rig.cnm.deleteEndpoint(REF);

    expect(steps.slice(4)).toEqual(["release", "detach", "record gone"]);
    expect(rig.firewall.elements.size).toBe(0);
  });

  it("take the elements away after the link when no Leave came", async () => {
    const rig = await rigWith("joined");
    const steps = rig.steps();

    await rig.cnm.deleteEndpoint(REF);

    expect(steps).toEqual(["record removing", "release", "detach", "removeEndpoint", "record gone"]);
    expect(rig.firewall.elements.size).toBe(0);
  });

  it.each(["before", "after"] as const)("leave it joined when its elements cannot be taken away: %s", async (when) => {
    const rig = await rigWith("joined");
    const before = rig.state();
    rig.firewall.fail("removeEndpoint", 1, when);

    await expect(rig.cnm.leave(REF)).rejects.toThrow("fake: removeEndpoint failed");

    expect(rig.state()).toEqual(before);
  });

  it("keep a record of the elements that could not be taken away, and try again", async () => {
    const rig = await rigWith("joined");
    rig.firewall.fail("removeEndpoint");

    await expect(rig.cnm.deleteEndpoint(REF)).rejects.toMatchObject({ code: "host" });
    expect(rig.records.list("endpoint").get(endpointId())).toMatchObject({ state: "removing" });
    await rig.cnm.deleteEndpoint(REF);

    expect(rig.firewall.elements.size).toBe(0);
    expect(rig.registry.endpoints()).toEqual([]);
  });
});

describe("durable writes", () => {
  it("are one for each verb of a container without ports", async () => {
    const rig = await rigWith("network");
    const counts: number[] = [];
    const count = async (verb: Promise<unknown>) => {
      const before = rig.records.commitCount;
      await verb;
      counts.push(rig.records.commitCount - before);
    };

    await count(rig.createEndpoint(endpointRequest()));
    await count(rig.join(joinRequest()));
    await count(rig.publish({ ...REF, portMap: [] }));
    await count(rig.cnm.revokeExternalConnectivity(REF));
    await count(rig.cnm.leave(REF));
    await count(rig.cnm.deleteEndpoint(REF));

    expect(counts).toEqual([1, 1, 0, 0, 1, 1]);
  });
});

describe("Leave and DeleteEndpoint", () => {
  it("leave nothing of the endpoint, in this order", async () => {
    const rig = await rigWith("network");
    const before = rig.state();
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());

    await rig.cnm.leave(REF);
    await rig.cnm.deleteEndpoint(REF);

    expect(rig.state()).toEqual(before);
  });

  it("of an endpoint without a record look on both kinds of switch, and Open vSwitch being away stops nothing", async () => {
    const rig = await rigWith("joined");
    await rig.registry.removeEndpoint(endpointId());
    rig.ovs.onCall = () => {
      throw new TsnetError("unavailable", "fake: Open vSwitch is away");
    };

    await rig.cnm.deleteEndpoint(REF);

    expect(portsOf(rig)).toEqual([]);
    expect(rig.ovs.calls.some((call) => call.startsWith("detach"))).toBe(true);
  });

  it("find the link of an endpoint whose network has no record any more", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { backend: "ovs" }));
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());
    await rig.registry.removeNetwork(networkId());

    await rig.cnm.deleteEndpoint(REF);

    expect(portsOf(rig)).toEqual([]);
  });

  it("leave nothing in the other order [F40]", async () => {
    const rig = await rigWith("network");
    const before = rig.state();
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());

    await rig.cnm.deleteEndpoint(REF);
    await rig.cnm.leave(REF);

    expect(rig.state()).toEqual(before);
  });

  it("delete the port at Leave", async () => {
    const rig = await rigWith("joined");

    await rig.cnm.leave(REF);

    expect(portsOf(rig)).toEqual([]);
  });

  it("let the endpoint join another sandbox after Leave, with one port", async () => {
    const rig = await rigWith("joined");
    await rig.cnm.leave(REF);

    await rig.join(joinRequest(1, 1, "/var/run/docker/netns/other"));

    expect(portsOf(rig)).toHaveLength(1);
  });

  it("succeed a hundred times at once [F43]", async () => {
    const rig = await rigWith("joined");

    const calls = Array.from({ length: 100 }, (_, n) => (n % 2 ? rig.cnm.leave(REF) : rig.cnm.deleteEndpoint(REF)));

    await Promise.all(calls);
    expect(rig.registry.endpoints()).toEqual([]);
    expect(portsOf(rig)).toEqual([]);
  });

  it("succeed for what tsnet does not know, and make nothing [F43, F45]", async () => {
    const rig = new CnmRig();

    await rig.cnm.leave(REF);
    await rig.cnm.deleteEndpoint(REF);
    await rig.cnm.revokeExternalConnectivity(REF);

    expect(rig.state()).toEqual(NOTHING);
    expect(rig.writeCount).toBe(0);
  });

  it("remove the port of an endpoint whose record was lost, by its mark", async () => {
    const rig = await rigWith("joined");
    await rig.registry.removeEndpoint(endpointId());

    await rig.cnm.deleteEndpoint(REF);

    expect(portsOf(rig)).toEqual([]);
  });

  it("wait for a Join that is under way, and leave nothing [F44]", async () => {
    const rig = await rigWith("created");
    const { pass, arrived, open } = gate();
    rig.datapath.onCall = pass("attach");

    const joined = rig.join(joinRequest());
    await arrived;
    const gone = [rig.cnm.leave(REF), rig.cnm.deleteEndpoint(REF)];
    open();
    await Promise.all([joined, ...gone]);

    expect(portsOf(rig)).toEqual([]);
    expect(rig.registry.endpoints()).toEqual([]);
  });

  it.each([
    ["after Leave", 1],
    ["without Leave", 1],
    ["without Leave", 2],
  ] as const)("%s that fail at record write %i are finished by the next one", async (when, n) => {
    const rig = await rigWith("joined");
    if (when === "after Leave") await rig.cnm.leave(REF);
    rig.records.failCommit(n);

    await expect(rig.cnm.deleteEndpoint(REF)).rejects.toThrow("disk full");
    await rig.cnm.deleteEndpoint(REF);

    expect(rig.registry.endpoints()).toEqual([]);
    expect(portsOf(rig)).toEqual([]);
  });

  it.each(["after a failed", "without"])(
    "keep a record of the port that could not be removed, %s Leave",
    async (when) => {
      const rig = await rigWith("joined");
      rig.datapath.failWrite(1);
      if (when === "after a failed") await expect(rig.cnm.leave(REF)).rejects.toMatchObject({ code: "host" });
      rig.datapath.failWrite(1);

      await expect(rig.cnm.deleteEndpoint(REF)).rejects.toMatchObject({ code: "host" });

      expect(rig.records.list("endpoint").get(endpointId())).toMatchObject({ state: "removing" });
    },
  );
});

describe("verbs of different endpoints", () => {
  it("do not wait for each other", async () => {
    const rig = await rigWith("created");
    await rig.createEndpoint(endpointRequest(2));
    const { pass, arrived, open } = gate();
    rig.datapath.onCall = pass("attach");
    const slow = rig.join(joinRequest(1));
    await arrived;
    rig.datapath.onCall = () => {};

    await expect(rig.join(joinRequest(2))).resolves.toBeDefined();

    open();
    await slow;
  });

  it("leave nothing after a hundred containers came and went at once", async () => {
    const rig = await rigWith("network");
    const before = rig.state();
    const life = async (n: number) => {
      const ref = { networkId: networkId(), endpointId: endpointId(n) };
      await rig.createEndpoint(endpointRequest(n));
      await rig.join(joinRequest(n));
      await rig.cnm.leave(ref);
      await rig.cnm.deleteEndpoint(ref);
    };

    await Promise.all(Array.from({ length: 100 }, (_, n) => life(n + 1)));

    expect(rig.state()).toEqual(before);
  });
});

describe("Join once more", () => {
  it("makes the link again when it is gone, as when tsnet died before it had made it [F42]", async () => {
    const rig = await rigWith("joined");
    rig.datapath.unplug(portsOf(rig)[0] ?? "");

    const { sourceName } = await rig.cnm.join(joinRequest(), NEVER);

    expect(rig.datapath.links.has(sourceName)).toBe(true);
    expect(portsOf(rig)).toHaveLength(1);
  });
});

describe("a Join that fails", () => {
  it("takes its record back before its rules, since whoever applies all rules meanwhile goes by the records [F57]", async () => {
    const rig = await rigWith("created");
    const steps = rig.steps();
    rig.datapath.failWrite(1);

    await expect(rig.join(joinRequest())).rejects.toThrow("failed");

    expect(steps.slice(-2)).toEqual(["record created", "removeEndpoint"]);
  });
});

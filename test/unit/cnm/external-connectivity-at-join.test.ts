import { describe, expect, it } from "vitest";
import { endpointId, endpointRequest, joinRequest, networkRequest } from "../../support/cnm-builder.ts";
import { NOTHING_PUBLISHED, SHORT, ask, isHairpin, ofTheHost, program, refTo } from "../../support/cnm-publishing.ts";
import { CnmRig } from "../../support/cnm-rig.ts";

describe("a network with gateway=none, whose endpoints are never asked to publish", () => {
  const SANDBOX = "/var/run/docker/netns/a";
  const portMap = [ask(80, 8080)];

  /** Network 1 with gateway=none and network 2 with one; of each an endpoint of one container is created. */
  async function twoNetworks(options: Readonly<Record<string, string>> = {}): Promise<CnmRig> {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { gateway: "none", ...options }));
    await rig.createNetwork(networkRequest(2));
    await rig.createEndpoint(endpointRequest(1, 1, { portMap }));
    await rig.createEndpoint(endpointRequest(2, 2, { portMap }));
    return rig;
  }

  it("publishes at Join what came with CreateEndpoint, with the rules before the port, in one record", async () => {
    const rig = await twoNetworks();
    const [steps, commits] = [rig.steps(), rig.records.commitCount];

    await rig.join(joinRequest(1));

    const hold = ["hold", "record joined tcp *:8080>80", "ensureEndpoint", "attach", "ensureHairpin"];
    expect(steps).toEqual(hold);
    expect(rig.published(endpointId()).rules).toEqual(["tcp *:8080>80"]);
    expect(isHairpin(rig)).toBe(true);
    expect(rig.records.commitCount).toBe(commits + 1);
  });

  it("opens them in mode routed", async () => {
    const rig = await twoNetworks({ mode: "routed" });

    await rig.join(joinRequest(1));

    expect(rig.published(endpointId())).toMatchObject({ rules: ["tcp *:0>80"], held: [] });
  });

  it.each([
    ["with a gateway", networkRequest(1)],
    ["in mode l2", networkRequest(1, { mode: "l2", gateway: "none" })],
    ["in mode isolated", networkRequest(1, { mode: "isolated" })],
    ["with --internal", networkRequest(1, { gateway: "none" }, { isInternal: true })],
  ])("does so alone: a network %s publishes nothing at Join", async (_what, request) => {
    const rig = new CnmRig();
    await rig.createNetwork(request);
    await rig.createEndpoint(endpointRequest(1, 1, { portMap }));

    await rig.join(joinRequest(1));

    expect(rig.published(endpointId())).toEqual(NOTHING_PUBLISHED);
    expect(rig.registry.findEndpoint(endpointId())).not.toHaveProperty("bindings");
  });

  it("refuses a bad port map at CreateEndpoint, with all faults", async () => {
    const rig = await twoNetworks();
    const bad = [ask(80, 0, { protocol: 1 }), ask(0)];

    await expect(rig.createEndpoint(endpointRequest(3, 1, { portMap: bad }))).rejects.toMatchObject({
      code: "invalid",
      message: expect.stringMatching(/protocol 1.*container port 0/) as string,
    });
  });

  it("leaves the endpoint created, and no port, when one is taken", async () => {
    const rig = await twoNetworks();
    const before = rig.state();
    rig.ports.ofTheHost.push(ofTheHost(8080));

    await expect(rig.join(joinRequest(1))).rejects.toThrow(`ports of endpoint ${SHORT} cannot be published: `);

    expect(rig.state()).toEqual(before);
  });

  it("leaves no port when the link cannot be made", async () => {
    const rig = await twoNetworks();
    const before = rig.state();
    rig.datapath.failWrite(1);

    await expect(rig.join(joinRequest(1))).rejects.toThrow("cannot join");

    expect(rig.state()).toEqual(before);
  });

  it("publishes again when the endpoint leaves and joins again", async () => {
    const rig = await twoNetworks();
    await rig.join(joinRequest(1));
    await rig.cnm.leave(refTo(1));
    expect(rig.published(endpointId())).toEqual(NOTHING_PUBLISHED);

    await rig.join(joinRequest(1));

    expect(rig.published(endpointId()).held).toEqual(["tcp *:8080>80"]);
  });

  it("publishes nothing at Join when another endpoint in the sandbox does", async () => {
    const rig = await twoNetworks();
    await rig.join(joinRequest(2, 2, SANDBOX));
    await rig.publish(program(portMap, 2, 2));

    await rig.join(joinRequest(1, 1, SANDBOX));

    expect(rig.published(endpointId(1))).toEqual(NOTHING_PUBLISHED);
    expect(rig.published(endpointId(2)).held).toEqual(["tcp *:8080>80"]);
  });

  it("stands back when the engine names another endpoint in the sandbox", async () => {
    const rig = await twoNetworks();
    await rig.join(joinRequest(1, 1, SANDBOX));
    await rig.join(joinRequest(2, 2, SANDBOX));

    await rig.publish(program(portMap, 2, 2));

    expect(rig.published(endpointId(1))).toEqual(NOTHING_PUBLISHED);
    expect(rig.published(endpointId(2)).held).toEqual(["tcp *:8080>80"]);
  });

  it("stands back alone: an endpoint that the engine asked to publish for another family stays", async () => {
    const rig = await twoNetworks();
    await rig.createNetwork(networkRequest(3));
    await rig.createEndpoint(endpointRequest(3, 3));
    await rig.join(joinRequest(2, 2, SANDBOX));
    await rig.join(joinRequest(3, 3, SANDBOX));

    await rig.publish({ ...program(portMap, 2, 2), isHostIpv6Elsewhere: true });
    await rig.publish(program([ask(80, 8080, { hostAddress: "::" })], 3, 3));

    expect(rig.published(endpointId(2)).held).toEqual(["tcp 0.0.0.0:8080>80"]);
    expect(rig.published(endpointId(3)).held).toEqual(["tcp :::8080>80"]);
  });

  it("keeps its port from an endpoint that asks for it while the Join is under way", async () => {
    const rig = await twoNetworks();
    await rig.join(joinRequest(2, 2));
    const [arrived, looked, opened] = [0, 1, 2].map(() => Promise.withResolvers<void>());
    rig.datapath.onCall = async (call) => {
      if (call === "isNameTaken") looked?.resolve();
      if (call !== "attach") return;
      arrived?.resolve();
      await opened?.promise;
    };

    const joining = rig.join(joinRequest(1));
    await arrived?.promise;
    const refused = expect(rig.publish(program(portMap, 2, 2))).rejects.toMatchObject({ code: "conflict" });
    await looked?.promise;
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve)); // it waits for the Join now
    opened?.resolve();
    await Promise.all([joining, refused]);

    expect(rig.published(endpointId(1)).held).toEqual(["tcp *:8080>80"]);
  });

  it("does not stand back for an endpoint in another sandbox", async () => {
    const rig = await twoNetworks();
    await rig.join(joinRequest(1));
    await rig.join(joinRequest(2, 2));

    await expect(rig.publish(program(portMap, 2, 2))).rejects.toMatchObject({ code: "conflict" });

    expect(rig.published(endpointId(1)).held).toEqual(["tcp *:8080>80"]);
  });

  it("publishes on without a break when the other endpoint's port map is refused", async () => {
    const rig = await twoNetworks();
    await rig.join(joinRequest(1, 1, SANDBOX));
    await rig.join(joinRequest(2, 2, SANDBOX));
    const writes = rig.writeCount;

    await expect(rig.publish(program([ask(0)], 2, 2))).rejects.toMatchObject({ code: "invalid" });

    expect(rig.writeCount).toBe(writes);
  });

  it("publishes on when the other endpoint fails to", async () => {
    const rig = await twoNetworks();
    await rig.join(joinRequest(1, 1, SANDBOX));
    await rig.join(joinRequest(2, 2, SANDBOX));
    const before = rig.state();
    rig.ports.ofTheHost.push(ofTheHost(9090));

    await expect(rig.publish(program([...portMap, ask(90, 9090)], 2, 2))).rejects.toMatchObject({ code: "conflict" });

    expect(rig.state()).toEqual(before);
  });
});

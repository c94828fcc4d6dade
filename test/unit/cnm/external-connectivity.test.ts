import { describe, expect, it } from "vitest";
import type { NetworkMode } from "../../../src/cnm/network.ts";
import { endpointId, endpointRequest, joinRequest, networkRequest, pool4, pool6 } from "../../support/cnm-builder.ts";
import {
  NOTHING_PUBLISHED,
  PUBLISHED,
  SHORT,
  ask,
  isHairpin,
  joined,
  program,
  publishing,
  refTo,
} from "../../support/cnm-publishing.ts";
import { CnmRig } from "../../support/cnm-rig.ts";

describe("ProgramExternalConnectivity", () => {
  it("holds the ports, then records them, then makes the rules, then the hairpin", async () => {
    const rig = await joined();
    const steps = rig.steps();

    await rig.publish(program([ask(80, 8080)]));

    expect(steps).toEqual(["release", "hold", "record joined tcp *:8080>80", "ensureEndpoint", "ensureHairpin"]);
    expect(isHairpin(rig)).toBe(true);
  });

  it("leaves hairpin=true alone when nothing is published any more, or when publishing fails", async () => {
    const rig = await joined(networkRequest(1, { hairpin: "true" }));
    await rig.publish(program([ask(80, 8080)]));
    rig.firewall.fail("ensureEndpoint");
    await expect(rig.publish(program([ask(80, 8081)]))).rejects.toThrow();
    expect(isHairpin(rig)).toBe(true);

    await rig.cnm.revokeExternalConnectivity(refTo());

    expect(isHairpin(rig)).toBe(true);
  });

  it("publishes chosen numbers as well as given ones", async () => {
    const rig = await publishing();

    expect(rig.published(endpointId())).toEqual(PUBLISHED);
  });

  it("tells the relay the bare addresses of the endpoint", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, {}, { pools: [pool4(), pool6()] }));
    await rig.createEndpoint(endpointRequest(1, 1, { addressIpv6: "fd00:1:1::2/64" }));
    await rig.join(joinRequest());

    await rig.publish(program([ask(80, 8080)]));

    expect(rig.ports.targets.get(endpointId())).toEqual({ address: "10.1.1.2", addressIpv6: "fd00:1:1::2" });
  });

  it("publishes on the address of host-binding what has no address", async () => {
    const rig = await joined(networkRequest(1, { "host-binding": "192.0.2.1" }));

    await rig.publish(program([ask(80, 8080), ask(81, 8081, { hostAddress: "127.0.0.1" })]));

    expect(rig.published(endpointId()).rules).toEqual(["tcp 127.0.0.1:8081>81", "tcp 192.0.2.1:8080>80"]);
  });

  it("leaves the host's IPv6 to another endpoint when the engine says so", async () => {
    const rig = await joined();

    await rig.publish({
      ...program([ask(80, 8080), ask(81, 8081, { hostAddress: "::1" })]),
      isHostIpv6Elsewhere: true,
    });

    expect(rig.published(endpointId()).held).toEqual(["tcp 0.0.0.0:8080>80"]);
  });

  it("withdraws what was published when nothing is left for this endpoint", async () => {
    const rig = await joined();
    const before = rig.state();
    await rig.publish(program([ask(80, 8080)]));
    const portMap = [ask(80, 8080, { hostAddress: "::" })];

    await rig.publish({ ...program(portMap), isHostIpv6Elsewhere: true });

    expect(rig.state()).toEqual(before);
  });

  it("writes one record", async () => {
    const rig = await joined();
    const commits = rig.records.commitCount;

    await rig.publish(program([ask(80, 8080)]));

    expect(rig.records.commitCount).toBe(commits + 1);
  });

  it("succeeds without ports, also for an endpoint that tsnet does not know", async () => {
    const rig = await joined();
    const writes = rig.writeCount;

    await rig.publish(program([]));
    await rig.publish(program([], 9, 9));

    expect(rig.writeCount).toBe(writes);
  });

  it("is ignored for --internal, where nothing is forwarded", async () => {
    const rig = await joined(networkRequest(1, {}, { isInternal: true }));
    const writes = rig.writeCount;

    await rig.publish(program([ask(80, 8080)]));

    expect(rig.writeCount).toBe(writes);
  });

  it.each<[NetworkMode, string]>([
    ["l2", "mode l2 has no address of the host to publish them on, its endpoints are reached at their own"],
    ["isolated", "nothing gets into a network of mode isolated"],
  ])("is refused in mode %s with the reason and what is permitted", async (mode, why) => {
    const rig = await joined(networkRequest(1, { mode }));
    const before = rig.state();
    const hint = "they are published in the modes nat and routed; run it without -p and -P";

    await expect(rig.publish(program([ask(80)]))).rejects.toMatchObject({
      code: "unsupported",
      message: `ports of endpoint ${SHORT} cannot be published: ${why}; ${hint}`,
    });

    expect(rig.state()).toEqual(before);
  });

  it("reports every fault of the port map in one message, and nothing is published", async () => {
    const rig = await joined();
    const before = rig.state();

    await expect(rig.publish(program([ask(80, 0, { protocol: 1 }), ask(0, 8080)]))).rejects.toMatchObject({
      code: "invalid",
      message: expect.stringMatching(
        /^ports of endpoint \w+ cannot be published: .*protocol 1.*; container port 0/,
      ) as string,
    });

    expect(rig.state()).toEqual(before);
  });

  it.each([
    ["a network that tsnet does not know", program([ask(80)], 1, 9), "not-found"],
    ["an endpoint that tsnet does not know", program([ask(80)], 9, 1), "not-found"],
    ["an endpoint that has not joined", program([ask(80)], 2, 1), "conflict"],
  ])("is refused for %s", async (_what, request, code) => {
    const rig = await joined();
    await rig.createEndpoint(endpointRequest(2));
    const before = rig.state();

    await expect(rig.publish(request)).rejects.toMatchObject({ code });

    expect(rig.state()).toEqual(before);
  });
});

describe("mode routed", () => {
  it("opens ports by rules alone: nothing is held on the host", async () => {
    const rig = await joined(networkRequest(1, { mode: "routed" }));
    const steps = rig.steps();

    await rig.publish(program([ask(80, 8080), ask(80, 8081), ask(53, 0, { protocol: 17 })]));

    const words = ["tcp *:0>80", "udp *:0>53"];
    expect(rig.published(endpointId())).toEqual({ rules: words, held: [], record: words });
    expect(steps).not.toContain("hold");
    expect(steps).not.toContain("ensureHairpin");
  });

  it("lets two endpoints open the same port", async () => {
    const rig = await joined(networkRequest(1, { mode: "routed" }));
    await rig.createEndpoint(endpointRequest(2));
    await rig.join(joinRequest(2));

    await rig.publish(program([ask(80, 8080)], 1));
    await rig.publish(program([ask(80, 8080)], 2));

    expect(rig.published(endpointId(2)).rules).toEqual(["tcp *:0>80"]);
  });

  it("closes them again", async () => {
    const rig = await joined(networkRequest(1, { mode: "routed" }));
    const before = rig.state();
    await rig.publish(program([ask(80, 8080)]));

    await rig.cnm.revokeExternalConnectivity(refTo());

    expect(rig.state()).toEqual(before);
  });
});

describe("ProgramExternalConnectivity that is repeated", () => {
  it("changes nothing for the same bindings in another order, and chosen numbers stay", async () => {
    const rig = await publishing();
    const writes = rig.writeCount;

    await rig.publish(program([ask(53, 0, { protocol: 17 }), ask(80, 8080)]));

    expect(rig.published(endpointId())).toEqual(PUBLISHED);
    expect(rig.writeCount).toBe(writes);
  });

  it("changes nothing after a restart either", async () => {
    const rig = new CnmRig(await publishing());
    await rig.reconciler.recover(false);

    await rig.publish(program([ask(80, 8080), ask(53, 0, { protocol: 17 })]));

    expect(rig.published(endpointId())).toEqual(PUBLISHED);
    expect(rig.records.commitCount).toBe(0);
  });

  it("replaces what was published by other bindings", async () => {
    const rig = await publishing();
    const steps = rig.steps();

    await rig.publish(program([ask(80, 8080), ask(90, 9090)]));

    const words = ["tcp *:8080>80", "tcp *:9090>90"];
    expect(rig.published(endpointId())).toEqual({ rules: words, held: words, record: words });
    expect(steps).toEqual(["release", "hold", `record joined ${words.join()}`, "ensureEndpoint", "ensureHairpin"]);
  });

  it("withdraws everything when it comes without ports", async () => {
    const rig = await publishing();

    await rig.publish(program([]));

    expect(rig.published(endpointId())).toEqual(NOTHING_PUBLISHED);
  });

  it("makes one of a hundred calls at the same time", async () => {
    const rig = await joined();

    await Promise.all(Array.from({ length: 100 }, () => rig.publish(program([ask(80)]))));

    expect(rig.published(endpointId()).held).toEqual(["tcp *:49153>80"]);
    expect(rig.ports.calls.filter((call) => call === "hold")).toHaveLength(1);
  });
});

describe("what is asked of tsnet about an endpoint", () => {
  it("has what is really published", async () => {
    const rig = await publishing();

    expect(rig.cnm.describeEndpoint(refTo())?.ports).toEqual([
      { protocol: "tcp", hostAddress: "", hostPort: 8080, containerPort: 80 },
      { protocol: "udp", hostAddress: "", hostPort: 49_153, containerPort: 53 },
    ]);
    expect(rig.cnm.describe().networks[0]?.endpoints[0]?.ports).toHaveLength(2);
  });

  it("has nothing of one that is not known", async () => {
    expect((await joined()).cnm.describeEndpoint(refTo(9))).toBeUndefined();
  });
});

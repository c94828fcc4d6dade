import { describe, expect, it } from "vitest";
import { endpointId, endpointRequest, joinRequest, networkId } from "../../support/cnm-builder.ts";
import {
  NOTHING_PUBLISHED,
  PUBLISHED,
  SHORT,
  WORDS,
  ask,
  isHairpin,
  joined,
  program,
  publishing,
  refTo,
} from "../../support/cnm-publishing.ts";
import { CnmRig } from "../../support/cnm-rig.ts";

describe("RevokeExternalConnectivity", () => {
  it("begins with the record, then takes the rules, the sockets and the hairpin", async () => {
    const rig = await publishing();
    const steps = rig.steps();

    await rig.cnm.revokeExternalConnectivity(refTo());

    expect(steps).toEqual(["record joined", "ensureEndpoint", "release", "ensureHairpin"]);
    expect(rig.published(endpointId())).toEqual(NOTHING_PUBLISHED);
    expect(isHairpin(rig)).toBe(false);
  });

  it("leaves the endpoint as it was before its ports were published", async () => {
    const rig = await joined();
    const before = rig.state();
    await rig.publish(program([ask(80, 8080)]));

    await rig.cnm.revokeExternalConnectivity(refTo());

    expect(rig.state()).toEqual(before);
  });

  it("changes nothing for what publishes nothing, has not joined, or is not known", async () => {
    const rig = await joined();
    await rig.createEndpoint(endpointRequest(2));
    const writes = rig.writeCount;

    for (const ref of [refTo(1), refTo(2), refTo(9, 9)]) await rig.cnm.revokeExternalConnectivity(ref);

    expect(rig.writeCount).toBe(writes);
  });

  it.each<[string, (rig: CnmRig) => void]>([
    ["its record cannot be written", (rig) => rig.records.failCommit(1)],
    ["the rules cannot be taken away", (rig) => rig.firewall.fail("ensureEndpoint")],
    ["the rules fail after they were taken away", (rig) => rig.firewall.fail("ensureEndpoint", 1, "after")],
  ])("leaves the ports published when %s, and can be repeated", async (_what, failAt) => {
    const rig = await publishing();
    const before = rig.state();
    failAt(rig);

    await expect(rig.cnm.revokeExternalConnectivity(refTo())).rejects.toThrow(
      `ports of endpoint ${SHORT} cannot be withdrawn: `,
    );
    expect(rig.state()).toEqual(before);
    await rig.cnm.revokeExternalConnectivity(refTo());

    expect(rig.published(endpointId())).toEqual(NOTHING_PUBLISHED);
  });

  it("frees the ports for another endpoint", async () => {
    const rig = await publishing();
    await rig.createEndpoint(endpointRequest(2));
    await rig.join(joinRequest(2));

    await rig.cnm.revokeExternalConnectivity(refTo(1));
    await rig.publish(program([ask(80, 8080)], 2));

    expect(rig.published(endpointId(2)).rules).toEqual(["tcp *:8080>80"]);
  });

  it("lets the same endpoint publish again", async () => {
    const rig = await publishing();
    await rig.cnm.revokeExternalConnectivity(refTo());

    await rig.publish(program([ask(80, 8080), ask(53, 0, { protocol: 17 })]));

    expect(rig.published(endpointId())).toEqual(PUBLISHED);
  });

  it("that crashed is finished by recovery", async () => {
    const before = await publishing();
    const crashed = new Promise<void>((resolve) => {
      before.firewall.onCall = () => {
        resolve();
        return new Promise<void>(() => {});
      };
    });
    void before.cnm.revokeExternalConnectivity(refTo());
    await crashed;
    before.firewall.onCall = () => {};

    const rig = new CnmRig(before);
    await rig.reconciler.recover(false);

    expect(rig.published(endpointId())).toEqual(NOTHING_PUBLISHED);
    expect(isHairpin(rig)).toBe(false);
  });
});

describe("the end of an endpoint that publishes", () => {
  it("withdraws its ports at Leave when no Revoke came, with one record", async () => {
    const rig = await publishing();
    const [steps, commits] = [rig.steps(), rig.records.commitCount];

    await rig.cnm.leave(refTo());

    expect(steps).toEqual(["record created", "removeEndpoint", "release", "detach"]);
    expect(rig.published(endpointId())).toEqual(NOTHING_PUBLISHED);
    expect(rig.records.commitCount).toBe(commits + 1);
  });

  it("withdraws its ports at DeleteEndpoint when no Leave came, and takes the link after that [F40]", async () => {
    const rig = await publishing();
    const steps = rig.steps();

    await rig.cnm.deleteEndpoint(refTo());

    expect(steps).toEqual([
      `record removing ${WORDS.join()}`,
      "ensureEndpoint",
      "release",
      "detach",
      "removeEndpoint",
      "record gone",
    ]);
    expect(rig.ports.held.size + rig.firewall.elements.size).toBe(0);
  });

  it.each(["ensureEndpoint", "removeEndpoint"] as const)(
    "goes on when %s fails, and is finished later",
    async (call) => {
      const rig = await publishing();
      rig.firewall.fail(call);

      await expect(rig.cnm.deleteEndpoint(refTo())).rejects.toMatchObject({ code: "host" });
      expect(rig.ports.held.size).toBe(0);
      expect(rig.datapath.links.has(`tsv${SHORT}`)).toBe(false);
      await rig.reconciler.run(new Set(["links"]));

      expect(rig.registry.endpoints()).toEqual([]);
      expect(rig.firewall.elements.size).toBe(0);
    },
  );

  it("goes on when the ports cannot be released, and is finished later", async () => {
    const rig = await publishing();
    rig.ports.fail("release");

    await expect(rig.cnm.deleteEndpoint(refTo())).rejects.toMatchObject({ code: "host" });
    await rig.reconciler.run(new Set());

    expect(rig.registry.endpoints()).toEqual([]);
    expect(rig.ports.held.size).toBe(0);
  });

  it("goes with its network", async () => {
    const rig = await publishing();
    await rig.cnm.leave(refTo());

    await rig.cnm.deleteNetwork(networkId());

    expect(rig.ports.held.size + rig.firewall.elements.size + rig.registry.endpoints().length).toBe(0);
  });
});

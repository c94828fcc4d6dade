import { describe, expect, it } from "vitest";
import { endpointId, endpointRequest, joinRequest } from "../../support/cnm-builder.ts";
import {
  NOTHING_PUBLISHED,
  PUBLISHED,
  SHORT,
  ask,
  isHairpin,
  joined,
  ofTheHost,
  program,
  publishing,
} from "../../support/cnm-publishing.ts";
import { CnmRig } from "../../support/cnm-rig.ts";

/** Every step of publishing that can fail, and how to make it fail. */
const FAILURES: Readonly<Record<string, (rig: CnmRig) => void>> = {
  "a port is taken": (rig) => void rig.ports.ofTheHost.push(ofTheHost(9090)),
  "the ports cannot be held": (rig) => rig.ports.fail("hold"),
  "the record cannot be written": (rig) => rig.records.failCommit(1),
  "the rules cannot be made": (rig) => rig.firewall.fail("ensureEndpoint"),
  "the rules fail after they were made": (rig) => rig.firewall.fail("ensureEndpoint", 1, "after"),
};

describe("publishing that fails", () => {
  it.each([...Object.entries(FAILURES), ["the hairpin fails", (rig: CnmRig) => rig.datapath.failWrite(1)] as const])(
    "leaves nothing published when %s, and the other ports of the endpoint neither",
    async (_what, failAt) => {
      const rig = await joined();
      const before = rig.state();
      failAt(rig);

      await expect(rig.publish(program([ask(80, 8080), ask(90, 9090)]))).rejects.toThrow(
        `ports of endpoint ${SHORT} cannot be published: `,
      );

      expect(rig.state()).toEqual(before);
      expect(rig.registry.findEndpoint(endpointId())).not.toHaveProperty("ports");
    },
  );

  it.each(Object.entries(FAILURES))("leaves what was published before when %s", async (_what, failAt) => {
    const rig = await publishing();
    const before = rig.state();
    failAt(rig);

    await expect(rig.publish(program([ask(90, 9090)]))).rejects.toThrow("cannot be published");

    expect(rig.state()).toEqual(before);
    expect(rig.published(endpointId())).toEqual(PUBLISHED);
  });

  it("leaves nothing when its time is over", async () => {
    const rig = await joined();
    const before = rig.state();
    const controller = new AbortController();
    rig.datapath.onCall = (call) => void (call === "ensureHairpin" && controller.abort(new Error("out of time")));

    await expect(rig.publish(program([ask(80, 8080)]), controller.signal)).rejects.toThrow("out of time");

    expect(rig.state()).toEqual(before);
  });

  it("says of a port that another endpoint has that it is taken; that one keeps it", async () => {
    const rig = await publishing();
    await rig.createEndpoint(endpointRequest(2));
    await rig.join(joinRequest(2));

    await expect(rig.publish(program([ask(70, 7070), ask(80, 8080)], 2))).rejects.toMatchObject({ code: "conflict" });

    expect(rig.published(endpointId(1))).toEqual(PUBLISHED);
    expect(rig.published(endpointId(2))).toEqual(NOTHING_PUBLISHED);
  });

  it("refuses a port that the rules lead to another endpoint which could not hold it after a restart", async () => {
    const rig = new CnmRig(await publishing());
    await rig.createEndpoint(endpointRequest(2));
    await rig.join(joinRequest(2));

    await expect(rig.publish(program([ask(80, 8080)], 2))).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining(`tcp port 8080 of all addresses is published by endpoint ${SHORT}`) as string,
    });

    expect(rig.published(endpointId(2))).toEqual(NOTHING_PUBLISHED);
  });

  it("takes a port from an endpoint whose port is gone: the engine never told its end", async () => {
    const rig = await publishing();
    rig.datapath.links.delete(`tsv${SHORT}`);
    await rig.createEndpoint(endpointRequest(2));
    await rig.join(joinRequest(2));

    await rig.publish(program([ask(80, 8080)], 2));

    expect(rig.registry.findEndpoint(endpointId(1))).toBeUndefined();
    expect(rig.published(endpointId(2)).held).toEqual(["tcp *:8080>80"]);
  });
});

describe("a crash while ports are published", () => {
  it.each([
    ["hold", []],
    ["ensureEndpoint", ["tcp *:8080>80"]],
    ["ensureHairpin", ["tcp *:8080>80"]],
  ])("at %s leaves a record that says what recovery has to do", async (at, recorded) => {
    const before = await joined();
    const never = new Promise<void>(() => {});
    const crashed = new Promise<void>((resolve) => {
      for (const part of [before.ports, before.firewall, before.datapath]) {
        part.onCall = (call) => {
          if (call !== at) return;
          resolve();
          return never;
        };
      }
    });
    void before.publish(program([ask(80, 8080)]));
    await crashed;
    before.datapath.onCall = before.firewall.onCall = () => {};

    const rig = new CnmRig(before);
    expect(rig.published(endpointId()).record).toEqual(recorded);
    await rig.reconciler.recover(false);

    expect(rig.published(endpointId())).toEqual({ rules: recorded, held: recorded, record: recorded });
    expect(isHairpin(rig) ?? false).toBe(recorded.length > 0);
  });
});

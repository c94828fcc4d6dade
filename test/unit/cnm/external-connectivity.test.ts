import { describe, expect, it } from "vitest";
import type { NetworkMode } from "../../../src/cnm/network.ts";
import type { PublishedPort } from "../../../src/cnm/ports.ts";
import type { CreateNetwork, ProgramExternalConnectivity, RequestedBinding } from "../../../src/cnm/requests.ts";
import {
  endpointId,
  endpointRequest,
  joinRequest,
  networkId,
  networkRequest,
  pool4,
  pool6,
} from "../../support/cnm-builder.ts";
import { CnmRig } from "../../support/cnm-rig.ts";

const SHORT = endpointId().slice(0, 12);
const NOTHING_PUBLISHED = { rules: [], held: [], record: [] };

/** One entry of a port map; without `hostPort` an ephemeral one. */
function ask(containerPort: number, hostPort = 0, more: Partial<RequestedBinding> = {}): RequestedBinding {
  return { protocol: 6, containerPort, hostAddress: "", hostPort, hostPortEnd: hostPort, ...more };
}

function refTo(n = 1, on = 1) {
  return { networkId: networkId(on), endpointId: endpointId(n) };
}

/** A request to publish for the n-th endpoint. */
function program(portMap: readonly RequestedBinding[], n = 1, on = 1): ProgramExternalConnectivity {
  return { ...refTo(n, on), portMap };
}

/** A rig with a network and its first endpoint, joined. */
async function joined(request: CreateNetwork = networkRequest()): Promise<CnmRig> {
  const rig = new CnmRig();
  await rig.createNetwork(request);
  await rig.createEndpoint(endpointRequest());
  await rig.join(joinRequest());
  return rig;
}

/** The same with `tcp *:8080>80` and an ephemeral port, which is 49153, for 53/udp published. */
async function publishing(): Promise<CnmRig> {
  const rig = await joined();
  await rig.publish(program([ask(80, 8080), ask(53, 0, { protocol: 17 })]));
  return rig;
}

const WORDS = ["tcp *:8080>80", "udp *:49153>53"];
const PUBLISHED = { rules: WORDS, held: WORDS, record: WORDS };

function ofTheHost(hostPort: number): PublishedPort {
  return { protocol: "tcp", hostAddress: "", hostPort, containerPort: 0 };
}

function isHairpin(rig: CnmRig, n = 1): boolean | undefined {
  return rig.datapath.links.get(`tsv${endpointId(n).slice(0, 12)}`)?.isHairpin;
}

describe("ProgramExternalConnectivity", () => {
  it("holds the ports, then records them, then makes the rules, then the hairpin", async () => {
    const rig = await joined();
    const steps = rig.steps();

    await rig.publish(program([ask(80, 8080)]));

    expect(steps).toEqual(["release", "hold", "record joined tcp *:8080>80", "ensureEndpoint", "ensureHairpin"]);
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

    expect(steps).toEqual(["record created", "removeEndpoint", "release"]);
    expect(rig.published(endpointId())).toEqual(NOTHING_PUBLISHED);
    expect(rig.records.commitCount).toBe(commits + 1);
  });

  it("withdraws its ports at DeleteEndpoint when no Leave came, and takes the link after that", async () => {
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

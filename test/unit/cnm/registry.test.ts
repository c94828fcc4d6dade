import { describe, expect, it } from "vitest";
import { Registry, short } from "../../../src/cnm/registry.ts";
import { endpoint, endpointId, ifName, network, networkId } from "../../support/cnm-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

function fresh(): { records: MemoryStore; registry: Registry } {
  const records = new MemoryStore();
  return { records, registry: new Registry(records) };
}

function reloaded(records: MemoryStore): Registry {
  const registry = new Registry(records.reopened());
  registry.load();
  return registry;
}

describe("what was put", () => {
  it("is there again after a restart", async () => {
    const { records, registry } = fresh();
    await registry.putNetwork(network(), "ready");
    await registry.putEndpoint({ endpoint: endpoint(), state: "joined", sandboxKey: "/key" });

    const after = reloaded(records);

    expect(after.networks()).toEqual(registry.networks());
    expect(after.endpoints()).toEqual(registry.endpoints());
  });

  it("is gone after its removal and a restart", async () => {
    const { records, registry } = fresh();
    await registry.putNetwork(network(), "ready");
    await registry.removeNetwork(networkId());

    expect(registry.networks()).toEqual([]);
    expect(reloaded(records).networks()).toEqual([]);
  });

  it("is known at once and forgotten when it cannot be written", async () => {
    const { records, registry } = fresh();
    records.failCommit(1);

    const put = registry.putNetwork(network(), "creating");

    expect(registry.findNetwork(networkId())?.state).toBe("creating");
    await expect(put).rejects.toThrow("disk full");
    expect(registry.findNetwork(networkId())).toBeUndefined();
  });

  it("leaves what was known before when it cannot be written", async () => {
    const { records, registry } = fresh();
    await registry.putEndpoint({ endpoint: endpoint(), state: "created" });
    records.failCommit(1);

    await expect(registry.putEndpoint({ endpoint: endpoint(), state: "joined", sandboxKey: "/k" })).rejects.toThrow();

    expect(registry.findEndpoint(endpointId())).toEqual({ endpoint: endpoint(), state: "created" });
  });

  it("stays marked for removal even when that cannot be written", async () => {
    const { records, registry } = fresh();
    await registry.putNetwork(network(), "ready");
    records.failCommit(1);

    await expect(registry.putNetwork(network(), "removing")).rejects.toThrow();

    expect(registry.findNetwork(networkId())?.state).toBe("removing");
  });

  it("is still known when its removal cannot be written", async () => {
    const { records, registry } = fresh();
    await registry.putNetwork(network(), "removing");
    records.failCommit(1);

    await expect(registry.removeNetwork(networkId())).rejects.toThrow();

    expect(registry.networks()).toHaveLength(1);
  });
});

describe("requireNetwork", () => {
  it("tells what to do about a network without a record [F45]", () => {
    expect(() => fresh().registry.requireNetwork(networkId())).toThrow(
      `network ${short(networkId())}: tsnet has no record of it; remove and recreate the network`,
    );
  });

  it.each(["creating", "removing"] as const)("refuses a network that is %s", async (state) => {
    const { registry } = fresh();
    await registry.putNetwork(network(), state);

    expect(() => registry.requireNetwork(networkId())).toThrow(expect.objectContaining({ code: "not-found" }));
  });
});

describe("requireEndpoint", () => {
  it("finds an endpoint of that network", async () => {
    const { registry } = fresh();
    await registry.putEndpoint({ endpoint: endpoint(), state: "created" });

    expect(registry.requireEndpoint(endpoint())).toEqual({ endpoint: endpoint(), state: "created" });
  });

  it.each([
    ["that is not there", endpoint(2)],
    ["of another network", { ...endpoint(1), networkId: networkId(2) }],
    ["that is being removed", endpoint(3)],
  ])("refuses one %s", async (_what, ref) => {
    const { registry } = fresh();
    await registry.putEndpoint({ endpoint: endpoint(1), state: "created" });
    await registry.putEndpoint({ endpoint: endpoint(3), state: "removing" });

    expect(() => registry.requireEndpoint(ref)).toThrow(
      `network ${short(ref.networkId)} has no endpoint ${short(ref.endpointId)}`,
    );
  });
});

describe("what the rules are for", () => {
  const port = { protocol: "tcp", hostAddress: "", hostPort: 8080, containerPort: 80 } as const;

  it("are live networks and their joined endpoints with their ports", async () => {
    const { registry } = fresh();
    await registry.putNetwork(network(1), "ready");
    await registry.putEndpoint({ endpoint: endpoint(1), state: "joined", sandboxKey: "/k", ports: [port] });
    await registry.putEndpoint({ endpoint: endpoint(2), state: "joined", sandboxKey: "/l" });

    expect(registry.firewallState()).toEqual({
      networks: [network(1)],
      endpoints: [
        { network: network(1), endpoint: endpoint(1), ports: [port] },
        { network: network(1), endpoint: endpoint(2), ports: [] },
      ],
    });
  });

  it("are no endpoints that have not joined or are being removed, nor networks that are being removed", async () => {
    const { registry } = fresh();
    await registry.putNetwork(network(1), "ready");
    await registry.putNetwork(network(2), "removing");
    await registry.putEndpoint({ endpoint: endpoint(1, 1), state: "created" });
    await registry.putEndpoint({ endpoint: endpoint(2, 1), state: "removing", sandboxKey: "/k", ports: [port] });
    await registry.putEndpoint({ endpoint: endpoint(3, 2), state: "created" });
    await registry.putEndpoint({ endpoint: endpoint(4, 9), state: "joined", sandboxKey: "/m" });

    expect(registry.firewallState()).toEqual({ networks: [network(1)], endpoints: [] });
  });

  it("are those of a network that is being removed while endpoints are joined to it", async () => {
    const { registry } = fresh();
    await registry.putNetwork(network(1), "removing");
    await registry.putEndpoint({ endpoint: endpoint(1, 1), state: "joined", sandboxKey: "/k" });

    expect(registry.firewallState()).toMatchObject({ networks: [{ id: networkId(1) }], endpoints: [{ ports: [] }] });
  });
});

describe("what is listed", () => {
  it("is live unless it is being removed", async () => {
    const { registry } = fresh();
    for (const [n, state] of [
      [1, "creating"],
      [2, "ready"],
      [3, "removing"],
    ] as const) {
      await registry.putNetwork(network(n), state);
    }

    expect(registry.live().map(({ id }) => id)).toEqual([networkId(1), networkId(2)]);
  });

  it("is on a switch in every state", async () => {
    const { registry } = fresh();
    const switchName = ifName("br0");
    await registry.putNetwork(network(1, { switchName }), "removing");
    await registry.putNetwork(network(2, { switchName }), "creating");
    await registry.putNetwork(network(3), "ready");

    expect(registry.networksOn(switchName)).toHaveLength(2);
  });
});

describe("a record of before there were VLANs, uplinks and other backends", () => {
  const NEW_KEYS = ["requested", "datapathType", "hostLink", "untaggedLink", "vlans", "isVlanShared", "switchSettings"];
  const without = (body: object, keys: readonly string[]) =>
    Object.fromEntries(Object.entries(body).filter(([key]) => !keys.includes(key)));

  async function loaded(old: object): Promise<Registry> {
    const records = new MemoryStore();
    await records.commit([{ op: "put", kind: "network", id: networkId(), body: { network: old, state: "ready" } }]);
    const joined = { endpoint: without(endpoint(), ["vlans"]), state: "joined", sandboxKey: "/k" };
    await records.commit([{ op: "put", kind: "endpoint", id: endpointId(), body: joined }]);
    return reloaded(records);
  }

  it("of a network is that of one without them, whose host is on the bridge itself", async () => {
    const registry = await loaded(without(network(), NEW_KEYS));

    expect(registry.requireNetwork(networkId())).toEqual(network());
  });

  it("of an endpoint is that of one that sends untagged frames", async () => {
    const registry = await loaded(without(network(), NEW_KEYS));

    expect(registry.requireEndpoint(endpoint()).endpoint).toEqual(endpoint());
  });

  it("says of switch and MTU that they were asked for, unless tsnet chooses them so itself", async () => {
    const old = network(1, { switchName: ifName("br0"), mtu: 1400 });
    const registry = await loaded(without(old, NEW_KEYS));

    expect(registry.requireNetwork(networkId())).toEqual({ ...old, requested: { bridge: "br0", mtu: 1400 } });
  });
});

describe("a record that cannot be read", () => {
  it.each([
    ["network", []],
    ["endpoint", { state: "created" }],
  ] as const)("because a %s makes no sense is named, and stops nothing", async (kind, body) => {
    const { records, registry } = fresh();
    await records.commit([{ op: "put", kind, id: "abcdefabcdefabcdef", body }]);

    registry.load();

    expect(registry.damage.lines()).toEqual([
      expect.stringContaining(`the record of ${kind} abcdefabcdef is damaged: `),
    ]);
  });
});

describe("a mark for removal that could not be written", () => {
  it("is written when it is put once more", async () => {
    const { records, registry } = fresh();
    await registry.putNetwork(network(), "ready");
    records.failCommit(1);
    await expect(registry.putNetwork(network(), "removing")).rejects.toThrow("disk full");

    await registry.putNetwork(network(), "removing");

    expect(reloaded(records).findNetwork(networkId())?.state).toBe("removing");
  });
});

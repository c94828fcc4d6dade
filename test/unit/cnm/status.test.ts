import { describe, expect, it } from "vitest";
import { Registry } from "../../../src/cnm/registry.ts";
import { statusOf, statusOfEndpoint } from "../../../src/cnm/status.ts";
import { dualStack, endpoint, endpointId, ifName, network, networkId } from "../../support/cnm-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const PORT = { protocol: "tcp", hostAddress: "", hostPort: 8080, containerPort: 80 } as const;
const BINDING = { ...PORT, hostPortEnd: 8080 };

/** Three networks with one, two and no endpoints, of which one publishes a port. */
async function registryOfThree(): Promise<Registry> {
  const registry = new Registry(new MemoryStore());
  await registry.putNetwork(network(1), "ready");
  await registry.putNetwork(dualStack(2, { hostBinding: "192.0.2.1", isIccAllowed: false }), "ready");
  await registry.putNetwork(network(3, { mode: "l2", isGuarded: false }), "removing");
  const published = { sandboxKey: "/secret", bindings: [BINDING], ports: [PORT] };
  await registry.putEndpoint({ endpoint: endpoint(1, 1), state: "joined", ...published });
  await registry.putEndpoint({ endpoint: endpoint(2, 2, { addressIpv6: "fd00:1:2::3/64" }), state: "created" });
  await registry.putEndpoint({ endpoint: endpoint(3, 2), state: "removing" });
  return registry;
}

describe("the status", () => {
  it("has networks, their endpoints, and what they publish", async () => {
    const status = statusOf(await registryOfThree());

    expect(status.isComplete).toBe(true);
    expect(status.networks).toEqual([
      {
        id: networkId(1),
        state: "ready",
        mode: "nat",
        isInternal: false,
        backend: "bridge",
        switch: network(1).switchName,
        mtu: 1500,
        ifPrefix: "eth",
        subnets: ["10.1.1.0/24"],
        icc: true,
        antispoof: true,
        endpoints: [
          {
            id: endpointId(1),
            state: "joined",
            addresses: ["10.1.1.2/24"],
            mac: endpoint(1, 1).mac,
            mtu: 1500,
            hostLink: endpoint(1, 1).hostIfName,
            ports: [PORT],
          },
        ],
      },
      expect.objectContaining({
        subnets: ["10.1.2.0/24", "fd00:1:2::/64"],
        icc: false,
        hostBinding: "192.0.2.1",
        endpoints: [
          expect.objectContaining({ state: "created", addresses: ["10.1.2.3/24", "fd00:1:2::3/64"], ports: [] }),
          expect.objectContaining({ state: "removing" }),
        ],
      }),
      expect.objectContaining({ state: "removing", mode: "l2", antispoof: false, endpoints: [] }),
    ]);
  });

  it("tells VLANs of networks and of endpoints, and the uplink", async () => {
    const registry = new Registry(new MemoryStore());
    const uplink = { parent: ifName("eth1"), isAddressMoved: false };
    const vlans = { vlan: 10, trunk: [20, 30] };
    await registry.putNetwork(network(1, { backend: "ovs", mode: "l2", vlans, uplink }), "ready");
    await registry.putEndpoint({ endpoint: endpoint(1, 1, { vlans: { vlan: 20 } }), state: "created" });

    const [seen] = statusOf(registry).networks;

    expect(seen).toMatchObject({ backend: "ovs", vlan: 10, trunk: [20, 30], parent: "eth1" });
    expect(seen?.endpoints[0]).toMatchObject({ vlan: 20 });
    expect(seen?.endpoints[0]).not.toHaveProperty("trunk");
  });

  it("tells nothing of sandboxes and of what was only asked for", async () => {
    const text = JSON.stringify(statusOf(await registryOfThree()));

    expect(text).not.toContain("secret");
    expect(text).not.toContain("bindings");
    expect(text).not.toContain("hostPortEnd");
  });

  it.each([
    [0, 0, 0],
    [1, 1, 0],
    [3, 1, 1], // a network, an endpoint, its port
    [5, 2, 2],
  ])(
    "of at most %i entries has %i networks and %i endpoints, and says that it is cut",
    async (most, networks, endpoints) => {
      const status = statusOf(await registryOfThree(), most);

      expect(status.isComplete).toBe(false);
      expect(status.networks).toHaveLength(networks);
      expect(status.networks.flatMap((one) => one.endpoints)).toHaveLength(endpoints);
    },
  );

  it("of exactly as many entries as there are is complete", async () => {
    expect(statusOf(await registryOfThree(), 7).isComplete).toBe(true);
  });
});

describe("the status of one endpoint", () => {
  it("has its addresses, IPv4 first, and no ports when it publishes none", () => {
    const known = endpoint(1, 1, { addressIpv6: "fd00:1:1::2/64" });

    expect(statusOfEndpoint({ endpoint: known, state: "created" })).toMatchObject({
      addresses: ["10.1.1.2/24", "fd00:1:1::2/64"],
      ports: [],
    });
  });
});

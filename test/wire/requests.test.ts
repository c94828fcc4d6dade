import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { serverOn } from "./conversation.ts";
import { ENDPOINT_ID, NETWORK_ID, SWARM_NETWORK_ID, sampleOf } from "./samples.ts";

const drivers = fakeDrivers();
const server = serverOn(drivers);
const ids = { networkId: NETWORK_ID, endpointId: ENDPOINT_ID };
const TCP_8080 = { protocol: 6, containerPort: 80, hostAddress: "127.0.0.1", hostPort: 8080, hostPortEnd: 8080 };

beforeEach(() => void drivers.seen.splice(0));
afterAll(() => server.app.close());

async function ask(verb: string, body: unknown): Promise<void> {
  await server.app.inject({ method: "POST", url: `/${verb}`, payload: JSON.stringify(body) });
}

describe("what reaches the drivers", () => {
  it("CreateNetwork: options as text, pools of both families in order, frozen", async () => {
    const verb = "NetworkDriver.CreateNetwork";
    const v6 = { AddressSpace: "LocalDefault", Pool: "fd50:2::/64", Gateway: "" };

    await ask(verb, { ...sampleOf(verb).body, IPv6Data: [v6] });

    const [call] = drivers.seen;
    expect(call).toEqual({
      method: "createNetwork",
      request: {
        networkId: NETWORK_ID,
        options: new Map([
          ["mode", "nat"],
          ["flag", ""],
        ]),
        isInternal: true,
        hasIpv4: true,
        hasIpv6: false,
        pools: [
          {
            addressSpace: "LocalDefault",
            subnet: "10.50.1.0/24",
            gateway: "10.50.1.254/24",
            auxAddresses: ["10.50.1.5/24"],
          },
          { addressSpace: "LocalDefault", subnet: "fd50:2::/64" },
        ],
      },
    });
    expect(Object.isFrozen(call?.request)).toBe(true);
  });

  it("CreateNetwork without enable_ipv4 has IPv4, with false it has not", async () => {
    const create = async (options: object) =>
      ask("NetworkDriver.CreateNetwork", { NetworkID: NETWORK_ID, Options: options, IPv4Data: [], IPv6Data: [] });

    await create({});
    await create({ "com.docker.network.enable_ipv4": false, "com.docker.network.enable_ipv6": true });

    expect(drivers.seen.map((call) => call.request)).toMatchObject([
      { hasIpv4: true, hasIpv6: false, isInternal: false },
      { hasIpv4: false, hasIpv6: true, isInternal: false },
    ]);
  });

  it("GwAllocCheck: the options of the network", async () => {
    await ask("NetworkDriver.GwAllocCheck", sampleOf("NetworkDriver.GwAllocCheck").body);

    expect(drivers.seen).toMatchObject([{ method: "checkGatewayAllocation", request: { isInternal: true } }]);
  });

  it("CreateEndpoint: the interface without empty fields, and the user's options without the engine's", async () => {
    const sample = sampleOf("NetworkDriver.CreateEndpoint");

    await ask(sample.verb, sample.body);
    await ask(sample.verb, {
      ...sample.body,
      Interface: { Address: "", AddressIPv6: "", MacAddress: "" },
      Options: null,
    });

    expect(drivers.seen.map((call) => call.request)).toEqual([
      {
        ...ids,
        address: "10.50.2.77/24",
        addressIpv6: "fd50:2::77/64",
        mac: "02:11:22:33:44:55",
        options: new Map([["vlan", "12"]]),
        portMap: [TCP_8080],
      },
      { ...ids, options: new Map() },
    ]);
  });

  it.each([
    ["NetworkDriver.DeleteEndpoint", "deleteEndpoint", ids],
    ["NetworkDriver.Leave", "leave", ids],
    ["NetworkDriver.RevokeExternalConnectivity", "revokeExternalConnectivity", ids],
    ["NetworkDriver.Join", "join", { ...ids, sandboxKey: "/var/run/docker/netns/0123456789ab" }],
    [
      "NetworkDriver.ProgramExternalConnectivity",
      "programExternalConnectivity",
      { ...ids, portMap: [TCP_8080], isHostIpv6Elsewhere: false },
    ],
    ["NetworkDriver.EndpointOperInfo", "describeEndpoint", ids],
    ["NetworkDriver.DeleteNetwork", "deleteNetwork", NETWORK_ID],
    ["IpamDriver.ReleasePool", "releasePool", "pool-1"],
    ["IpamDriver.ReleaseAddress", "releaseAddress", { poolId: "pool-1", address: "10.60.5.9" }],
    ["IpamDriver.RequestAddress", "requestAddress", { poolId: "pool-1", address: "10.60.5.9", isGateway: true }],
  ])("%s: the ids and what the verb is about", async (verb, method, request) => {
    await ask(verb, sampleOf(verb).body);

    expect(drivers.seen).toEqual([{ method, request }]);
  });

  it.each([undefined, null, {}, { "com.docker.network.portmap": null }, { "com.docker.network.portmap": [] }])(
    "ProgramExternalConnectivity with the options %j has no ports",
    async (Options) => {
      await ask("NetworkDriver.ProgramExternalConnectivity", {
        NetworkID: NETWORK_ID,
        EndpointID: ENDPOINT_ID,
        Options,
      });

      expect(drivers.seen).toMatchObject([{ request: { portMap: [], isHostIpv6Elsewhere: false } }]);
    },
  );

  it("ProgramExternalConnectivity: fields that the engine leaves out stand for nothing special", async () => {
    const Options = { "com.docker.network.portmap": [{ Proto: 132, Port: 9 }] };

    await ask("NetworkDriver.ProgramExternalConnectivity", { NetworkID: NETWORK_ID, EndpointID: ENDPOINT_ID, Options });

    const plain = { protocol: 132, containerPort: 9, hostAddress: "", hostPort: 0, hostPortEnd: 0 };
    expect(drivers.seen).toMatchObject([{ request: { portMap: [plain] } }]);
  });

  it.each([
    [true, true],
    [false, false],
    ["true", false],
    [null, false],
  ])("ProgramExternalConnectivity with no_proxy_6to4 %j: the host's IPv6 is elsewhere: %s", async (value, expected) => {
    const Options = { "com.docker.network.driver.private.no_proxy_6to4": value };

    await ask("NetworkDriver.ProgramExternalConnectivity", { NetworkID: NETWORK_ID, EndpointID: ENDPOINT_ID, Options });

    expect(drivers.seen).toMatchObject([{ request: { isHostIpv6Elsewhere: expected } }]);
  });

  it("RequestPool: pool and sub-pool when they are given, the family, the options", async () => {
    await ask("IpamDriver.RequestPool", sampleOf("IpamDriver.RequestPool").body);
    await ask("IpamDriver.RequestPool", { AddressSpace: "a", Pool: "", SubPool: "", Options: null, V6: true });

    expect(drivers.seen.map((call) => call.request)).toEqual([
      {
        addressSpace: "a1local",
        subnet: "10.60.0.0/16",
        range: "10.60.5.0/24",
        options: new Map([
          ["io", "1"],
          ["two", "2"],
        ]),
        isIpv6: false,
      },
      { addressSpace: "a", options: new Map(), isIpv6: true },
    ]);
  });

  it("RequestAddress for an endpoint is not for the gateway", async () => {
    await ask("IpamDriver.RequestAddress", { PoolID: "p", Address: "", Options: null });

    expect(drivers.seen).toEqual([{ method: "requestAddress", request: { poolId: "p", isGateway: false } }]);
  });

  it("ReleaseAddress without an address asks nothing of the driver", async () => {
    await ask("IpamDriver.ReleaseAddress", { PoolID: "p", Address: "" });

    expect(drivers.seen).toEqual([]);
  });

  it("the verbs of swarms ask nothing of the driver", async () => {
    const verbs = ["FreeNetwork", "AllocateNetwork", "DiscoverNew", "DiscoverDelete"];

    for (const verb of verbs) await ask(`NetworkDriver.${verb}`, sampleOf(`NetworkDriver.${verb}`).body);

    expect(drivers.seen).toEqual([]);
  });

  it("a network id of a swarm is taken", async () => {
    await ask("NetworkDriver.DeleteNetwork", { NetworkID: SWARM_NETWORK_ID });

    expect(drivers.seen).toEqual([{ method: "deleteNetwork", request: SWARM_NETWORK_ID }]);
  });
});

import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { FAKE_MAC, fakeDrivers } from "../support/fake-drivers.ts";
import { VERBS_WITHOUT_ARGUMENTS, namesInCode, serverOn } from "./conversation.ts";
import { ENDPOINT_ID, NETWORK_ID, SAMPLES, SWARM_NETWORK_ID, sampleOf } from "./samples.ts";

// moby daemon/libnetwork/drivers/remote/driver.go and ipams/remote/remote.go: every call they make.
const VERBS_OF_MOBY = [
  "Plugin.Activate",
  ...[
    "GetCapabilities",
    "GwAllocCheck",
    "AllocateNetwork",
    "FreeNetwork",
    "CreateNetwork",
    "DeleteNetwork",
    "CreateEndpoint",
    "DeleteEndpoint",
    "EndpointOperInfo",
    "Join",
    "Leave",
    "DiscoverNew",
    "DiscoverDelete",
    "ProgramExternalConnectivity",
    "RevokeExternalConnectivity",
  ].map((call) => `NetworkDriver.${call}`),
  ...[
    "GetCapabilities",
    "GetDefaultAddressSpaces",
    "RequestPool",
    "ReleasePool",
    "RequestAddress",
    "ReleaseAddress",
  ].map((call) => `IpamDriver.${call}`),
];

const drivers = fakeDrivers();
const server = serverOn(drivers);
const ids = { networkId: NETWORK_ID, endpointId: ENDPOINT_ID };

beforeEach(() => void drivers.seen.splice(0));
afterAll(() => server.app.close());

async function ask(verb: string, body?: unknown): Promise<unknown> {
  const answer = await server.app.inject({
    method: "POST",
    url: `/${verb}`,
    ...(body !== undefined && { payload: JSON.stringify(body) }),
  });
  expect(answer.statusCode).toBe(200);
  expect(answer.headers["content-type"]).toBe("application/vnd.docker.plugins.v1.2+json");
  return answer.json();
}

describe("the list of verbs", () => {
  it("has every verb that moby calls", () => {
    expect(VERBS_OF_MOBY.filter((verb) => !namesInCode().includes(verb))).toEqual([]);
  });

  it("has no verb that moby does not call", () => {
    expect(namesInCode().filter((verb) => !VERBS_OF_MOBY.includes(verb))).toEqual([]);
  });

  it("is covered by the samples of these tests", () => {
    const covered = [...VERBS_WITHOUT_ARGUMENTS, ...SAMPLES.map((sample) => sample.verb)];

    expect(covered.toSorted()).toEqual(namesInCode().toSorted());
  });
});

describe("the answers of verbs that have one", () => {
  it.each([
    ["Plugin.Activate", { Implements: ["NetworkDriver", "IpamDriver"] }],
    ["NetworkDriver.GetCapabilities", { Scope: "local", ConnectivityScope: "local", GwAllocChecker: true }],
    ["IpamDriver.GetCapabilities", { RequiresMACAddress: false, RequiresRequestReplay: false }],
    [
      "IpamDriver.GetDefaultAddressSpaces",
      { LocalDefaultAddressSpace: "tsnet-local", GlobalDefaultAddressSpace: "tsnet-global" },
    ],
  ])("%s answers without a body", async (verb, expected) => {
    expect(await ask(verb)).toEqual(expected);
  });

  it.each(VERBS_WITHOUT_ARGUMENTS)("%s answers also when a body is there, whatever is in it", async (verb) => {
    const answer = await server.app.inject({ method: "POST", url: `/${verb}`, payload: "{no json" });

    expect(answer.json()).not.toHaveProperty("Err");
  });

  it.each([
    ["NetworkDriver.GwAllocCheck", { SkipIPv4: true, SkipIPv6: false }],
    ["NetworkDriver.EndpointOperInfo", { Value: {} }],
    ["IpamDriver.RequestPool", { PoolID: "tsnet-local/10.210.0.0/24", Pool: "10.210.0.0/24", Data: {} }],
    ["IpamDriver.RequestAddress", { Address: "10.210.0.2/24", Data: {} }],
  ])("%s answers what the driver said", async (verb, expected) => {
    expect(await ask(verb, sampleOf(verb).body)).toEqual(expected);
  });

  it.each([
    "NetworkDriver.FreeNetwork",
    "NetworkDriver.CreateNetwork",
    "NetworkDriver.DeleteNetwork",
    "NetworkDriver.DeleteEndpoint",
    "NetworkDriver.Leave",
    "NetworkDriver.DiscoverNew",
    "NetworkDriver.DiscoverDelete",
    "NetworkDriver.ProgramExternalConnectivity",
    "NetworkDriver.RevokeExternalConnectivity",
    "IpamDriver.ReleasePool",
    "IpamDriver.ReleaseAddress",
  ])("%s answers an empty object", async (verb) => {
    expect(await ask(verb, sampleOf(verb).body)).toEqual({});
  });

  it("AllocateNetwork is refused: the scope is local", async () => {
    const verb = "NetworkDriver.AllocateNetwork";

    expect(await ask(verb, sampleOf(verb).body)).toMatchObject({ Err: expect.stringContaining("swarm") });
  });
});

describe("CreateEndpoint's answer", () => {
  const verb = "NetworkDriver.CreateEndpoint";
  const withMac = (MacAddress: string) => ({
    NetworkID: NETWORK_ID,
    EndpointID: ENDPOINT_ID,
    Interface: { Address: "10.50.2.77/24", AddressIPv6: "", MacAddress },
    Options: {},
  });

  it("has the driver's MAC and nothing else when the engine left it empty", async () => {
    expect(await ask(verb, withMac(""))).toEqual({ Interface: { MacAddress: FAKE_MAC } });
  });

  it("is empty when the engine had set the MAC, even if the driver names one", async () => {
    expect(await ask(verb, withMac("02:11:22:33:44:55"))).toEqual({});
  });
});

describe("Join's answer", () => {
  const verb = "NetworkDriver.Join";

  it("has link, bare gateways and routes through a next hop", async () => {
    expect(await ask(verb, sampleOf(verb).body)).toEqual({
      InterfaceName: { SrcName: "tsn-0123456789a", DstPrefix: "eth" },
      Gateway: "10.50.2.1",
      GatewayIPv6: "fd50:2::1",
      StaticRoutes: [{ Destination: "10.0.0.0/8", RouteType: 0, NextHop: "10.50.2.254" }],
    });
  });

  it("has no gateway and disables the gateway service when the network has no way out", async () => {
    const isolated = { sourceName: "tsn-1", destinationPrefix: "net", routes: [], isGatewayServiceDisabled: true };
    await using other = serverOn(fakeDrivers({ join: async () => isolated }));

    const answer = await other.app.inject({ method: "POST", url: `/${verb}`, payload: sampleOf(verb).body });

    expect(answer.json()).toEqual({
      InterfaceName: { SrcName: "tsn-1", DstPrefix: "net" },
      StaticRoutes: [],
      DisableGatewayService: true,
    });
  });
});

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
          { addressSpace: "LocalDefault", subnet: "10.50.1.0/24", gateway: "10.50.1.254/24" },
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
      },
      { ...ids, options: new Map() },
    ]);
  });

  it.each([
    ["NetworkDriver.DeleteEndpoint", "deleteEndpoint", ids],
    ["NetworkDriver.Leave", "leave", ids],
    ["NetworkDriver.RevokeExternalConnectivity", "revokeExternalConnectivity", ids],
    ["NetworkDriver.Join", "join", { ...ids, sandboxKey: "/var/run/docker/netns/0123456789ab" }],
    ["NetworkDriver.ProgramExternalConnectivity", "programExternalConnectivity", { ...ids, portCount: 1 }],
    ["NetworkDriver.DeleteNetwork", "deleteNetwork", NETWORK_ID],
    ["IpamDriver.ReleasePool", "releasePool", "pool-1"],
    ["IpamDriver.ReleaseAddress", "releaseAddress", { poolId: "pool-1", address: "10.60.5.9" }],
    ["IpamDriver.RequestAddress", "requestAddress", { poolId: "pool-1", address: "10.60.5.9", isGateway: true }],
  ])("%s: the ids and what the verb is about", async (verb, method, request) => {
    await ask(verb, sampleOf(verb).body);

    expect(drivers.seen).toEqual([{ method, request }]);
  });

  it("ProgramExternalConnectivity without a port map has no ports", async () => {
    await ask("NetworkDriver.ProgramExternalConnectivity", { NetworkID: NETWORK_ID, EndpointID: ENDPOINT_ID });

    expect(drivers.seen).toMatchObject([{ request: { portCount: 0 } }]);
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

  it("EndpointOperInfo and the verbs of swarms ask nothing of the driver", async () => {
    const verbs = ["EndpointOperInfo", "FreeNetwork", "AllocateNetwork", "DiscoverNew", "DiscoverDelete"];

    for (const verb of verbs) await ask(`NetworkDriver.${verb}`, sampleOf(`NetworkDriver.${verb}`).body);

    expect(drivers.seen).toEqual([]);
  });

  it("a network id of a swarm is taken", async () => {
    await ask("NetworkDriver.DeleteNetwork", { NetworkID: SWARM_NETWORK_ID });

    expect(drivers.seen).toEqual([{ method: "deleteNetwork", request: SWARM_NETWORK_ID }]);
  });
});

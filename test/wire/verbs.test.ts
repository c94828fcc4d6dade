import { afterAll, describe, expect, it } from "vitest";
import type { EndpointStatus } from "../../src/cnm/requests.ts";
import { FAKE_MAC, fakeDrivers } from "../support/fake-drivers.ts";
import { VERBS_WITHOUT_ARGUMENTS, namesInCode, serverOn } from "./conversation.ts";
import { ENDPOINT_ID, NETWORK_ID, SAMPLES, sampleOf } from "./samples.ts";

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

// The operator's command calls these, and no engine does.
const VERBS_OF_THE_OPERATOR = ["Attach", "Detach", "SetNetwork", "SetEndpoint", "Plan", "Repair"].map(
  (call) => `Operator.${call}`,
);

const server = serverOn(fakeDrivers());

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

  it("has no verb that moby does not call, but for those of the operator's command", () => {
    const others = namesInCode().filter((verb) => !VERBS_OF_MOBY.includes(verb));

    expect(others).toEqual(VERBS_OF_THE_OPERATOR);
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
    ["IpamDriver.GetCapabilities", { RequiresMACAddress: false, RequiresRequestReplay: true }],
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
    [
      "Operator.Attach",
      {
        WasAttached: false,
        Link: "tsc0123456789ab",
        HostLink: "tsv0123456789ab",
        Interface: "eth1",
        MacAddress: FAKE_MAC,
        MTU: 1500,
        Addresses: ["10.50.2.254/24"],
        Gateways: [],
        Routes: [{ Destination: "10.0.0.0/8", NextHop: "10.50.2.9" }, { Destination: "10.50.2.1/32" }],
      },
    ],
    ["Operator.Detach", { WasAttached: true }],
    ["Operator.SetNetwork", { changes: [{ key: "vlan", from: "100", to: "200" }], inside: [] }],
    ["Operator.SetEndpoint", { changes: [], inside: [] }],
    ["Operator.Plan", { steps: ["make bridge br0 with mtu 1500"] }],
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

describe("EndpointOperInfo's answer", () => {
  const verb = "NetworkDriver.EndpointOperInfo";

  async function askAbout(endpoint: Partial<EndpointStatus>): Promise<unknown> {
    const known = {
      id: ENDPOINT_ID,
      state: "joined",
      addresses: [],
      mac: FAKE_MAC,
      mtu: 1500,
      hostLink: "tsv1",
      ports: [],
    } as const;
    const status = { ...known, ...endpoint } as EndpointStatus; // the id of the samples has the right form
    await using other = serverOn(fakeDrivers({ describeEndpoint: () => status }));
    const answer = await other.app.inject({ method: "POST", url: `/${verb}`, payload: sampleOf(verb).body });
    return answer.json();
  }

  it("has the published ports in the engine's own form, and the container's ports each once", async () => {
    const answer = await askAbout({
      addresses: ["10.50.2.77/24", "fd50:2::77/64"],
      ports: [
        { protocol: "tcp", hostAddress: "", hostPort: 8080, containerPort: 80 },
        { protocol: "tcp", hostAddress: "::1", hostPort: 8081, containerPort: 80 },
        { protocol: "udp", hostAddress: "127.0.0.1", hostPort: 49_153, containerPort: 53 },
        { protocol: "sctp", hostAddress: "", hostPort: 0, containerPort: 9 },
      ],
    });

    expect(answer).toEqual({
      Value: {
        "com.docker.network.portmap": [
          { Proto: 6, IP: "10.50.2.77", Port: 80, HostIP: "", HostPort: 8080, HostPortEnd: 8080 },
          { Proto: 6, IP: "fd50:2::77", Port: 80, HostIP: "::1", HostPort: 8081, HostPortEnd: 8081 },
          { Proto: 17, IP: "10.50.2.77", Port: 53, HostIP: "127.0.0.1", HostPort: 49_153, HostPortEnd: 49_153 },
          { Proto: 132, IP: "10.50.2.77", Port: 9, HostIP: "", HostPort: 0, HostPortEnd: 0 },
        ],
        "com.docker.network.endpoint.exposedports": [
          { Proto: 6, Port: 80 },
          { Proto: 17, Port: 53 },
          { Proto: 132, Port: 9 },
        ],
      },
    });
  });

  it("has the one address of the container where a port of the other family leads to it", async () => {
    const port = { protocol: "tcp", hostAddress: "::1", hostPort: 8080, containerPort: 80 } as const;

    expect(await askAbout({ addresses: ["10.50.2.77/24"], ports: [port] })).toMatchObject({
      Value: { "com.docker.network.portmap": [{ IP: "10.50.2.77", HostIP: "::1" }] },
    });
  });

  it("is empty for an endpoint that publishes nothing", async () => {
    expect(await askAbout({})).toEqual({ Value: {} });
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

import { describe, expect, it } from "vitest";
import { callEndpoint, compareNames, containersOn, findCalled, nameNetworks } from "../../../src/cli/catalog.ts";
import { networkId } from "../../support/cnm-builder.ts";
import { dockerWith, endpointStatus, networkStatus } from "../../support/cli-desk.ts";

const THINGS = [
  { id: "aaaa1111bbbb2222", name: "web" },
  { id: "aaaa3333bbbb2222", name: "db" },
  { id: "cccc1111bbbb2222", name: "aaaa" },
  { id: "dddd1111bbbb2222", name: "twice" },
  { id: "dddd2222bbbb2222", name: "twice" },
];

describe("nameNetworks", () => {
  it("gives networks and endpoints Docker's names, in the order of the names", () => {
    const statuses = [networkStatus(1), networkStatus(2, { endpoints: [endpointStatus(1, 2)] })];

    const named = nameNetworks(statuses, dockerWith({ "net-10": 1, "net-2": 2 }, { web: [1] }));

    expect(named.map(({ name }) => name)).toEqual(["net-2", "net-10"]);
    expect(named[0]?.endpoints[0]?.container?.name).toBe("web");
  });

  it("puts endpoints in the order of their names, and ports in that of their numbers", () => {
    const ports = [8082, 8080].map(
      (hostPort) => ({ protocol: "tcp", hostAddress: "", hostPort, containerPort: 80 }) as const,
    );
    const status = networkStatus(1, { endpoints: [endpointStatus(1), endpointStatus(2, 1, { ports })] });

    const [named] = nameNetworks([status], dockerWith({}, { "web-10": [1], "web-9": [2] }));

    expect(named?.endpoints.map(callEndpoint)).toEqual(["web-9", "web-10"]);
    expect(named?.endpoints[0]?.ports.map(({ hostPort }) => hostPort)).toEqual([8080, 8082]);
  });

  it("falls back to the beginning of the id, as Docker prints it", () => {
    const [named] = nameNetworks([networkStatus(1, { endpoints: [endpointStatus(1)] })], dockerWith({}));

    expect(named?.name).toBe(networkId(1).slice(0, 12));
    expect(named?.endpoints.map(callEndpoint)).toEqual([expect.stringMatching(/^endpoint [0-9a-f]{12}$/)]);
  });
});

describe("containersOn", () => {
  it("lists a container once, with all of its places", () => {
    const statuses = [
      networkStatus(1, { endpoints: [endpointStatus(1)] }),
      networkStatus(2, { endpoints: [endpointStatus(2, 2), endpointStatus(3, 2)] }),
    ];
    const named = nameNetworks(statuses, dockerWith({ one: 1, two: 2 }, { "web-10": [1, 2], "web-9": [3] }));

    const found = containersOn(named);

    expect(found.map(({ name, places }) => [name, places.map(({ network }) => network.name)])).toEqual([
      ["web-9", ["two"]],
      ["web-10", ["one", "two"]],
    ]);
  });

  it("leaves out endpoints of no container that Docker knows", () => {
    expect(containersOn(nameNetworks([networkStatus(1, { endpoints: [endpointStatus(1)] })], dockerWith({})))).toEqual(
      [],
    );
  });
});

describe("findCalled", () => {
  it.each([
    ["a name", "web", "web"],
    ["a whole id", "aaaa3333bbbb2222", "db"],
    ["the beginning of an id that no other has", "aaaa3", "db"],
    ["a name that is also the beginning of ids", "aaaa", "aaaa"],
  ])("finds by %s", (_what, text, expected) => {
    expect(findCalled("network", THINGS, text)?.name).toBe(expected);
  });

  it.each(["nobody", "", "eb", "1111"])("finds nothing by %j", (text) => {
    expect(findCalled("network", THINGS, text)).toBeUndefined();
  });

  it.each(["dddd", "aaaa1111bbbb222", "twice"])("says which ones %j may be, if several", (text) => {
    const things = [...THINGS, { id: "aaaa1111bbbb222f", name: "other" }];

    expect(() => findCalled("network", things, text)).toThrow(
      expect.objectContaining({
        code: "conflict",
        message: expect.stringMatching(
          new RegExp(`^network "${text}" may be one of several: \\w{12} \\(\\w+\\), \\w{12}`),
        ),
      }),
    );
  });
});

describe("compareNames", () => {
  it("puts web-2 before web-10", () => {
    expect(["web-10", "web-2", "api"].toSorted(compareNames)).toEqual(["api", "web-2", "web-10"]);
  });
});

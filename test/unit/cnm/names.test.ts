import { describe, expect, it } from "vitest";
import { endpointNames, parseIfName, switchNames } from "../../../src/cnm/names.ts";
import type { EndpointId } from "../../../src/cnm/endpoint.ts";
import type { NetworkId } from "../../../src/cnm/network.ts";
import { endpointId, networkId } from "../../support/cnm-builder.ts";

const KERNEL = /^[a-z][A-Za-z0-9_.-]{0,14}$/;

describe("parseIfName", () => {
  it.each(["a", "br0", "Uplink_1.2-3", "a23456789012345"])("takes %s", (name) => {
    expect(parseIfName(name)).toBe(name);
  });

  // F67: the kernel takes all of these, and expands the last one.
  it.each(["--help", "-6", "a;b", "$(id)", 'a"b', "a*b", "a@b", "é", "a b", "", "a234567890123456", "br0\n", "tx%d"])(
    "refuses %j, which the kernel may take",
    (name) => {
      expect(() => parseIfName(name)).toThrow("no name of a link");
    },
  );

  it.each(["docker0", "docker_gwbridge", "br-0123456789ab"])(
    "refuses %s, which the engine removes as it likes",
    (name) => {
      expect(() => parseIfName(name)).toThrow("a bridge of the engine itself");
    },
  );

  it("takes a name that only resembles the engine's", () => {
    expect(parseIfName("br-0123456789a")).toBe("br-0123456789a");
  });
});

describe("the names of a switch", () => {
  it("begin with the first digits of the network's id, as operators see them", () => {
    expect(switchNames(networkId())[0]).toBe(`tsn-${networkId().slice(0, 11)}`);
  });

  it.each([
    ["a network of this host", networkId()],
    ["a swarm network", "id5t4xy9dres22c5jqu0a4vu4" as NetworkId],
  ])("are several different ones of at most 15 characters for %s", (_of, id) => {
    const names = switchNames(id);

    expect(new Set(names).size).toBe(8);
    for (const name of names) expect(name).toMatch(KERNEL);
  });
});

describe("the names of an endpoint's links", () => {
  it("are pairs of different names of at most 15 characters", () => {
    const names = endpointNames(endpointId()).flatMap(({ host, sandbox }) => [host, sandbox]);

    expect(new Set(names).size).toBe(16);
    for (const name of names) expect(name).toMatch(KERNEL);
  });

  it("differ for endpoints whose ids begin with the same digits, from the second candidate on", () => {
    const [a, b] = ["1", "2"].map((last) => endpointNames(`${"a".repeat(12)}${last.repeat(52)}` as EndpointId));

    expect(a?.[0]).toEqual(b?.[0]);
    expect(a?.[1]).not.toEqual(b?.[1]);
  });
});

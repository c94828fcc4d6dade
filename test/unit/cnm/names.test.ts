import { describe, expect, it } from "vitest";
import { endpointNames, hostLinkName, parseIfName, switchNames } from "../../../src/cnm/names.ts";
import type { EndpointId } from "../../../src/cnm/endpoint.ts";
import type { NetworkId } from "../../../src/cnm/network.ts";
import { endpointId, ifName, networkId } from "../../support/cnm-builder.ts";

const KERNEL = /^[a-z][A-Za-z0-9_.-]{0,14}$/;

describe("parseIfName", () => {
  it.each(["a", "br0", "Uplink_1.2-3", "a23456789012345"])("takes %s", (name) => {
    expect(parseIfName(name)).toBe(name);
  });

  // The kernel takes all of these, and expands the last one.
  it.each(["--help", "-6", "a;b", "$(id)", 'a"b', "a*b", "a@b", "é", "a b", "", "a234567890123456", "br0\n", "tx%d"])(
    "refuses %j, which the kernel may take [F67]",
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

describe("the name of the host's link", () => {
  const [br0, br1] = [ifName("br0"), ifName("br1")];

  it("is that of the Linux bridge itself where there is no VLAN", () => {
    expect(hostLinkName("bridge", br0, {})).toBe("br0");
  });

  it("is another one for each VLAN of each switch, for the untagged one of Open vSwitch, and for a trunk alone", () => {
    const names = [
      hostLinkName("bridge", br0, { vlan: 10 }),
      hostLinkName("bridge", br0, { vlan: 20 }),
      hostLinkName("bridge", br1, { vlan: 10 }),
      hostLinkName("bridge", br0, { trunk: [10] }),
      hostLinkName("ovs", br0, {}),
      hostLinkName("ovs", br1, {}),
    ];

    expect(new Set(names).size).toBe(6);
    for (const name of names) expect(name).toMatch(/^tsg[0-9a-f]{12}$/);
  });

  it("goes by the VLAN of the gateway, not by what is tagged beside it", () => {
    expect(hostLinkName("ovs", br0, { vlan: 10, trunk: [20] })).toBe(hostLinkName("ovs", br0, { vlan: 10 }));
  });

  it("stays what it is: records and hosts have it", () => {
    expect(hostLinkName("bridge", br0, { vlan: 100 })).toBe("tsgb3371cca4dcd");
    expect(hostLinkName("ovs", br0, {})).toBe("tsgd0f902ec0f88");
  });
});

describe("the names of an endpoint's links", () => {
  it("are pairs of different names of at most 15 characters [F65]", () => {
    const names = endpointNames(endpointId()).flatMap(({ host, sandbox }) => [host, sandbox]);

    expect(new Set(names).size).toBe(16);
    for (const name of names) expect(name).toMatch(KERNEL);
  });

  it("differ for endpoints whose ids begin with the same digits, from the second candidate on [F65]", () => {
    const [a, b] = ["1", "2"].map((last) => endpointNames(`${"a".repeat(12)}${last.repeat(52)}` as EndpointId));

    expect(a?.[0]).toEqual(b?.[0]);
    expect(a?.[1]).not.toEqual(b?.[1]);
  });
});

import { describe, expect, it } from "vitest";
import { type AddressContext, takeAddress } from "../../../src/cnm/attachment-address.ts";
import type { Network } from "../../../src/cnm/network.ts";
import type { PoolKeeper } from "../../../src/cnm/pool-keeper.ts";
import type { EndpointRecord } from "../../../src/cnm/registry.ts";
import { TsnetError } from "../../../src/errors.ts";
import { dualStack, endpoint, ifName, network } from "../../support/cnm-builder.ts";
import { OTHER_IPAM } from "../../support/cnm-rig.ts";

/** As where Docker gives the addresses out. */
function context(of: Network = network(), endpoints: readonly EndpointRecord[] = []): AddressContext {
  return { network: of, endpoints, pools: OTHER_IPAM };
}

function joined(address: string, n = 1): EndpointRecord {
  return { endpoint: endpoint(n, 1, { address }), state: "joined" };
}

/** tsnet's own IPAM, whose pools are full as far as `answer` says so. */
function ownPools(answer: (subnet: string, address: string | undefined) => string): PoolKeeper {
  const requestAddress = async (_space: string, subnet: string, address: string | undefined) => answer(subnet, address);
  return { ...OTHER_IPAM, count: () => 1, requestAddress };
}

describe("an address that is chosen where Docker gives them out", () => {
  it("is the highest of the subnet but the broadcast address", async () => {
    expect(await takeAddress(4, undefined, context())).toBe("10.1.1.254/24");
  });

  it("is the next lower one if an endpoint has that", async () => {
    const taken = [joined("10.1.1.254/24", 1), joined("10.1.1.253/24", 2)];

    expect(await takeAddress(4, undefined, context(network(), taken))).toBe("10.1.1.252/24");
  });

  it("is neither the gateway nor an auxiliary address", async () => {
    const pools = [{ subnet: "10.1.1.0/29", gateway: "10.1.1.6" }];

    expect(await takeAddress(4, undefined, context(network(1, { pools, auxAddresses: ["10.1.1.5"] })))).toBe(
      "10.1.1.4/29",
    );
  });

  it("is of IPv6 below those that RFC 2526 reserves", async () => {
    expect(await takeAddress(6, undefined, context(dualStack()))).toBe("fd00:1:1:0:ffff:ffff:ffff:ff7f/64");
  });

  it("comes from the next subnet when the first one is full, and is refused when all are", async () => {
    const pools = [{ subnet: "10.1.1.0/30", gateway: "10.1.1.1" }, { subnet: "10.1.2.0/30" }];
    const first = [joined("10.1.1.2/30")];
    const full = [...first, joined("10.1.2.1/30", 2), joined("10.1.2.2/30", 3)];

    expect(await takeAddress(4, undefined, context(network(1, { pools }), first))).toBe("10.1.2.2/30");
    await expect(takeAddress(4, undefined, context(network(1, { pools }), full))).rejects.toMatchObject({
      code: "exhausted",
      message: "no address left in 10.1.1.0/30, 10.1.2.0/30",
    });
  });

  it("is none on a network without addresses of that family", async () => {
    expect(await takeAddress(6, undefined, context())).toBeUndefined();
    expect(await takeAddress(4, undefined, context(network(1, { mode: "l2", pools: [] })))).toBeUndefined();
  });

  it.each([
    ["an uplink", { uplink: { parent: ifName("eth1"), isAddressMoved: false } }, "who is behind eth1"],
    ["a switch of somebody else's", { isSwitchOurs: false }, /who else is on/],
    [
      "a tunnel",
      { tunnel: { kind: "vxlan", vni: 7, port: 4789, local: "192.0.2.1", peers: [] } },
      "the other hosts of the tunnel",
    ],
  ] as const)("is refused on a network with %s, where others have addresses", async (_what, more, who) => {
    const choice = takeAddress(4, undefined, context(network(1, more)));

    await expect(choice).rejects.toThrow(who);
    await expect(choice).rejects.toThrow("give one with --ip and --ip6");
    expect(await takeAddress(4, "10.1.1.9", context(network(1, more)))).toBe("10.1.1.9/24");
  });
});

describe("an address that is asked for", () => {
  const taken = [joined("10.1.1.7/24")];

  it.each([
    ["10.1.1.1", "is the gateway"],
    ["10.1.1.0", "is the network address of 10.1.1.0/24"],
    ["10.1.1.255", "is the broadcast address of 10.1.1.0/24"],
    ["10.1.1.7", "is in use by endpoint"],
    ["10.1.1.8", "is an --aux-address"],
    ["10.9.9.9", "in no subnet of the network; permitted: 10.1.1.0/24"],
    ["fd00::1", "is no IPv4 address"],
  ])("is refused if it is %s, which %s", async (address, why) => {
    const where = context(network(1, { auxAddresses: ["10.1.1.8"] }), taken);

    await expect(takeAddress(4, address, where)).rejects.toThrow(why);
  });

  it("is refused on a network without addresses of that family, which the message says", async () => {
    await expect(takeAddress(6, "fd00::9", context())).rejects.toThrow("the network has no IPv6 addresses");
  });

  it("is had in its canonical form", async () => {
    expect(await takeAddress(6, "FD00:1:1::0:9", context(dualStack()))).toBe("fd00:1:1::9/64");
  });
});

describe("an address where tsnet gives them out", () => {
  it("is the next of the pool, or the one that is asked for", async () => {
    const pools = ownPools((_subnet, address) => `${address ?? "10.1.1.2"}/24`);

    expect(await takeAddress(4, undefined, { ...context(), pools })).toBe("10.1.1.2/24");
    expect(await takeAddress(4, "10.1.1.9", { ...context(), pools })).toBe("10.1.1.9/24");
  });

  it("comes from the next pool when the first one is full", async () => {
    const two = network(1, { pools: [{ subnet: "10.1.1.0/24" }, { subnet: "10.1.2.0/24" }] });
    const pools = ownPools((subnet) => {
      if (subnet === "10.1.1.0/24") throw new TsnetError("exhausted", "no address left in 10.1.1.0/24");
      return "10.1.2.2/24";
    });

    expect(await takeAddress(4, undefined, { ...context(two), pools })).toBe("10.1.2.2/24");
  });

  it("is had on a network with an uplink as well: the pool knows who has which", async () => {
    const uplink = { parent: ifName("eth1"), isAddressMoved: false };
    const pools = ownPools(() => "10.1.1.2/24");

    expect(await takeAddress(4, undefined, { ...context(network(1, { uplink })), pools })).toBe("10.1.1.2/24");
  });
});

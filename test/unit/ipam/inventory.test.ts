// The engine asks anew, when it starts, for every pool and address that it has (cnm-protocol.md 3.4).
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Ipam } from "../../../src/ipam/driver.ts";
import { type IpamSetup, ipamWith, makePool, requestAddress, requestGateway } from "../../support/ipam-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const SUBNET = "10.1.2.0/24";
const OTHER = "10.1.3.0/24";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** An Ipam with two pools of a former life that have a gateway and an endpoint each, after a handshake. */
async function started(setup: IpamSetup = {}): Promise<{ ipam: Ipam; ids: readonly [string, string] }> {
  const records = new MemoryStore();
  const before = ipamWith({ records });
  const ids = [await makePool(before, SUBNET), await makePool(before, OTHER)] as const;
  for (const id of ids) {
    await requestGateway(before, id);
    await requestAddress(before, id);
  }
  const ipam = ipamWith({ networks: [SUBNET, OTHER], ...setup, records: records.reopened() });
  ipam.noteHandshake();
  return { ipam, ids };
}

const pass = (seconds: number) => vi.advanceTimersByTime(seconds * 1000);

describe("after a handshake [F79]", () => {
  it("a pool and its addresses are given again as they were, once", async () => {
    const { ipam, ids } = await started();

    expect(await makePool(ipam, SUBNET)).toBe(ids[0]);
    expect(await requestGateway(ipam, ids[0], "10.1.2.1")).toBe("10.1.2.1/24");
    expect(await requestAddress(ipam, ids[0], "10.1.2.2")).toBe("10.1.2.2/24");

    await expect(requestAddress(ipam, ids[0], "10.1.2.2")).rejects.toThrow("is already in use");
    await expect(makePool(ipam, SUBNET)).rejects.toThrow("overlaps pool");
  });

  it("an address that was lost meanwhile is taken", async () => {
    const { ipam, ids } = await started();
    await makePool(ipam, SUBNET);

    expect(await requestAddress(ipam, ids[0], "10.1.2.9")).toBe("10.1.2.9/24");
    await expect(requestAddress(ipam, ids[0], "10.1.2.9")).rejects.toThrow("is already in use");
  });

  it.each([
    ["no pool was asked for in a minute", async () => pass(61)],
    [
      "ten seconds have passed since",
      async (ipam: Ipam) => {
        await makePool(ipam, OTHER);
        pass(11);
      },
    ],
    [
      "a pool of tsnet's choice is asked for",
      async (ipam: Ipam) => {
        await ipam.requestPool({ addressSpace: "tsnet", options: new Map(), isIpv6: false });
      },
    ],
    [
      "an address of tsnet's choice is asked for",
      async (ipam: Ipam, ids: readonly string[]) => {
        await requestAddress(ipam, ids[1] ?? "");
      },
    ],
  ])("a pool in use is refused when %s", async (_, happens) => {
    const { ipam, ids } = await started({ networksInUse: [SUBNET] });
    await happens(ipam, ids);

    await expect(makePool(ipam, SUBNET)).rejects.toThrow("overlaps pool");
  });

  it("an address in use is refused where the pool was not asked for", async () => {
    const { ipam, ids } = await started();

    await expect(requestAddress(ipam, ids[0], "10.1.2.2")).rejects.toThrow("is already in use");
  });
});

describe("without a handshake", () => {
  it("a pool in use is refused", async () => {
    const ipam = ipamWith();
    const id = await makePool(ipam, SUBNET);
    await requestGateway(ipam, id);

    await expect(makePool(ipam, SUBNET)).rejects.toThrow("overlaps pool");
  });
});

describe("a pool that the engine did not ask for [F76]", () => {
  async function lacking(setup: IpamSetup = {}) {
    const made = await started(setup);
    await makePool(made.ipam, OTHER);
    pass(11);
    return made;
  }

  it("does not keep its subnet from the next network", async () => {
    const { ipam, ids } = await lacking();

    const next = await makePool(ipam, SUBNET);

    expect(next).not.toBe(ids[0]);
    expect(await requestGateway(ipam, next, "10.1.2.1")).toBe("10.1.2.1/24");
    expect(await requestAddress(ipam, next, "10.1.2.2")).toBe("10.1.2.2/24");
  });

  it.each<readonly [string, (made: { ipam: Ipam; ids: readonly [string, string] }) => Promise<unknown>, IpamSetup]>([
    ["a container is on its network", async () => {}, { networksInUse: [SUBNET] }],
    ["the engine has spoken of it since", ({ ipam, ids }) => requestAddress(ipam, ids[0]), {}],
  ])("stays when %s", async (_, happens, setup) => {
    const made = await lacking(setup);
    await happens(made);

    await expect(makePool(made.ipam, SUBNET)).rejects.toThrow("overlaps pool");
  });

  it("stays when the engine asked for none, or something that it asked for failed", async () => {
    const none = await started();
    pass(61);
    await expect(makePool(none.ipam, SUBNET)).rejects.toThrow("overlaps pool");

    const failed = await started();
    await expect(makePool(failed.ipam, "10.1.2.128/25")).rejects.toThrow("overlaps pool");
    await makePool(failed.ipam, OTHER);
    pass(11);
    await expect(makePool(failed.ipam, SUBNET)).rejects.toThrow("overlaps pool");
  });
});

describe("one more handshake in the middle", () => {
  it("makes nothing of what was asked for before it a pool that the engine has no more", async () => {
    const { ipam, ids } = await started();
    await makePool(ipam, SUBNET);
    ipam.noteHandshake();
    await makePool(ipam, OTHER);
    pass(11);

    await expect(makePool(ipam, SUBNET)).rejects.toThrow("overlaps pool");
    expect(await requestAddress(ipam, ids[0])).toBe("10.1.2.3/24");
  });
});

describe("a second network with the subnet of another, right after a handshake", () => {
  it("takes nothing of the other's with it when it is refused", async () => {
    const { ipam, ids } = await started();
    const given = await makePool(ipam, SUBNET); // the engine may be asking anew: it cannot be told
    await requestGateway(ipam, given, "10.1.2.1");

    ipam.ofNetworks.refuse("tsnet", SUBNET);
    await ipam.releaseAddress(given, "10.1.2.1");
    await ipam.releasePool(given);

    await expect(requestAddress(ipam, ids[0], "10.1.2.1")).rejects.toThrow("is the gateway");
    expect(await requestAddress(ipam, ids[0])).toBe("10.1.2.3/24");
    await ipam.releasePool(ids[0]);
    expect(await makePool(ipam, SUBNET)).not.toBe(ids[0]);
  });

  it("is no proof that the engine has nothing else", async () => {
    const { ipam } = await started();
    await makePool(ipam, SUBNET);
    ipam.ofNetworks.refuse("tsnet", SUBNET);
    pass(11);

    await expect(makePool(ipam, OTHER)).rejects.toThrow("overlaps pool");
  });

  it("gives back what is its own", async () => {
    const ipam = ipamWith();
    const id = await makePool(ipam, SUBNET);
    ipam.ofNetworks.refuse("tsnet", SUBNET);

    await ipam.releasePool(id);

    await expect(requestAddress(ipam, id)).rejects.toThrow("is not in the records");
  });
});

describe("the pool of a network that is about to be made", () => {
  it("is counted once the network is made", async () => {
    const ipam = ipamWith();
    await makePool(ipam, SUBNET);
    expect(ipam.ofNetworks.count("tsnet", SUBNET)).toBe(0);

    ipam.ofNetworks.claim("tsnet", SUBNET);

    expect(ipam.ofNetworks.count("tsnet", SUBNET)).toBe(1);
  });
});

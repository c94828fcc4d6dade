import { describe, expect, it } from "vitest";
import { switchNames } from "../../../src/cnm/names.ts";
import { placeNetwork } from "../../../src/cnm/placement.ts";
import { planNetwork } from "../../../src/cnm/plan.ts";
import { Registry } from "../../../src/cnm/registry.ts";
import type { CreateNetwork } from "../../../src/cnm/requests.ts";
import type { Network } from "../../../src/cnm/network.ts";
import { ifName, networkId, networkRequest, network, pool4, pool6 } from "../../support/cnm-builder.ts";
import { FakeDatapath } from "../../support/fake-datapath.ts";
import { MemoryStore } from "../../support/memory-store.ts";

interface Host {
  readonly datapath?: FakeDatapath;
  readonly known?: readonly Network[];
}

async function place(
  options: Readonly<Record<string, string>>,
  { datapath = new FakeDatapath(), known = [] }: Host = {},
  more: Partial<CreateNetwork> = {},
): Promise<Network> {
  const registry = new Registry(new MemoryStore());
  for (const other of known) await registry.putNetwork(other, "ready");
  const datapaths = { bridge: datapath, ovs: new FakeDatapath("ovs", datapath) };
  return placeNetwork(planNetwork(networkRequest(1, options, more)), { registry, datapaths, links: datapath });
}

function hostWith(addresses: readonly string[], mark?: string): FakeDatapath {
  const datapath = new FakeDatapath();
  datapath.plant("br0", { kind: "switch", addresses: new Set(addresses), ...(mark !== undefined && { mark }) });
  return datapath;
}

const BR0 = ifName("br0");

describe("a network that names no switch", () => {
  it("gets one of its own", async () => {
    expect(await place({})).toMatchObject({
      switchName: switchNames(networkId())[0],
      isSwitchOurs: true,
      keptAddresses: [],
    });
  });

  it("gets the next name when another link has the first one, which stays as it is", async () => {
    const [first = "", second] = switchNames(networkId());
    const datapath = new FakeDatapath();
    datapath.plant(first, { kind: "other" });

    expect(await place({}, { datapath })).toMatchObject({ switchName: second, isSwitchOurs: true });
    expect(datapath.writeCount).toBe(0);
  });

  it("is refused when every name is taken", async () => {
    const datapath = new FakeDatapath();
    for (const name of switchNames(networkId())) datapath.plant(name, { kind: "other" });

    await expect(place({}, { datapath })).rejects.toMatchObject({ code: "conflict" });
  });
});

describe("a network that shares a switch", () => {
  it.each([
    [{ isIccAllowed: false }, {}],
    [{ isIccAllowed: true }, { icc: "false" }],
  ])("must have the same icc: %j beside %j is refused", async (more, options) => {
    const other = network(2, { switchName: BR0, ...more });

    await expect(place({ bridge: "br0", ...options }, { known: [other] })).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining(`uses it with icc=${more.isIccAllowed}`) as string,
    });
  });

  it("need not have the same antispoof, which is a matter of each port", async () => {
    const other = network(2, { switchName: BR0, isGuarded: false });

    await expect(place({ bridge: "br0" }, { known: [other] })).resolves.toMatchObject({ isGuarded: true });
  });
});

describe("a network that names a switch", () => {
  it("has it made when there is none", async () => {
    expect(await place({ bridge: "br0" })).toMatchObject({ switchName: "br0", isSwitchOurs: true });
  });

  it("uses one that somebody else made, without owning it", async () => {
    const placed = await place({ bridge: "br0" }, { datapath: hostWith(["192.0.2.1/24"]) });

    expect(placed).toMatchObject({ switchName: "br0", isSwitchOurs: false, keptAddresses: [] });
  });

  it("remembers the gateway address that was there before, and only that", async () => {
    const placed = await place({ bridge: "br0" }, { datapath: hostWith(["10.1.1.1/24", "192.0.2.1/24"]) });

    expect(placed.keptAddresses).toEqual(["10.1.1.1"]);
  });

  it("uses one that carries tsnet's mark as its own", async () => {
    const placed = await place({ bridge: "br0" }, { datapath: hostWith(["10.1.1.1/24"], `network:${networkId(9)}`) });

    expect(placed).toMatchObject({ isSwitchOurs: true, keptAddresses: [] });
  });

  it("is refused when the link is no switch, and the link stays", async () => {
    const datapath = new FakeDatapath();
    datapath.plant("br0", { kind: "other" });

    await expect(place({ bridge: "br0" }, { datapath })).rejects.toMatchObject({ code: "conflict" });
    expect(datapath.writeCount).toBe(0);
  });

  it("is refused in mode isolated when the host has an address on it", async () => {
    const host = { datapath: hostWith(["192.0.2.1/24"]) };

    await expect(place({ bridge: "br0", mode: "isolated" }, host)).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("the host has 192.0.2.1/24 on it") as string,
    });
    expect(await place({ bridge: "br0", mode: "l2" }, host)).toMatchObject({ isSwitchOurs: false });
  });
});

describe("networks of one switch", () => {
  const other = (more: Partial<Network>) => [network(2, { switchName: BR0, ...more })];

  it("share it, and who owns it stays the same", async () => {
    for (const isSwitchOurs of [true, false]) {
      const host = { known: other({ isSwitchOurs }), datapath: hostWith([]) };

      expect(await place({ bridge: "br0" }, host)).toMatchObject({ switchName: "br0", isSwitchOurs });
    }
  });

  it.each([
    ["mode", { mode: "routed" }, {}, "with mode routed"],
    ["--internal", { isInternal: true }, {}, "with mode nat and --internal"],
    ["mtu", { mtu: 1400 }, {}, "with mtu 1400"],
    ["IPv6", { hasIpv6: true }, {}, "with IPv6"],
    ["IPv6 the other way round", {}, { pools: [pool4(), pool6()] }, "without IPv6"],
  ] as const)("must agree about %s", async (_what, theirs, mine, message) => {
    await expect(place({ bridge: "br0" }, { known: other(theirs) }, mine)).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining(message) as string,
    });
  });

  it("need not agree about IPv6 where the host is not on it", async () => {
    const known = other({ mode: "l2", isHostOnSwitch: false, hasIpv6: true });

    expect(await place({ bridge: "br0", mode: "l2" }, { known })).toMatchObject({ switchName: "br0" });
  });
});

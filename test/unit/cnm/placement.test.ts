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
const ETH1 = ifName("eth1");

/** With a link eth1. */
function hostWithUplink(mtu = 1500): FakeDatapath {
  const datapath = new FakeDatapath();
  datapath.plant("eth1", { kind: "other", mtu });
  return datapath;
}

describe("a network that names no switch", () => {
  it("gets one of its own", async () => {
    expect(await place({})).toMatchObject({
      switchName: switchNames(networkId())[0],
      isSwitchOurs: true,
      keptAddresses: [],
    });
  });

  it("gets the next name when another link has the first one, which stays as it is [F65]", async () => {
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

  it("is refused when the link is no switch, and the link stays [F66]", async () => {
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

describe("a network without options of its own", () => {
  const other = (more: Partial<Network>) => [network(2, { switchName: BR0, ...more })];

  it("shares a switch, and who owns it stays the same", async () => {
    for (const isSwitchOurs of [true, false]) {
      const host = { known: other({ isSwitchOurs }), datapath: hostWith([]) };

      expect(await place({ bridge: "br0" }, host)).toMatchObject({ switchName: "br0", isSwitchOurs });
    }
  });

  it("has the MTU and the kind of datapath that the switch has, else 1500 and auto", async () => {
    const known = other({ backend: "ovs", mtu: 9000, datapathType: "userspace" });

    expect(await place({ bridge: "br0", backend: "ovs" }, { known })).toMatchObject({
      mtu: 9000,
      datapathType: "userspace",
    });
    expect(await place({})).toMatchObject({ mtu: 1500, datapathType: "auto" });
  });

  it("cannot share a switch in another way, and is told who uses it how", async () => {
    const datapath = hostWith([]);

    await expect(place({ bridge: "br0" }, { datapath, known: other({ mode: "routed" }) })).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("uses it with mode routed") as string,
    });
    expect(datapath.writeCount).toBe(0);
  });
});

describe("the host's link", () => {
  it("is the Linux bridge itself without a VLAN, and another link for each VLAN", async () => {
    const links = await Promise.all(
      [{}, { vlan: "10" }, { vlan: "20" }].map(
        async (options) => (await place({ bridge: "br0", ...options })).hostLink,
      ),
    );

    expect(links[0]).toBe("br0");
    expect(new Set(links).size).toBe(3);
  });

  it("is never the switch itself on Open vSwitch", async () => {
    expect((await place({ bridge: "br0", backend: "ovs" })).hostLink).not.toBe("br0");
  });

  it("in a VLAN keeps none of the addresses that the switch itself has", async () => {
    const placed = await place({ bridge: "br0", vlan: "10" }, { datapath: hostWith(["192.0.2.1/24"]) });

    expect(placed).toMatchObject({ isSwitchOurs: false, keptAddresses: [] });
  });

  it.each([{ backend: "ovs" }, { vlan: "10" }])(
    "of a network with %j is the only one with its addresses: the switch itself may not have any",
    async (options) => {
      const datapath = new FakeDatapath();
      const backend = "backend" in options ? "ovs" : "bridge";
      datapath.plant("br0", { kind: "switch", backend, addresses: new Set(["192.0.2.1/24", "10.1.1.9/24"]) });

      await expect(place({ bridge: "br0", ...options }, { datapath })).rejects.toMatchObject({
        code: "conflict",
        message:
          "switch br0 cannot be used: the host has 10.1.1.9/24 on it, of the network's subnet, which it would reach by a link of its own; permitted: another subnet, mode l2, or a switch without these addresses",
      });
      expect(await place({ bridge: "br0", mode: "l2", ...options }, { datapath })).toMatchObject({
        isSwitchOurs: false,
      });
    },
  );
});

describe("mode isolated on somebody else's switch", () => {
  it("is refused untagged where the host has an address, with either backend", async () => {
    const datapath = new FakeDatapath();
    datapath.plant("br0", { kind: "switch", backend: "ovs", addresses: new Set(["192.0.2.1/24"]) });

    await expect(place({ bridge: "br0", mode: "isolated", backend: "ovs" }, { datapath })).rejects.toThrow(
      "switch br0 cannot be used: the host has 192.0.2.1/24 on it, and mode isolated needs a switch without host addresses",
    );
  });

  it("is possible in a VLAN, where those addresses are not", async () => {
    const host = { datapath: hostWith(["192.0.2.1/24"]) };

    expect(await place({ bridge: "br0", mode: "isolated", vlan: "10" }, host)).toMatchObject({ isSwitchOurs: false });
  });
});

describe("settings of a switch", () => {
  it.each([
    [{ stp: "true", "stp-hello": "2" }, "stp, stp-hello"],
    [{ hairpin: "false" }, "hairpin"],
    [{ backend: "ovs", datapath: "kernel", ageing: "60" }, "datapath, ageing"],
  ])("%j are refused for one that somebody else made", async (options, named) => {
    const datapath = new FakeDatapath();
    const backend = "backend" in options ? "ovs" : "bridge";
    datapath.plant("br0", { kind: "switch", backend });

    await expect(place({ bridge: "br0", ...options }, { datapath })).rejects.toMatchObject({
      code: "conflict",
      message: `switch br0 cannot be set up by option ${named}: tsnet did not make it and leaves its settings alone`,
    });
  });

  it("are taken for one that tsnet made or will make", async () => {
    const datapath = hostWith([], `network:${networkId(9)}`);

    expect(await place({ bridge: "br0", ageing: "60" }, { datapath })).toMatchObject({
      switchSettings: { ageing: 60 },
    });
    expect(await place({ bridge: "br1", ageing: "60" })).toMatchObject({ switchSettings: { ageing: 60 } });
  });
});

describe("a switch of the other kind under that name [F66]", () => {
  it("is refused", async () => {
    const host = { datapath: hostWith([]) };

    await expect(place({ bridge: "br0", backend: "ovs" }, host)).rejects.toMatchObject({ code: "conflict" });
    await expect(
      place({ bridge: "br0", backend: "ovs" }, { known: [network(2, { switchName: BR0 })] }),
    ).rejects.toThrow("uses it with backend=bridge");
  });
});

describe("a network with an uplink", () => {
  const user = (more: Partial<Network> = {}) =>
    network(2, { mode: "l2", vlans: { vlan: 20 }, uplink: { parent: ETH1, isAddressMoved: false }, ...more });

  it("gets a switch of its own and the MTU of the uplink", async () => {
    const placed = await place({ parent: "eth1", vlan: "10" }, { datapath: hostWithUplink(9000) });

    expect(placed).toMatchObject({ switchName: switchNames(networkId())[0], isSwitchOurs: true, mtu: 9000 });
  });

  it("is refused when there is no such link [F105]", async () => {
    await expect(place({ parent: "eth1" })).rejects.toMatchObject({
      code: "not-found",
      message: "option parent: this host has no link eth1",
    });
  });

  it("may have a smaller MTU than the uplink, not a larger one [F109]", async () => {
    const datapath = hostWithUplink(1500);

    expect(await place({ parent: "eth1", mtu: "1400" }, { datapath })).toMatchObject({ mtu: 1400 });
    await expect(place({ parent: "eth1", mtu: "1501" }, { datapath })).rejects.toMatchObject({
      code: "invalid",
      message: "option mtu: 1501 is more than the 1500 of eth1; permitted: up to 1500",
    });
  });

  it("cannot bring it to a switch with a larger MTU", async () => {
    const known = [network(2, { switchName: BR0, mode: "l2", vlans: { vlan: 20 }, mtu: 9000 })];
    const host = { datapath: hostWithUplink(1500), known };

    await expect(place({ bridge: "br0", parent: "eth1", vlan: "10" }, host)).rejects.toMatchObject({
      code: "conflict",
      message: `switch br0 cannot be shared: network ${networkId(2).slice(0, 12)} uses it with mtu 9000, which is more than the 1500 of eth1`,
    });
  });

  it("cannot have IPv6 on an uplink that is too small for it, nor on such a switch", async () => {
    const dual = { pools: [pool4(), pool6()] };

    await expect(place({ parent: "eth1", mode: "l2" }, { datapath: hostWithUplink(1200) }, dual)).rejects.toThrow(
      "the network would have the 1200 of eth1, which is too small for IPv6, which needs 1280",
    );
    await expect(
      place({ bridge: "br0", vlan: "10" }, { known: [network(2, { switchName: BR0, mtu: 1200 })] }, dual),
    ).rejects.toThrow("the network would have the 1200 of switch br0, which is too small for IPv6, which needs 1280");
  });

  it("goes to the switch that has the uplink already, named or not", async () => {
    const host = { datapath: hostWithUplink(), known: [user()] };
    const { switchName } = user();

    expect(await place({ parent: "eth1", vlan: "10" }, host)).toMatchObject({ switchName, isSwitchOurs: true });
    expect(await place({ parent: "eth1", vlan: "10", bridge: switchName }, host)).toMatchObject({ switchName });
  });

  it("goes to somebody else's switch when that has the uplink, and does not own it", async () => {
    const datapath = hostWith([]);
    datapath.plant("eth1", { kind: "other" });
    const known = [user({ switchName: BR0, isSwitchOurs: false })];

    expect(await place({ parent: "eth1", vlan: "10" }, { datapath, known })).toMatchObject({
      switchName: "br0",
      isSwitchOurs: false,
    });
  });

  it.each([
    ["on another switch", { bridge: "br7" }],
    ["with another backend", { backend: "ovs" }],
  ])("is refused %s than the one that has the uplink", async (_what, options) => {
    const host = { datapath: hostWithUplink(), known: [user({ switchName: BR0 })] };

    await expect(place({ parent: "eth1", vlan: "10", ...options }, host)).rejects.toMatchObject({
      code: "conflict",
      message: `link eth1 cannot be shared: it is the uplink of br0, backend bridge, for network ${networkId(2).slice(0, 12)}, and can be in one switch only`,
    });
  });

  it.each([
    [true, "keep", "move"],
    [false, "move", "keep"],
  ])("must treat the host's addresses on it as the others do (moved: %s)", async (isAddressMoved, mine, theirs) => {
    const known = [user({ uplink: { parent: ETH1, isAddressMoved } })];
    const host = { datapath: hostWithUplink(), known };

    await expect(place({ parent: "eth1", vlan: "10", "parent-address": mine }, host)).rejects.toThrow(
      `link eth1 cannot be shared: network ${networkId(2).slice(0, 12)} uses it with parent-address=${theirs}, and the networks of one uplink must have the same`,
    );
  });

  it("cannot have the switch of another network as its uplink", async () => {
    const datapath = hostWith([]);
    const known = [network(2, { switchName: BR0 })];

    await expect(place({ parent: "br0" }, { datapath, known })).rejects.toMatchObject({
      code: "conflict",
      message: `link br0 cannot be an uplink: it is the switch of network ${networkId(2).slice(0, 12)}`,
    });
  });
});

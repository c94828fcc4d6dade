// Several networks on one switch, by the verbs: who may come, what the host then has, and what stays when one goes.
import { describe, expect, it } from "vitest";
import { hostLinkName } from "../../../src/cnm/names.ts";
import {
  endpointId,
  endpointRequest,
  ifName,
  joinRequest,
  networkId,
  networkRequest,
  pool4,
} from "../../support/cnm-builder.ts";
import { CnmRig, NOTHING } from "../../support/cnm-rig.ts";
import { inSegment, ipamWith, makePool, requestAddress, requestGateway } from "../../support/ipam-builder.ts";

const BR0 = ifName("br0");
const NO_POOL = { pools: [{ addressSpace: "null", subnet: "0.0.0.0/0" }] };

function rigWithUplink(): CnmRig {
  const rig = new CnmRig();
  rig.datapath.plant("eth1", { kind: "other" });
  return rig;
}

describe.each(["bridge", "ovs"] as const)("networks of one switch, backend %s", (backend) => {
  const on = (vlan: number, more: Readonly<Record<string, string>> = {}) => ({
    backend,
    bridge: "br0",
    vlan: String(vlan),
    ...more,
  });
  const linkOf = (vlan: number) => hostLinkName(backend, BR0, { vlan });

  it("in modes nat, l2 and isolated have VLANs of their own, and the host a link into that of mode nat", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, on(10)));
    await rig.createNetwork(networkRequest(2, on(20, { mode: "l2" })));
    await rig.createNetwork(networkRequest(3, on(30, { mode: "isolated" })));

    expect(Object.keys(rig.datapath.snapshot()).sort()).toEqual(["br0", linkOf(10)].sort());
    expect(rig.datapath.snapshot()).toMatchObject({
      [linkOf(10)]: { kind: "host", vlans: { vlan: 10 }, addresses: ["10.1.1.1/24"] },
      br0: { addresses: [] },
    });
  });

  it("leave the switch to one another, whichever goes first, and nothing at the end", async () => {
    for (const order of [
      [1, 2, 3],
      [3, 2, 1],
      [2, 1, 3],
    ]) {
      const rig = new CnmRig();
      await rig.createNetwork(networkRequest(1, on(10)));
      await rig.createNetwork(networkRequest(2, on(20)));
      await rig.createNetwork(networkRequest(3, on(30, { mode: "l2" })));

      const [first = 1, ...rest] = order;
      await rig.cnm.deleteNetwork(networkId(first));
      expect(rig.datapath.links.has("br0")).toBe(true);
      for (const n of rest) await rig.cnm.deleteNetwork(networkId(n));

      expect(rig.state()).toEqual(NOTHING);
    }
  });

  it("that share a VLAN share the host's link, each with its gateway", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, on(10, { "shared-vlan": "true" })));
    await rig.createNetwork(networkRequest(2, on(10, { "shared-vlan": "true" })));

    expect(rig.datapath.snapshot()).toMatchObject({ [linkOf(10)]: { addresses: ["10.1.1.1/24", "10.1.2.1/24"] } });
    await rig.cnm.deleteNetwork(networkId(1));
    expect(rig.datapath.snapshot()).toMatchObject({ [linkOf(10)]: { addresses: ["10.1.2.1/24"] } });
  });

  it("change nothing when the second one is refused for its VLAN [F70]", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, on(10)));
    const [before, writes] = [rig.state(), rig.writeCount];

    await expect(rig.createNetwork(networkRequest(2, on(10)))).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("both must say shared-vlan=true") as string,
    });

    expect(rig.state()).toEqual(before);
    expect(rig.writeCount).toBe(writes);
  });

  it("have exactly their VLANs on the uplink, which the last one gives back", async () => {
    const rig = rigWithUplink();
    const before = rig.state();
    await rig.createNetwork(networkRequest(1, { backend, parent: "eth1", vlan: "10" }));
    await rig.createNetwork(networkRequest(2, { backend, parent: "eth1", mode: "l2", vlan: "20", trunk: "30-31" }));
    const uplink = () => rig.datapath.snapshot()["eth1"];

    expect(uplink()).toMatchObject({ vlans: { trunk: [10, 20, 30, 31] }, isUntagged: false });
    await rig.createNetwork(networkRequest(3, { backend, parent: "eth1" }));
    expect(uplink()).toMatchObject({ vlans: { trunk: [10, 20, 30, 31] }, isUntagged: true });
    await rig.cnm.deleteNetwork(networkId(1));
    await rig.cnm.deleteNetwork(networkId(3));
    expect(uplink()).toMatchObject({ vlans: { trunk: [20, 30, 31] }, isUntagged: false });
    await rig.cnm.deleteNetwork(networkId(2));

    expect(rig.state()).toEqual(before);
  });

  it("survive a restart with their VLANs and their uplink", async () => {
    const before = rigWithUplink();
    await before.createNetwork(networkRequest(1, { backend, parent: "eth1", vlan: "10" }));
    await before.createNetwork(networkRequest(2, { backend, parent: "eth1", vlan: "20" }));
    const rig = new CnmRig(before);
    const state = rig.state();
    const writes = rig.writeCount;

    await rig.reconciler.recover(false);

    expect(rig.state()).toEqual(state);
    expect(rig.writeCount).toBe(writes);
  });

  it("may give one MAC to containers in different VLANs, and not in the same one [F68]", async () => {
    const rig = new CnmRig();
    const mac = "02:00:00:00:00:07";
    await rig.createNetwork(networkRequest(1, on(10, { mode: "l2", "shared-vlan": "true" })));
    await rig.createNetwork(networkRequest(2, on(20, { mode: "l2" })));
    await rig.createNetwork(networkRequest(3, on(30, { mode: "l2", trunk: "10", "shared-vlan": "true" })));
    await rig.createEndpoint(endpointRequest(1, 1, { mac }));

    await expect(rig.createEndpoint(endpointRequest(2, 2, { mac }))).resolves.toEqual({});
    await expect(rig.createEndpoint(endpointRequest(3, 3, { mac }))).rejects.toMatchObject({
      code: "conflict",
      message: `MAC address ${mac} is in use on br0 by endpoint ${endpointId(1).slice(0, 12)} of network ${networkId(1).slice(0, 12)}`,
    });
    const options = new Map([["vlan", "30"]]);
    await expect(rig.createEndpoint(endpointRequest(4, 3, { mac, options }))).resolves.toEqual({});
  });

  it("have the same subnet and the same addresses in two VLANs by IPAM segments, down to the MAC", async () => {
    const [rig, ipam] = [new CnmRig(), ipamWith()];
    const answers: unknown[] = [];
    for (const [n, segment] of [
      [1, "blue"],
      [2, "red"],
    ] as const) {
      const poolId = await makePool(ipam, "192.168.0.0/24", inSegment(segment));
      const gateway = await requestGateway(ipam, poolId);
      const pools = [{ addressSpace: "tsnet", subnet: "192.168.0.0/24", gateway }];
      await rig.createNetwork(networkRequest(n, on(n * 100, { mode: "l2" }), { pools }));
      const address = await requestAddress(ipam, poolId, "192.168.0.5");
      answers.push(await rig.createEndpoint(endpointRequest(n, n, { address })));
      answers.push((await rig.join(joinRequest(n, n))).gateway);
    }

    expect(answers).toEqual([{ mac: "02:42:c0:a8:00:05" }, "192.168.0.1", { mac: "02:42:c0:a8:00:05" }, "192.168.0.1"]);
    const vlans = Object.values(rig.datapath.snapshot()).flatMap((link) => (link as { vlans?: object }).vlans ?? []);
    expect(vlans).toEqual(expect.arrayContaining([{ vlan: 100 }, { vlan: 200 }]) as object);
  });

  it.each(["nat", "routed"])(
    "cannot have the same subnet in two VLANs in mode %s, where the host routes",
    async (mode) => {
      const rig = new CnmRig();
      await rig.createNetwork(networkRequest(1, on(10, { mode: "l2" })));

      await expect(rig.createNetwork(networkRequest(2, on(20, { mode }), { pools: [pool4(1)] }))).rejects.toMatchObject(
        {
          code: "conflict",
          message: expect.stringContaining("overlaps 10.1.1.0/24 of network") as string,
        },
      );
    },
  );
});

describe("two kinds of switch on one host", () => {
  it("have networks side by side", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1));
    await rig.createNetwork(networkRequest(2, { backend: "ovs" }));

    expect(rig.datapath.calls).toContain(`ensureNetwork ${networkId(1).slice(0, 12)}`);
    expect(rig.ovs.calls).toContain(`ensureNetwork ${networkId(2).slice(0, 12)}`);
    expect(rig.datapath.calls).not.toContain(`ensureNetwork ${networkId(2).slice(0, 12)}`);
    await rig.cnm.deleteNetwork(networkId(1));
    await rig.cnm.deleteNetwork(networkId(2));
    expect(rig.state()).toEqual(NOTHING);
  });

  it("have their endpoints joined and removed on their own kind", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { backend: "ovs" }));
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());
    await rig.cnm.leave({ networkId: networkId(), endpointId: endpointId() });
    await rig.cnm.deleteEndpoint({ networkId: networkId(), endpointId: endpointId() });

    expect(rig.ovs.calls.map((call) => call.split(" ")[0])).toEqual(
      expect.arrayContaining(["attach", "detach"]) as object,
    );
    expect(rig.datapath.calls.filter((call) => /^(attach|detach)/.test(call))).toEqual([]);
  });

  it("are refused one switch name together", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { bridge: "br0" }));

    await expect(rig.createNetwork(networkRequest(2, { bridge: "br0", backend: "ovs" }))).rejects.toThrow(
      "uses it with backend=bridge, and the networks of one switch must have the same",
    );
  });
});

describe("a trunk without addresses", () => {
  it("carries what an endpoint asks for, within the network's list", async () => {
    const rig = rigWithUplink();
    await rig.createNetwork(networkRequest(1, { parent: "eth1", trunk: "10-20" }, NO_POOL));
    const bare = { networkId: networkId(), endpointId: endpointId(), options: new Map([["trunk", "12,14"]]) };
    await rig.createEndpoint(bare);
    await rig.join(joinRequest());

    const ports = Object.values(rig.datapath.snapshot()).filter((link) => (link as { kind: string }).kind === "port");
    expect(ports).toEqual([expect.objectContaining({ vlans: { trunk: [12, 14] } })]);
    await expect(
      rig.createEndpoint({ ...bare, endpointId: endpointId(2), options: new Map([["vlan", "21"]]) }),
    ).rejects.toThrow("VLAN 21 is none of the network's; permitted: 10-20");
  });
});

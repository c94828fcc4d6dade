// Networks and endpoints whose records cannot be read: what lives on the host is left alone, and goes when the engine says so.
import { describe, expect, it } from "vitest";
import { TsnetError } from "../../../src/errors.ts";
import { endpointId, endpointRequest, joinRequest, networkId, networkRequest } from "../../support/cnm-builder.ts";
import { CnmRig, NOTHING } from "../../support/cnm-rig.ts";

const REF = { networkId: networkId(), endpointId: endpointId() };
const SHORT = networkId().slice(0, 12);

/** A daemon that starts beside one network with a joined endpoint, after `damage` to its records. */
async function restartedAfter(damage: (rig: CnmRig) => void, options: Record<string, string> = {}): Promise<CnmRig> {
  const before = new CnmRig();
  await before.createNetwork(networkRequest(1, options));
  await before.createEndpoint(endpointRequest());
  await before.join(joinRequest());
  damage(before);
  const rig = new CnmRig(before);
  if (before.records.fault !== undefined) rig.records.fault = before.records.fault;
  return rig;
}

const damagedNetwork = (options = {}) => restartedAfter((rig) => rig.records.damage("network", networkId()), options);
const damagedEndpoint = () => restartedAfter((rig) => rig.records.damage("endpoint", endpointId()));

describe("a network whose record is damaged", () => {
  it("keeps its links and rules through recovery and later looks", async () => {
    const rig = await damagedNetwork();
    const host = [rig.datapath.snapshot(), rig.firewall.rules, rig.firewall.elements];

    await rig.reconciler.recover(false);
    await rig.reconciler.run();

    expect([rig.datapath.snapshot(), rig.firewall.rules, rig.firewall.elements]).toEqual(host);
  });

  it("gets nothing new, with what to do in the message, and is in the status", async () => {
    const rig = await damagedNetwork();
    await rig.reconciler.recover(false);
    const why = `the record of network ${SHORT} is damaged: what is on it goes on, but nothing new is made in it; remove its`;

    await expect(rig.createEndpoint(endpointRequest(2))).rejects.toThrow(why);
    await expect(rig.join(joinRequest())).rejects.toThrow(why);
    await expect(rig.createNetwork(networkRequest())).rejects.toThrow(why);
    expect(rig.cnm.describe().damage).toEqual([expect.stringContaining(why)]);
  });

  it("lets its endpoint leave and go, and goes with all that is left of it", async () => {
    const rig = await damagedNetwork();
    await rig.reconciler.recover(false);
    await rig.cnm.leave(REF);
    await rig.cnm.deleteEndpoint(REF);
    await rig.cnm.deleteNetwork(networkId());

    expect(rig.state()).toEqual(NOTHING);
    expect([rig.records.damaged(), rig.cnm.describe().damage]).toEqual([[], undefined]);
  });

  it("is not in the way of a network with a switch of its own, which comes and goes", async () => {
    const rig = await damagedNetwork();
    await rig.reconciler.recover(false);
    const before = rig.datapath.snapshot();
    await rig.createNetwork(networkRequest(2));
    await rig.cnm.deleteNetwork(networkId(2));

    expect(rig.datapath.snapshot()).toEqual(before);
  });

  it("keeps others from a switch that it may be on", async () => {
    const rig = await damagedNetwork({ bridge: "sw0" });
    await rig.reconciler.recover(false);
    const shared = rig.createNetwork(networkRequest(2, { bridge: "sw0", mode: "l2" }));

    await expect(shared).rejects.toThrow(
      `switch sw0 cannot be shared: network ${SHORT}, whose record is damaged, may be`,
    );
  });

  it("keeps the switch that it may share from a network that is removed, which goes after it", async () => {
    const before = new CnmRig();
    await before.createNetwork(networkRequest(1, { bridge: "sw0", mode: "l2" }));
    await before.createNetwork(networkRequest(2, { bridge: "sw0", mode: "l2" }));
    before.records.damage("network", networkId(1));
    const rig = new CnmRig(before);
    await rig.reconciler.recover(false);

    await expect(rig.cnm.deleteNetwork(networkId(2))).rejects.toThrow("it goes after that one");
    expect(rig.datapath.links.has("sw0")).toBe(true);
    await rig.cnm.deleteNetwork(networkId(1));
    await rig.reconciler.run();

    expect(rig.state()).toEqual(NOTHING);
  });
});

describe("a network whose record is damaged, after the next boot of the host", () => {
  it("holds nobody back any more: nothing of it is alive", async () => {
    const before = new CnmRig();
    await before.createNetwork(networkRequest(1, { bridge: "sw0", mode: "l2" }));
    await before.createNetwork(networkRequest(2, { bridge: "sw0", mode: "l2" }));
    before.records.damage("network", networkId(1));
    before.datapath.links.clear();
    const rig = new CnmRig(before);
    await rig.reconciler.recover(true);

    expect(rig.datapath.links.has("sw0")).toBe(true);
    await expect(rig.createEndpoint(endpointRequest())).rejects.toThrow("is damaged");
    await rig.cnm.deleteNetwork(networkId(2));
    expect(rig.datapath.links.has("sw0")).toBe(false);
  });
});

describe("an endpoint whose record is damaged", () => {
  it("keeps its link and its place in the rules, also when others come and go", async () => {
    const rig = await damagedEndpoint();
    const host = [rig.datapath.snapshot(), rig.firewall.elements];
    await rig.reconciler.recover(false);
    await rig.createEndpoint(endpointRequest(2));
    await rig.join(joinRequest(2));
    await rig.cnm.leave({ networkId: networkId(), endpointId: endpointId(2) });
    await rig.cnm.deleteEndpoint({ networkId: networkId(), endpointId: endpointId(2) });
    await rig.reconciler.run();

    expect([rig.datapath.snapshot(), rig.firewall.elements]).toEqual(host);
  });

  it("cannot join, can leave, and goes by its marks", async () => {
    const rig = await damagedEndpoint();
    await rig.reconciler.recover(false);

    await expect(rig.join(joinRequest())).rejects.toThrow(
      `the record of endpoint ${endpointId().slice(0, 12)} is damaged`,
    );
    await rig.cnm.leave(REF);
    await rig.cnm.deleteEndpoint(REF);

    expect([rig.records.damaged(), rig.firewall.elements.size]).toEqual([[], 0]);
    await rig.cnm.deleteNetwork(networkId());
    expect(rig.state()).toEqual(NOTHING);
  });

  it("is forgotten after the next boot of the host, which has no links of before", async () => {
    const rig = await damagedEndpoint();
    await rig.reconciler.recover(true);

    expect(rig.records.damaged()).toEqual([]);
  });
});

describe("records of which some are missing without a name", () => {
  it("let nothing new be made, leave what is there, and let it go", async () => {
    const fault = new TsnetError("host", "records are not complete: 1 of them cannot be found");
    const rig = await restartedAfter(({ records }) => (records.fault = fault));
    await rig.reconciler.recover(false);

    await expect(rig.createNetwork(networkRequest(2))).rejects.toBe(fault);
    await expect(rig.createEndpoint(endpointRequest(2))).rejects.toBe(fault);
    await expect(rig.createEndpoint(endpointRequest(2, 7))).rejects.toBe(fault);
    expect(rig.cnm.describe().damage).toEqual([fault.message]);
    await rig.cnm.leave(REF);
    await rig.cnm.deleteEndpoint(REF);
    await rig.cnm.deleteNetwork(networkId());
    expect(rig.datapath.links.size).toBe(0);
  });
});

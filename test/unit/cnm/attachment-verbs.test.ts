import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Attach } from "../../../src/cnm/attachment.ts";
import { endpointId, endpointRequest, joinRequest, networkId, networkRequest } from "../../support/cnm-builder.ts";
import type { PoolKeeper } from "../../../src/cnm/pool-keeper.ts";
import { CnmRig, NEVER, OTHER_IPAM } from "../../support/cnm-rig.ts";

const OWNER = { kind: "container", id: "4f1c", name: "web" } as const;

function attachRequest(more: Partial<Attach> = {}): Attach {
  const ref = { networkId: networkId(1), endpointId: endpointId(1) };
  const plain = { hasDefaultRoute: false, routes: [], isOnce: false, isAgain: false, isLost: false };
  return { ...ref, owner: OWNER, ifName: "eth1", options: new Map(), ...plain, ...more };
}

async function rigWithNetwork(options: Readonly<Record<string, string>> = {}, rig = new CnmRig()): Promise<CnmRig> {
  await rig.createNetwork(networkRequest(1, options));
  return rig;
}

/** One attachment, whose link has been moved into its namespace. */
async function attached(more: Partial<Attach> = {}, options: Readonly<Record<string, string>> = {}): Promise<CnmRig> {
  const rig = await rigWithNetwork(options);
  moveInside(rig, (await attach(rig, more)).linkName);
  return rig;
}

function attach(rig: CnmRig, more: Partial<Attach> = {}) {
  return rig.attachments.attach(attachRequest(more), NEVER);
}

function detach(rig: CnmRig, n = 1): Promise<boolean> {
  return rig.attachments.detach({ networkId: networkId(1), endpointId: endpointId(n) });
}

function moveInside({ datapath }: CnmRig, link: string): void {
  datapath.links.delete(link);
}

/** As the kernel does when the namespace goes. */
function endNamespace({ datapath }: CnmRig): void {
  for (const name of datapath.links.keys()) if (/^ts[vc]/.test(name)) datapath.links.delete(name);
}

describe("Attach", () => {
  it("makes port, rules and record, and says what is to be done inside", async () => {
    const rig = await rigWithNetwork({ routes: "10.8.0.0/16 via 10.1.1.8" });

    const answer = await attach(rig, { routes: ["10.9.0.0/16 via 10.1.1.9"], hasDefaultRoute: true });

    expect(answer).toMatchObject({
      wasAttached: false,
      ifName: "eth1",
      mac: "02:42:0a:01:01:fe",
      mtu: 1500,
      addresses: ["10.1.1.254/24"],
      gateways: ["10.1.1.1"],
      routes: [
        { destination: "10.8.0.0/16", via: "10.1.1.8" },
        { destination: "10.9.0.0/16", via: "10.1.1.9" },
      ],
    });
    expect([...rig.datapath.links.keys()]).toEqual(expect.arrayContaining([answer.linkName, answer.hostLink]));
    expect(rig.firewall.elements.has(endpointId(1))).toBe(true);
    expect(rig.registry.findEndpoint(endpointId(1))).toMatchObject({ state: "joined", attachment: { owner: OWNER } });
  });

  it("changes nothing when it is repeated, and keeps what is not asked for again", async () => {
    const rig = await attached({ address: "10.1.1.9", hasDefaultRoute: true });
    const [before, writes] = [rig.state(), rig.writeCount];

    const answer = await attach(rig);

    expect(answer).toMatchObject({ wasAttached: true, addresses: ["10.1.1.9/24"], gateways: ["10.1.1.1"] });
    expect(rig.state()).toEqual(before);
    expect(rig.writeCount).toBe(writes);
  });

  it.each<[string, Partial<Attach>, string]>([
    ["address", { address: "10.1.1.8" }, "address 10.1.1.254, not 10.1.1.8"],
    ["IPv6 address", { addressIpv6: "fd00::8" }, "address none, not fd00::8"],
    ["MAC address", { mac: "02:00:00:00:00:08" }, "MAC address 02:42:0a:01:01:fe, not 02:00:00:00:00:08"],
    ["interface", { ifName: "lan0" }, "interface eth1, not lan0"],
    ["MTU", { options: new Map([["mtu", "1400"]]) }, "MTU 1500, not 1400"],
    ["VLAN", { options: new Map([["vlan", "20"]]) }, "with other VLANs"],
    ["default route", { hasDefaultRoute: true }, "without a default route"],
    ["routes", { routes: ["10.9.0.0/16 via 10.1.1.9"] }, "with other routes"],
    ["end", { isOnce: true }, "not once only"],
  ])("is refused with another %s than it has", async (_what, more, message) => {
    const options = { backend: "bridge", mode: "l2", vlan: "10", trunk: "20", mtu: "1500" };
    const rig = await attached({}, options);

    await expect(attach(rig, more)).rejects.toMatchObject({ code: "conflict" });
    await expect(attach(rig, more)).rejects.toThrow(message);
    await expect(attach(rig, more)).rejects.toThrow(/^web is attached .* `tsnet detach` comes first$/);
  });

  it.each<[string, Partial<Attach>, RegExp]>([
    ["a name that no link can have", { ifName: "a b" }, /no name of a link/],
    ["a route without a next hop", { routes: ["10.9.0.0/16"] }, /route "10.9.0.0\/16": .*permitted: such as/],
    ["a route by somebody elsewhere", { routes: ["10.9.0.0/16 via 10.7.7.7"] }, /10.7.7.7 is no neighbour/],
    ["a default route as a route", { routes: ["0.0.0.0/0 via 10.1.1.9"] }, /--default-route sets/],
    ["an option that there is not", { options: new Map([["wlan", "1"]]) }, /wlan/],
    ["a MAC address of a group", { mac: "01:00:5e:00:00:01" }, /no unicast address/],
  ])("refuses %s, and nothing is left", async (_what, more, message) => {
    const rig = await rigWithNetwork();
    const before = rig.state();

    await expect(attach(rig, more)).rejects.toThrow(message);

    expect(rig.state()).toEqual(before);
  });

  it("refuses a default route where the network has no gateway for its endpoints, and nothing is left", async () => {
    const rig = await rigWithNetwork({ gateway: "none" });
    const before = rig.state();

    await expect(attach(rig, { hasDefaultRoute: true })).rejects.toThrow(/no default route is possible/);

    expect(rig.state()).toEqual(before);
    expect(rig.releasedAddresses).toEqual(["10.1.1.254/24"]);
  });

  it("leaves nothing when the switch fails, and gives the address back", async () => {
    const rig = await rigWithNetwork();
    const before = rig.state();
    rig.datapath.failWrite(1);

    await expect(attach(rig)).rejects.toThrow(/web cannot be attached to network .*fake: change/);

    expect(rig.state()).toEqual(before);
    expect(rig.releasedAddresses).toEqual(["10.1.1.254/24"]);
  });

  it("gives two that are attached at once two addresses", async () => {
    const rig = await rigWithNetwork();
    const second = { endpointId: endpointId(2), owner: { ...OWNER, id: "77", name: "db" } };

    const answers = await Promise.all([attach(rig), attach(rig, second)]);

    expect(answers.map(({ addresses }) => addresses[0])).toEqual(["10.1.1.254/24", "10.1.1.253/24"]);
  });

  it("makes the link again with the same address when its namespace has gone", async () => {
    const rig = await attached();
    endNamespace(rig);

    const answer = await attach(rig);

    expect(answer).toMatchObject({ wasAttached: true, addresses: ["10.1.1.254/24"] });
    expect(rig.datapath.links.has(answer.linkName)).toBe(true);
    expect(rig.registry.findEndpoint(endpointId(1))?.attachment?.owner).toEqual(OWNER);
  });

  it("remembers what its owner is called now and which engine has it, also where that was not known before", async () => {
    const rig = await attached();
    const { owner: _old, ...rest } = rig.registry.findEndpoint(endpointId(1))?.attachment ?? {};
    const owner = { ...OWNER, name: "www", engine: "4WNA /var/lib/docker" };

    expect(await attach(rig, { owner })).toMatchObject({ wasAttached: true, addresses: ["10.1.1.254/24"] });

    expect(rig.registry.findEndpoint(endpointId(1))?.attachment).toEqual({ ...rest, owner });
    await attach(rig); // by one that does not say it
    expect(rig.registry.findEndpoint(endpointId(1))?.attachment?.owner).toEqual({ ...owner, name: OWNER.name });
  });

  it("makes the link anew when the caller does not find it", async () => {
    const rig = await attached();

    const answer = await attach(rig, { isLost: true });

    expect(rig.datapath.links.has(answer.linkName)).toBe(true);
  });

  it("makes nothing of an attachment that was detached before it is attached again", async () => {
    const rig = await attached();
    await detach(rig);
    const before = rig.state();

    await expect(attach(rig, { isAgain: true })).rejects.toThrow(/^web is not attached to network .* any more$/);

    expect(rig.state()).toEqual(before);
  });

  it("makes nothing of an attachment that is being removed when it is attached again", async () => {
    const rig = await attached();
    rig.datapath.failWrite(1);
    await expect(detach(rig)).rejects.toThrow("fake: change");

    await expect(attach(rig, { isAgain: true })).rejects.toThrow(/any more$/);

    expect(rig.registry.findEndpoint(endpointId(1))?.state).toBe("removing");
  });

  it("makes again what is attached", async () => {
    const rig = await attached();
    endNamespace(rig);

    expect(await attach(rig, { isAgain: true })).toMatchObject({ wasAttached: true });
  });

  it("is refused for an endpoint that Docker made", async () => {
    const rig = await rigWithNetwork();
    await rig.createEndpoint(endpointRequest());

    await expect(attach(rig)).rejects.toThrow(/is no attachment; .*docker network disconnect/);
  });
});

describe("an endpoint of Docker's", () => {
  it("does not get an attachment's address, and the message says who has it and what to do", async () => {
    const rig = await attached({ address: "10.1.1.3" });

    const create = rig.createEndpoint(endpointRequest(2));

    await expect(create).rejects.toMatchObject({ code: "conflict" });
    await expect(create).rejects.toThrow(/10.1.1.3\/24 is in use by web \(tsnet attach\); `tsnet detach`.*--ip-range/);
  });

  it("does not get it either while the attachment's container is away", async () => {
    const rig = await attached({ address: "10.1.1.3" });
    endNamespace(rig);

    await expect(rig.createEndpoint(endpointRequest(2))).rejects.toThrow(/in use by web/);

    expect(rig.registry.findEndpoint(endpointId(1))).toBeDefined();
  });
});

describe("Detach", () => {
  it("takes link, rules, record and address", async () => {
    const rig = await rigWithNetwork();
    const before = rig.state();
    moveInside(rig, (await attach(rig)).linkName);

    expect(await detach(rig)).toBe(true);

    expect(rig.state()).toEqual(before);
    expect(rig.releasedAddresses).toEqual(["10.1.1.254/24"]);
  });

  it("frees the address last of all", async () => {
    const rig = await attached();
    const steps = rig.steps() as string[];
    const { push } = rig.releasedAddresses;
    rig.releasedAddresses.push = (...texts) => push.call(rig.releasedAddresses, ...texts) + steps.push("address free");

    await detach(rig);

    expect(steps.slice(-2)).toEqual(["record gone", "address free"]);
  });

  it("frees the address, too, when the host fails and the removal is ended later", async () => {
    const rig = await attached();
    rig.datapath.failWrite(1);

    await expect(detach(rig)).rejects.toThrow("cannot be removed");
    await rig.reconciler.run();

    expect(rig.registry.endpoints()).toEqual([]);
    expect(rig.releasedAddresses).toEqual(["10.1.1.254/24"]);
  });

  it("frees the address that the endpoint was just changed to, once, and not the one that it had", async () => {
    const requestAddress: PoolKeeper["requestAddress"] = async (_, _subnet, address = "10.1.1.9") => `${address}/24`;
    const pools: PoolKeeper = { ...OTHER_IPAM, count: () => 1, requestAddress };
    const rig = await rigWithNetwork({}, new CnmRig(undefined, pools));
    moveInside(rig, (await attach(rig)).linkName);

    const options = new Map([["ip", "10.1.1.50"]]);
    const changed = rig.changes.setEndpoint({ ...joinRequest(), options }, NEVER);
    await Promise.all([changed, detach(rig)]);

    expect(rig.releasedAddresses).toEqual(["10.1.1.50/24"]);
  });

  it("says that there was nothing when it is repeated", async () => {
    const rig = await attached();
    await detach(rig);

    expect(await detach(rig)).toBe(false);
  });

  it("is refused for an endpoint that Docker made", async () => {
    const rig = await rigWithNetwork();
    await rig.createEndpoint(endpointRequest());

    await expect(detach(rig)).rejects.toThrow(/docker network disconnect/);
    expect(rig.registry.findEndpoint(endpointId(1))).toBeDefined();
  });
});

describe("an attachment", () => {
  it("is kept by a new start of tsnet's", async () => {
    const rig = new CnmRig(await attached());

    await rig.reconciler.recover(false);

    expect((await attach(rig)).wasAttached).toBe(true);
    expect(rig.repairs).toEqual([]);
  });

  it("is kept over a new start of the host, and gets its link and rules when it is attached again", async () => {
    const before = await attached({ address: "10.1.1.9" });
    endNamespace(before);
    const rig = new CnmRig(before);

    await rig.reconciler.recover(true);

    expect(rig.registry.findEndpoint(endpointId(1))).toMatchObject({ state: "created", attachment: { owner: OWNER } });
    expect(rig.firewall.elements.size).toBe(0);
    expect(await attach(rig)).toMatchObject({ wasAttached: true, addresses: ["10.1.1.9/24"] });
    expect(rig.firewall.elements.size).toBe(1);
  });

  it("that ends with its namespace does not survive a new start of the host", async () => {
    const before = await attached({ isOnce: true });
    endNamespace(before);
    const rig = new CnmRig(before);

    await rig.reconciler.recover(true);

    expect(rig.registry.endpoints()).toEqual([]);
  });

  it("goes with what has been done to it when tsnet dies in the middle of its end", async () => {
    const before = await attached();
    before.datapath.failWrite(1);
    await expect(detach(before)).rejects.toThrow("fake: change");
    const rig = new CnmRig(before);

    await rig.reconciler.recover(false);

    expect(rig.registry.endpoints()).toEqual([]);
  });

  it("that was being removed is attached anew, and not as it was", async () => {
    const rig = await attached({ address: "10.1.1.9" });
    rig.datapath.failWrite(1);
    await expect(detach(rig)).rejects.toThrow("fake: change");

    const answer = await attach(rig);

    expect(answer).toMatchObject({ wasAttached: false, addresses: ["10.1.1.254/24"] });
    expect(rig.releasedAddresses).toEqual(["10.1.1.9/24"]);
  });

  it("shows in the status whose it is", async () => {
    const rig = await attached();

    const [network] = rig.cnm.describe().networks;

    expect(network?.endpoints).toMatchObject([{ state: "joined", attachment: { owner: OWNER, ifName: "eth1" } }]);
  });
});

describe("DeleteNetwork", () => {
  it("leaves the network to those who are attached and run, and says who and how they get off", async () => {
    const rig = await attached();

    await expect(rig.cnm.deleteNetwork(networkId(1))).rejects.toThrow(/1 of its .*`tsnet detach` takes web off/);

    expect(rig.firewall.elements.has(endpointId(1))).toBe(true);
    expect(await detach(rig)).toBe(true);
    expect(rig.registry.networks()).toEqual([]);
    expect([...rig.datapath.links.keys()]).toEqual([]);
  });

  it("takes those with it whose namespace has gone", async () => {
    const rig = await attached();
    endNamespace(rig);

    await rig.cnm.deleteNetwork(networkId(1));

    expect(rig.registry.networks()).toEqual([]);
    expect(rig.registry.endpoints()).toEqual([]);
  });

  it("of a network on which is an endpoint of Docker's says nothing of attachments", async () => {
    const rig = await rigWithNetwork();
    await rig.createEndpoint(endpointRequest());
    await rig.join(joinRequest());

    await expect(rig.cnm.deleteNetwork(networkId(1))).rejects.toThrow(/goes with the last of them$/);
  });
});

describe("tsnet's own IPAM", () => {
  it("gives the address, and gets it back when the link cannot be made", async () => {
    const requestAddress = async () => "10.1.1.2/24";
    const rig = await rigWithNetwork({}, new CnmRig(undefined, { ...OTHER_IPAM, count: () => 1, requestAddress }));
    rig.datapath.failWrite(1);

    await expect(attach(rig)).rejects.toThrow("fake: change");

    expect(rig.releasedAddresses).toEqual(["10.1.1.2/24"]);
  });
});

describe("an attachment whose namespace has gone", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  async function passAMinute(rig: CnmRig): Promise<void> {
    rig.reconciler.schedule("links");
    for (let seconds = 0; seconds < 60; seconds++) {
      await vi.advanceTimersByTimeAsync(1000);
      await rig.reconciler.idle();
    }
  }

  it("waits for it", async () => {
    const rig = await attached();
    endNamespace(rig);

    await passAMinute(rig);

    expect(rig.registry.endpoints()).toHaveLength(1);
    expect(rig.releasedAddresses).toEqual([]);
  });

  it("goes with its address if it was meant to end with it", async () => {
    const rig = await attached({ isOnce: true });
    endNamespace(rig);

    await passAMinute(rig);

    expect(rig.registry.endpoints()).toEqual([]);
    expect(rig.releasedAddresses).toEqual(["10.1.1.254/24"]);
  });

  it("goes if its network only waits for it", async () => {
    const rig = await attached();
    await expect(rig.cnm.deleteNetwork(networkId(1))).rejects.toThrow();
    endNamespace(rig);

    await passAMinute(rig);

    expect(rig.registry.networks()).toEqual([]);
  });
});

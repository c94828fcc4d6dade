// Open vSwitch that is away, comes late, goes and comes back, in userspace: what tsnet does meanwhile, and that nothing passes
// that should not.
import { describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import * as builder from "../../support/cnm-builder.ts";
import { startHostAgent } from "../../support/host-agent.ts";
import { ovsDatapathHost } from "../../support/ovs-datapath-host.ts";
import { managementOf } from "../../support/ovs-flows.ts";
import { OvsHost, end } from "../../support/ovs-host.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { PATIENCE, waitUntil } from "../../support/wait-until.ts";
import { countFrames, frame, sendFrames } from "../../support/counted-frames.ts";
import { pings, sandboxOf } from "./sandbox.ts";

const { endpoint, ifName, networkId } = builder;
const network = (n = 1, more: Partial<Network> = {}) => builder.network(n, { backend: "ovs", ...more });
const BR = network().switchName;
const NOBODY = "02:99:00:00:00:01";

describe("ovs-vswitchd that was killed and comes back [F125]", () => {
  it("has its flows back without a call, and lets nothing forged pass before", async () => {
    await using host = await ovsDatapathHost();
    await host.datapath.ensureNetwork(network(), []);
    await using one = await sandboxOf(host, network(), 1);
    await using two = await sandboxOf(host, network(), 2);
    expect(await pings(one, "10.1.1.3")).toBe(true);
    const seen = await countFrames(two, { forged: { ifName: "eth0", matching: `ether saddr ${NOBODY}` } });
    const over = new AbortController();
    const flood = (async () => {
      while (!over.signal.aborted) await sendFrames(one, "eth0", [frame(NOBODY, "ff:ff:ff:ff:ff:ff")], 200);
    })();

    await end(host.vswitchd, "SIGKILL");
    await host.ovs.startVswitchd();

    expect(await pings(one, "10.1.1.3")).toBe(true);
    expect(await pings(two, "10.1.1.1")).toBe(true);
    over.abort();
    await flood;
    expect(await seen()).toEqual({ forged: 0 });
  });

  it("stays closed as long as tsnet is not there", async () => {
    await using host = await ovsDatapathHost();
    await host.datapath.ensureNetwork(network(), []);
    await using one = await sandboxOf(host, network(), 1);
    await using two = await sandboxOf(host, network(), 2);
    await host.agent.kill();
    expect(await pings(one, "10.1.1.3")).toBe(true);

    await end(host.vswitchd, "SIGKILL");
    await host.ovs.startVswitchd();

    expect(await canPing(one, "10.1.1.3")).toBe(false);
    const agent = await startHostAgent(host.namespace, { ovsdb: host.ovs.address });
    await agent.datapath.ensureNetwork(network(), []);
    for (const n of [1, 2]) await agent.datapath.reattach(network(), endpoint(n));
    expect(await pings(two, "10.1.1.2")).toBe(true);
  });
});

describe("ovsdb-server that was killed and comes back [F124]", () => {
  /** In userspace ovs-vswitchd 3.1 itself forwards nothing while it has no database (vswitchd/bridge.c, bridge_run). */
  it("is used again, and frames pass again", async () => {
    await using host = await ovsDatapathHost();
    await host.datapath.ensureNetwork(network(), []);
    await using one = await sandboxOf(host, network(), 1);
    await pings(one, "10.1.1.1");

    await end(host.database, "SIGKILL");
    await host.ovs.startDatabase();

    expect(await pings(one, "10.1.1.1")).toBe(true);
    await host.datapath.ensureNetwork(network(), []);
    await host.datapath.reattach(network(), endpoint());
    await using two = await sandboxOf(host, network(), 2);
    expect(await pings(two, "10.1.1.2")).toBe(true);
  });

  it("does not keep an endpoint from being removed, whose port goes when it is back", async () => {
    await using host = await ovsDatapathHost();
    await host.datapath.ensureNetwork(network(), []);
    const before = await host.see();
    await host.datapath.attach(network(), endpoint(), []);
    await end(host.database, "SIGKILL");

    await host.datapath.detach(endpoint());

    expect(await host.namespace.exec(["ip", "link"])).not.toContain(endpoint().hostIfName);
    await host.ovs.startDatabase();
    await waitUntil("the port to go", async () => {
      await host.datapath.ensureNetwork(network(), []);
      return !(await host.see()).has(endpoint().hostIfName);
    });
    expect(await host.see()).toEqual(before);
  });
});

describe("without Open vSwitch [F124]", () => {
  it("a network is refused at once with the remedy, and removals of what is not known are silent", async () => {
    await using ovs = await OvsHost.create();
    const { datapath } = await startHostAgent(ovs.ns, { ovsdb: ovs.address });
    const begin = performance.now();

    for (const call of ["check", "ensureNetwork"] as const) {
      await expect(datapath[call](network(), [])).rejects.toMatchObject({
        code: "unavailable",
        message: expect.stringMatching(/start Open vSwitch .*TSNET_OVSDB/) as string,
      });
    }
    await datapath.removeStraySwitch(networkId(), new Set());
    await datapath.detach(endpoint());

    expect(performance.now() - begin).toBeLessThan(10_000 * PATIENCE); // who waits for it waits three seconds each time
  });

  it("and when it starts after tsnet, everything can be made", async () => {
    await using ovs = await OvsHost.create();
    const { datapath } = await startHostAgent(ovs.ns, { ovsdb: ovs.address });
    await expect(datapath.check(network(), [])).rejects.toMatchObject({ code: "unavailable" });
    await ovs.startDatabase();
    await ovs.startVswitchd();

    await waitUntil("tsnet to see it", async () => {
      await datapath.check(network(), []);
      return true;
    });
    await datapath.ensureNetwork(network(), []);
    await using one = await sandboxOf({ datapath, namespace: ovs.ns }, network(), 1);

    expect(await pings(one, "10.1.1.1")).toBe(true);
  });

  it("but with a database: the refusal says that ovs-vswitchd does not run, after a limited time", async () => {
    await using host = await ovsDatapathHost();
    await host.datapath.check(network(), []);
    await end(host.vswitchd, "SIGKILL");
    const begin = performance.now();

    await expect(host.datapath.check(network(), [])).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/ovs-vswitchd/) as string,
    });
    expect(performance.now() - begin).toBeLessThan(25_000 * PATIENCE); // the limit is ten seconds
  });
});

describe("a database that was lost", () => {
  it("is filled again with what the networks and their endpoints need, and they talk [F126]", async () => {
    await using host = await ovsDatapathHost();
    await host.datapath.ensureNetwork(network(), []);
    await using one = await sandboxOf(host, network(), 1);
    await using two = await sandboxOf(host, network(), 2);
    expect(await pings(one, "10.1.1.3")).toBe(true);
    await end(host.vswitchd, "SIGKILL");
    await end(host.database, "SIGKILL");
    await host.ovs.forgetDatabase();
    await host.ovs.startDatabase();
    await host.ovs.startVswitchd();
    const theirs = ifName("theirs0");
    await host.ovs.vsctl("add-br", theirs, "--", "set", "bridge", theirs, "datapath_type=netdev");

    await waitUntil("tsnet to make the switch", async () => {
      await host.datapath.ensureNetwork(network(), []);
      return true;
    });
    for (const n of [1, 2]) await host.datapath.reattach(network(), endpoint(n));

    for (const sandbox of [one, two]) await shell(sandbox, ["ip neigh flush all"]);
    expect(await pings(one, "10.1.1.3")).toBe(true);
    expect(await pings(two, "10.1.1.1")).toBe(true);
    expect((await host.ovs.vsctl("list-br")).split("\n").sort()).toEqual([BR, theirs].sort());
  });
});

describe("a bridge that was deleted by hand", () => {
  it("is made again, and its endpoints talk [F128]", async () => {
    await using host = await ovsDatapathHost();
    await host.datapath.ensureNetwork(network(), []);
    await using one = await sandboxOf(host, network(), 1);
    await using two = await sandboxOf(host, network(), 2);
    await host.ovs.vsctl("del-br", BR);
    expect(await canPing(one, "10.1.1.3")).toBe(false);

    await host.datapath.ensureNetwork(network(), []);
    for (const n of [1, 2]) await host.datapath.reattach(network(), endpoint(n));

    for (const sandbox of [one, two]) await shell(sandbox, ["ip neigh flush all"]);
    expect(await pings(one, "10.1.1.3")).toBe(true);
    expect(await pings(two, "10.1.1.1")).toBe(true);
  });
});

describe("a database that is reached over TCP", () => {
  it("serves a switch of ours and one of the user's own, whose listening place goes with the last network", async () => {
    await using ovs = await OvsHost.create();
    await ovs.startDatabase();
    await ovs.startVswitchd();
    await ovs.vsctl("set-manager", "ptcp:6640:127.0.0.1");
    const { datapath } = await startHostAgent(ovs.ns, { ovsdb: "tcp:127.0.0.1:6640" });
    const theirs = ifName("shared0");
    await ovs.vsctl("add-br", theirs, "--", "set", "bridge", theirs, "datapath_type=netdev");
    await ovs.vsctl("set-controller", theirs, "ptcp:6700:127.0.0.1");
    const adopted = network(2, { switchName: theirs, isSwitchOurs: false });
    await datapath.ensureNetwork(network(), []);
    await using one = await sandboxOf({ datapath, namespace: ovs.ns }, network(), 1);
    await datapath.ensureNetwork(adopted, []);
    await datapath.attach(adopted, endpoint(2, 2), []);

    expect(await pings(one, "10.1.1.1")).toBe(true);
    expect((await ovs.vsctl("get-controller", theirs)).split("\n")).toHaveLength(2);
    const flows = ["ovs-ofctl", "-O", "OpenFlow14", "dump-flows", managementOf(ovs, theirs)];
    expect(await ovs.ns.exec(flows)).toContain("cookie=0x7473");
    await datapath.detach(endpoint(2, 2));
    await datapath.removeNetwork(adopted, []);
    expect(await ovs.vsctl("get-controller", theirs)).toBe("ptcp:6700:127.0.0.1");
    expect(await ovs.ns.exec(flows)).not.toContain("cookie=0x7473");
    await datapath.detach(endpoint());
    await datapath.removeNetwork(network(), []);
    expect(await ovs.vsctl("list-br")).toBe(theirs);
  });
});

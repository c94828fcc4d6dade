// The options of a switch and of its uplink on Open vSwitch, by what ovs-vswitchd makes of them: ovs-appctl(8).
import { describe, expect, it } from "vitest";
import type { Network, SwitchSettings } from "../../../src/cnm/network.ts";
import * as builder from "../../support/cnm-builder.ts";
import { type OvsDatapathHost, ovsDatapathHost } from "../../support/ovs-datapath-host.ts";
import { shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { canPing } from "../../support/packet-lab.ts";
import { pings, sandboxOf } from "./sandbox.ts";

const { ifName, networkId } = builder;
const UPLINK = ifName("up0");
const network = (n = 1, more: Partial<Network> = {}) => builder.network(n, { backend: "ovs", mode: "l2", ...more });
const BR = network().switchName;
const uplink = { parent: UPLINK, isAddressMoved: false };

async function withUplink(): Promise<OvsDatapathHost> {
  const host = await ovsDatapathHost();
  await shell(host.namespace, [
    `ip link add ${UPLINK} type veth peer name ${UPLINK}-end`,
    `ip link set ${UPLINK}-end up`,
  ]);
  return host;
}

const trunksOf = (host: OvsDatapathHost) => host.ovs.vsctl("get", "port", UPLINK, "trunks", "vlan_mode");

describe("the settings of a switch", () => {
  it("of the spanning tree are in force, with those of the uplink's port", async () => {
    await using host = await withUplink();
    const switchSettings: SwitchSettings = {
      stp: true,
      "stp-priority": 4096,
      "stp-forward-delay": 4,
      "stp-hello": 1,
      "stp-max-age": 6,
      "stp-cost": 77,
      "stp-port-priority": 16,
    };
    await host.datapath.ensureNetwork(network(1, { switchSettings, uplink }), []);

    const shown = await waitUntil("the uplink to take part", async () => {
      const text = await host.ovs.appctl("stp/show", BR);
      return text.includes(UPLINK) && text;
    });

    expect(shown).toMatch(/stp-priority\s+4096/);
    expect(shown).toMatch(/stp-hello-time\s+1s/);
    expect(shown).toMatch(/stp-max-age\s+6s/);
    expect(shown).toMatch(/stp-fwd-delay\s+4s/);
    expect(shown).toMatch(new RegExp(`${UPLINK}\\s+\\S+\\s+\\S+\\s+77\\s+16\\.`));
  });

  it("of the spanning tree let an endpoint's frames pass as soon as its port has learned", async () => {
    await using host = await withUplink();
    // closed for twice that time, which no test is late by
    const switchSettings = { stp: true, "stp-forward-delay": 10, "stp-hello": 1, "stp-max-age": 6 };
    const wanted = network(1, { switchSettings });
    await host.datapath.ensureNetwork(wanted, []);
    await using one = await sandboxOf(host, wanted, 1);
    await using _two = await sandboxOf(host, wanted, 2);

    expect(await canPing(one, "10.1.1.3")).toBe(false);
    await waitUntil("the ports to forward", () => canPing(one, "10.1.1.3"), { limitMs: 45_000 });
  });

  it("are those of another network that comes to the switch, and are not undone by one that says nothing", async () => {
    await using host = await withUplink();
    const [one, two] = [
      network(1, { switchName: BR }),
      network(2, { switchName: BR, switchSettings: { "mcast-snooping": true }, vlans: { vlan: 20 } }),
    ];
    await host.datapath.ensureNetwork(one, []);
    await host.datapath.ensureNetwork(two, [one]);
    await host.datapath.ensureNetwork(one, [two]);

    expect(await host.ovs.vsctl("get", "bridge", BR, "mcast_snooping_enable")).toBe("true");
  });
});

describe("an uplink", () => {
  it("carries exactly the VLANs of the networks that use it, and is given back with the last one", async () => {
    await using host = await withUplink();
    const [one, two] = [
      network(1, { switchName: BR, uplink, vlans: { vlan: 100 } }),
      network(2, { switchName: BR, uplink, vlans: { vlan: 7, trunk: [30, 31] }, isGuarded: false }),
    ];
    const untagged = network(3, { switchName: BR, uplink });
    await host.datapath.ensureNetwork(one, []);
    expect(await trunksOf(host)).toBe("[100]\ntrunk");
    await host.datapath.ensureNetwork(two, [one]);
    expect(await trunksOf(host)).toBe("[7, 30, 31, 100]\ntrunk");
    await host.datapath.ensureNetwork(untagged, [one, two]);
    expect(await trunksOf(host)).toBe("[0, 7, 30, 31, 100]\ntrunk");

    await host.datapath.removeNetwork(one, [two, untagged]);
    expect(await trunksOf(host)).toBe("[0, 7, 30, 31]\ntrunk");
    await host.datapath.removeNetwork(untagged, [two]);
    expect(await trunksOf(host)).toBe("[7, 30, 31]\ntrunk");
    await host.datapath.removeNetwork({ ...two, isSwitchOurs: true }, []);
    expect((await host.see()).get(UPLINK)?.switchName).toBeUndefined();
    expect((await host.see()).has(BR)).toBe(false);
  });

  it("leads to a machine out there, and to no network that does not use it", async () => {
    await using host = await withUplink();
    await using out = await NetNamespace.create("out");
    await shell(host.namespace, [`ip link set ${UPLINK}-end netns ${out.name}`]);
    await shell(out, [`ip address add 10.1.1.200/24 dev ${UPLINK}-end`, `ip link set ${UPLINK}-end up`]);
    const used = network(1, { switchName: BR, uplink });
    const apart = network(1, { switchName: BR, id: networkId(2), vlans: { vlan: 20 } });
    await host.datapath.ensureNetwork(used, []);
    await host.datapath.ensureNetwork(apart, [used]);
    await using one = await sandboxOf(host, used, 1);
    await using two = await sandboxOf(host, apart, 2, 1500, { vlans: { vlan: 20 } });

    await waitUntil("an answer", () => canPing(one, "10.1.1.200"));
    expect(await canPing(two, "10.1.1.200")).toBe(false);
  });

  it("works again when it has gone and come back [F105]", async () => {
    await using host = await withUplink();
    await using out = await NetNamespace.create("out");
    const join = () =>
      shell(host.namespace, [`ip link set ${UPLINK}-end netns ${out.name}`]).then(() =>
        shell(out, [`ip address add 10.1.1.200/24 dev ${UPLINK}-end`, `ip link set ${UPLINK}-end up`]),
      );
    await join();
    const wanted = network(1, { uplink });
    await host.datapath.ensureNetwork(wanted, []);
    await using one = await sandboxOf(host, wanted, 1);
    await waitUntil("an answer", () => canPing(one, "10.1.1.200"));
    await shell(host.namespace, [`ip link del ${UPLINK}`]);
    await host.datapath.ensureNetwork(wanted, []);

    await shell(host.namespace, [`ip link add ${UPLINK} type veth peer name ${UPLINK}-end`]);
    await join();
    await host.datapath.ensureNetwork(wanted, []);

    await shell(one, ["ip neigh flush all"]); // the new link has another MAC address
    expect(await pings(one, "10.1.1.200")).toBe(true);
  });

  it.each([
    ["that does not exist", "true", "not-found"],
    [
      "with an address of the host",
      `ip link add ${UPLINK} type veth peer name x; ip address add 192.0.2.1/24 dev ${UPLINK}`,
      "conflict",
    ],
    [
      "in a Linux bridge",
      `ip link add br9 type bridge; ip link add ${UPLINK} master br9 type veth peer name x`,
      "conflict",
    ],
  ])("%s is refused", async (_what, command, code) => {
    await using host = await ovsDatapathHost();
    await shell(host.namespace, [command]);

    await expect(host.datapath.check(network(1, { uplink }), [])).rejects.toMatchObject({ code });
  });

  it("in another bridge of Open vSwitch is refused [F106]", async () => {
    await using host = await withUplink();
    await host.plantSwitch("other0");
    await host.ovs.vsctl("add-port", "other0", UPLINK);

    await expect(host.datapath.check(network(1, { uplink }), [])).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("other0") as string,
    });
  });
});

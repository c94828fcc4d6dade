// What a user may set of a Linux bridge, by its effect. What somebody changed is put back, what nobody asked for is left.
import { describe, expect, it } from "vitest";
import type { Network, SwitchSettings } from "../../../src/cnm/network.ts";
import { describeSwitchSettings } from "../../contract/switch-settings.ts";
import { SWITCH, UPLINK, networkIn, vlanLab } from "../../support/bridge-vlan-lab.ts";
import { endpoint, network } from "../../support/cnm-builder.ts";
import { waitForIdleLook } from "../../support/link-monitor.ts";
import type { NetNamespace } from "../../support/namespace.ts";
import { shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { macOf, sendAndSee } from "../../support/counted-frames.ts";
import { beBridge, bridgeData } from "../../support/spanning-tree.ts";

const uplink = { parent: UPLINK, isAddressMoved: false };
const wired = (switchSettings: SwitchSettings): Network =>
  networkIn(1, {}, { mode: "l2", isHostOnSwitch: false, isGuarded: false, uplink, switchSettings });

/** What bridge(8) says of the uplink's port. */
async function stateOfPort(host: NetNamespace): Promise<{ readonly state?: string; cost?: number; priority?: number }> {
  const [link] = await host.json<object[]>(["bridge", "-json", "link", "show", "dev", UPLINK]);
  return link ?? {};
}

/** What of it can be set. */
async function portOf(host: NetNamespace) {
  const { cost, priority } = await stateOfPort(host);
  return { cost, "port priority": priority };
}

/** What ip(8) says of what can be set of a bridge. */
async function settingsOf(host: NetNamespace, name: string) {
  const { stp_state, priority, forward_delay, hello_time, max_age, ageing_time, mcast_snooping } = await bridgeData(
    host,
    name,
  );
  return { stp_state, priority, forward_delay, hello_time, max_age, ageing_time, mcast_snooping };
}

describeSwitchSettings("a Linux bridge", async () => {
  const lab = await vlanLab();
  const settings = ["mcast_query_response_interval 10", "mcast_querier 1"]; // until somebody asks for members, all ports get it
  const set = settings.map((setting) => `ip link set ${SWITCH} type bridge ${setting}`);
  const { namespace } = lab.host;
  return {
    ...lab,
    leastAgeing: 0,
    askForMembers: () => shell(namespace, set),
    settings: async () => ({ ...(await settingsOf(namespace, SWITCH)), ...(await portOf(namespace)) }),
    setByHand: () =>
      shell(namespace, [
        `ip link set ${SWITCH} type bridge ageing_time 7700 priority 99`,
        `bridge link set dev ${UPLINK} cost 55`,
      ]),
  };
});

describe("the spanning tree", () => {
  it("follows another root by an uplink that costs as much as was said, and writes nothing then", async () => {
    await using lab = await vlanLab();
    await beBridge(lab.neighbour, 1);
    const wanted = wired({ stp: true, "stp-forward-delay": 20, "stp-hello": 3, "stp-max-age": 20, "stp-cost": 777 });

    await lab.host.datapath.ensureNetwork(wanted, []);

    await waitUntil(
      "the way to the root",
      async () => (await bridgeData(lab.host.namespace, SWITCH)).root_path_cost === 777,
    );
    expect(await bridgeData(lab.host.namespace, SWITCH)).toMatchObject({ hello_time: 100 }); // the root's
    await waitUntil(
      "the tree to be still",
      async () => {
        const data = await bridgeData(lab.host.namespace, SWITCH);
        const port = await stateOfPort(lab.host.namespace);
        return port.state === "forwarding" && data["topology_change"] === 0;
      },
      { limitMs: 45_000 },
    );
    await waitForIdleLook(lab.host.namespace, () => lab.host.datapath.ensureNetwork(wanted, []));
  });
});

describe("hairpin", () => {
  it.each([
    ["on, a frame comes back to who sent it", true],
    ["off, it does not", false],
  ])("%s", async (_what, hairpin) => {
    await using lab = await vlanLab();
    const wanted = network(1, { isGuarded: false, switchSettings: { hairpin } });
    await lab.host.datapath.ensureNetwork(wanted, []);
    for (const n of [1, 2]) await lab.host.datapath.attach(wanted, endpoint(n), []);
    const [one, two] = [endpoint(1).sandboxIfName, endpoint(2).sandboxIfName];

    const seen = await sendAndSee(lab.host.namespace, one, macOf(1), "ff:ff:ff:ff:ff:ff");

    expect(seen).toEqual([...(hairpin ? [one] : []), two, wanted.switchName].sort());
  });
});

describe("a setting", () => {
  it.each<[keyof SwitchSettings, SwitchSettings, string]>([
    ["stp", { stp: true }, "stp_state 0"],
    ["stp-priority", { stp: true, "stp-priority": 99 }, "priority 100"],
    ["stp-forward-delay", { stp: true, "stp-forward-delay": 20 }, "forward_delay 300"],
    ["stp-hello", { stp: true, "stp-hello": 3 }, "hello_time 500"],
    ["stp-max-age", { stp: true, "stp-max-age": 12 }, "max_age 1500"],
    ["ageing", { ageing: 77 }, "ageing_time 5000"],
    ["mcast-snooping", { "mcast-snooping": false }, "mcast_snooping 1"],
  ])("%s is put back, and one that nobody gave is left", async (_name, switchSettings, change) => {
    await using lab = await vlanLab();
    const wanted = network(1, { switchSettings });
    const { namespace, datapath } = lab.host;
    const settings = () => settingsOf(namespace, wanted.switchName);
    await datapath.ensureNetwork(wanted, []);
    const before = await settings();
    await shell(namespace, [`ip link set ${wanted.switchName} type bridge ${change}`]);
    expect(await settings()).not.toEqual(before);

    await datapath.ensureNetwork(wanted, []);
    expect(await settings()).toEqual(before);

    await datapath.ensureNetwork({ ...wanted, switchSettings: {} }, []);
    expect(await settings()).toEqual(before);
  });

  it.each([
    ["stp-cost", "cost 55"],
    ["stp-port-priority", "priority 9"],
  ])("%s of the uplink is put back", async (_name, change) => {
    await using lab = await vlanLab();
    const wanted = wired({ stp: true, "stp-cost": 70, "stp-port-priority": 20 });
    const port = () => portOf(lab.host.namespace);
    await lab.host.datapath.ensureNetwork(wanted, []);
    expect(await port()).toEqual({ cost: 70, "port priority": 20 });
    await shell(lab.host.namespace, [`bridge link set dev ${UPLINK} ${change}`]);

    await lab.host.datapath.ensureNetwork(wanted, []);

    expect(await port()).toEqual({ cost: 70, "port priority": 20 });
  });
});

// What a user may set of a bridge, by its effect: on another bridge at the other end of the uplink, on what is learned, on
// where multicast goes. What somebody changed is put back, what nobody asked for is left.
import { describe, expect, it } from "vitest";
import type { Network, SwitchSettings } from "../../../src/cnm/network.ts";
import { SWITCH, UPLINK, networkIn, sandboxIn, vlanLab } from "../../support/bridge-vlan-lab.ts";
import { endpoint, ifName, network } from "../../support/cnm-builder.ts";
import { LinkMonitor } from "../../support/link-monitor.ts";
import type { NetNamespace } from "../../support/namespace.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { countFrames, frame, macOf, sendAndSee, sendFrames } from "../../support/counted-frames.ts";

const uplink = { parent: UPLINK, isAddressMoved: false };
const wired = (switchSettings: SwitchSettings): Network =>
  networkIn(1, {}, { mode: "l2", isHostOnSwitch: false, isGuarded: false, uplink, switchSettings });

interface BridgeData {
  readonly root_port: number;
  readonly root_path_cost: number;
  readonly [name: string]: unknown;
}

/** What ip(8) says of a bridge itself. */
async function bridgeData(at: NetNamespace, name: string): Promise<BridgeData> {
  const [link] = await at.json<{ linkinfo: { info_data: BridgeData } }[]>([
    "ip",
    "-json",
    "-details",
    "link",
    "show",
    name,
  ]);
  if (link === undefined) throw new Error(`no link ${name}`);
  return link.linkinfo.info_data;
}

/** What bridge(8) says of the uplink's port. */
async function portOf(host: NetNamespace): Promise<{ readonly state?: string; cost?: number; priority?: number }> {
  const [link] = await host.json<object[]>(["bridge", "-json", "link", "show", "dev", UPLINK]);
  return link ?? {};
}

/** The neighbour is a bridge with a spanning tree. @param priority - of his; the lowest becomes the root. */
async function beBridge(neighbour: NetNamespace, priority: number): Promise<void> {
  await shell(neighbour, [
    `ip link add br0 up type bridge stp_state 1 forward_delay 200 hello_time 100 max_age 600 priority ${priority}`,
    "ip link set wire master br0",
  ]);
}

describe("the spanning tree", () => {
  it("makes the bridge with the lowest priority the root, whose times hold for all", async () => {
    await using lab = await vlanLab();
    await beBridge(lab.neighbour, 4096);
    const times = { "stp-forward-delay": 5, "stp-hello": 1, "stp-max-age": 8 };

    await lab.host.datapath.ensureNetwork(wired({ stp: true, "stp-priority": 1, ...times }), []);

    const theirs = await waitUntil("the neighbour to follow", async () => {
      const data = await bridgeData(lab.neighbour, "br0");
      return data.root_port !== 0 && data;
    });
    expect(theirs).toMatchObject({ forward_delay: 500, hello_time: 100, max_age: 800 });
    expect(await bridgeData(lab.host.namespace, SWITCH)).toMatchObject({ root_port: 0 });
  });

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
        const port = await portOf(lab.host.namespace);
        return port.state === "forwarding" && data["topology_change"] === 0;
      },
      { limitMs: 45_000 },
    );
    await using monitor = await LinkMonitor.start(lab.host.namespace);
    await lab.host.datapath.ensureNetwork(wanted, []);
    expect(await monitor.stop()).toEqual([]);
  });

  it("blocks of two uplinks to one bridge the one with the higher port priority", async () => {
    await using lab = await vlanLab();
    const second = ifName("up1");
    await shell(lab.host.namespace, [`ip link add ${second} type veth peer name wire1 netns ${lab.neighbour.name}`]);
    await beBridge(lab.neighbour, 4096);
    await shell(lab.neighbour, ["ip link set wire1 up master br0"]);
    const stp = { stp: true, "stp-priority": 1, "stp-forward-delay": 2, "stp-max-age": 6, "stp-hello": 1 };
    const first = wired({ ...stp, "stp-port-priority": 40 });
    const other = networkIn(
      2,
      {},
      {
        mode: "l2",
        isHostOnSwitch: false,
        uplink: { parent: second, isAddressMoved: false },
        switchSettings: { ...stp, "stp-port-priority": 5 },
      },
    );

    await lab.host.datapath.ensureNetwork(first, []);
    await lab.host.datapath.ensureNetwork(other, [first]);

    await waitUntil(
      "the tree",
      async () => {
        const links = await lab.neighbour.json<{ ifname: string; state: string }[]>([
          "bridge",
          "-json",
          "link",
          "show",
        ]);
        const states = Object.fromEntries(links.map(({ ifname, state }) => [ifname, state]));
        return states["wire"] === "blocking" && states["wire1"] === "forwarding";
      },
      { limitMs: 30_000 },
    );
  });
});

describe("ageing", () => {
  it("is how long an address that was learned is kept", async () => {
    await using lab = await vlanLab();
    await lab.host.datapath.ensureNetwork(wired({ ageing: 2 }), []);
    await waitUntil("the uplink to forward", async () => (await portOf(lab.host.namespace)).state === "forwarding");
    const learned = async () =>
      (await lab.host.namespace.exec(["bridge", "fdb", "show", "br", SWITCH])).includes(macOf(7));

    await sendFrames(lab.neighbour, "wire", [frame(macOf(7), "ff:ff:ff:ff:ff:ff")]);

    await waitUntil("the address to be learned", learned);
    await waitUntil("the address to be forgotten", async () => !(await learned()));
  });
});

describe("mcast-snooping", () => {
  const GROUP = "ether daddr 01:00:5e:09:09:09";

  it.each([
    ["on, multicast goes to those only who asked for it", true, [20, 0]],
    ["off, multicast goes to all", false, [20, 20]],
  ])("%s", async (_what, isOn, expected) => {
    await using lab = await vlanLab();
    const wanted = wired({ "mcast-snooping": isOn });
    await lab.host.datapath.ensureNetwork(wanted, []);
    await using one = await sandboxIn(lab.host, wanted, 1, []);
    await using two = await sandboxIn(lab.host, wanted, 2, []);
    await waitUntil("the ports to forward", () => canPing(one, "10.1.1.3"));
    const member = `bridge mdb add dev ${SWITCH} port ${endpoint(1).hostIfName} grp 239.9.9.9 permanent`;
    await shell(lab.host.namespace, [
      // Until somebody asks for members, a bridge takes every port for one.
      `ip link set ${SWITCH} type bridge mcast_query_response_interval 10`,
      `ip link set ${SWITCH} type bridge mcast_querier 1`,
      ...(isOn ? [member] : []),
    ]);
    await shell(lab.neighbour, ["ip address add 10.1.1.99/24 dev wire", "ip route add 239.0.0.0/8 dev wire"]);

    await waitUntil("the multicast to go where it shall", async () => {
      const counts = await Promise.all(
        [one, two].map((at) => countFrames(at, { frames: { ifName: "eth0", matching: GROUP } })),
      );
      const ping = ["busybox", "ping", "-c", "20", "-i", "0.01", "-W", "1", "239.9.9.9"];
      await lab.neighbour.exec(ping).catch(() => {}); // nobody answers
      const arrived = await Promise.all(counts.map(async (count) => (await count())["frames"]));
      return arrived.join() === expected.join();
    });
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
    const settings = async () => {
      const { stp_state, priority, forward_delay, hello_time, max_age, ageing_time, mcast_snooping } = await bridgeData(
        namespace,
        wanted.switchName,
      );
      return { stp_state, priority, forward_delay, hello_time, max_age, ageing_time, mcast_snooping };
    };
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
    const port = async () => {
      const { cost, priority } = await portOf(lab.host.namespace);
      return { cost, priority };
    };
    await lab.host.datapath.ensureNetwork(wanted, []);
    expect(await port()).toEqual({ cost: 70, priority: 20 });
    await shell(lab.host.namespace, [`bridge link set dev ${UPLINK} ${change}`]);

    await lab.host.datapath.ensureNetwork(wanted, []);

    expect(await port()).toEqual({ cost: 70, priority: 20 });
  });
});

// What the settings of a switch promise, the same on every switch: to a bridge with a spanning tree at the other end of its
// uplink, and by where frames go.
import { describe, expect, it } from "vitest";
import type { DatapathHost } from "./datapath/host.ts";
import { Changes } from "../../src/cnm/changes.ts";
import type { Network, SwitchSettings } from "../../src/cnm/network.ts";
import { UPLINK, networkIn, sandboxIn } from "../support/bridge-vlan-lab.ts";
import { ifName } from "../support/cnm-builder.ts";
import { CnmRig, NEVER } from "../support/cnm-rig.ts";
import { countFrames, frame, macOf, sendFrames } from "../support/counted-frames.ts";
import type { NetNamespace } from "../support/namespace.ts";
import { canPing, shell } from "../support/packet-lab.ts";
import { beBridge, bridgeData, portStates } from "../support/spanning-tree.ts";
import { waitUntil } from "../support/wait-until.ts";

/** A second link to the neighbour, whose end of it is `wire1`. */
const SECOND = ifName("up1");
/** The shortest times that fit together (IEEE 802.1D-2004, 17.14). */
const SHORT = { "stp-forward-delay": 4, "stp-max-age": 6, "stp-hello": 1 } as const;
const TREE_MS = 30_000;
const GROUP = "239.9.9.9";

/** A host with a neighbour at the other end of its uplink. */
export interface SettingsLab extends AsyncDisposable {
  readonly host: Pick<DatapathHost, "backend" | "datapath"> & { readonly namespace: NetNamespace };
  readonly neighbour: NetNamespace;
  /** What somebody at the console reads of the switch of `networkIn` and of its uplink, setting by setting. */
  settings(): Promise<Readonly<Record<string, unknown>>>;
  /** Sets there by hand an ageing of 77 s, a priority of 99, and what the way by the uplink costs, 55. */
  setByHand(): Promise<unknown>;
  /** The shortest `ageing`. */
  readonly leastAgeing: number;
  /** Makes the switch care for groups as soon as it has been told to: what a router on the wire would do. */
  askForMembers(): Promise<unknown>;
}

/** @param makeLab - called for each test, which disposes of it. */
export function describeSwitchSettings(name: string, makeLab: () => Promise<SettingsLab>): void {
  describe(`Switch settings: ${name}`, () => {
    describeTree(makeLab);
    describeAgeing(makeLab);
    describeGroups(makeLab);
    describeFailedChange(makeLab);
  });
}

function wired({ host }: SettingsLab, switchSettings: SwitchSettings, n = 1, parent = UPLINK): Network {
  const uplink = { parent, isAddressMoved: false };
  const { backend } = host;
  return networkIn(n, {}, { backend, mode: "l2", isHostOnSwitch: false, isGuarded: false, uplink, switchSettings });
}

function describeTree(makeLab: () => Promise<SettingsLab>): void {
  /** Two networks of one switch, each with an uplink to the neighbour, a bridge. */
  async function withTwoUplinks(lab: SettingsLab, priority: number, [first, other]: readonly SwitchSettings[]) {
    await shell(lab.host.namespace, [`ip link add ${SECOND} type veth peer name wire1 netns ${lab.neighbour.name}`]);
    await beBridge(lab.neighbour, priority);
    await shell(lab.neighbour, ["ip link set wire1 up master br0"]);
    const networks = [wired(lab, first ?? {}), wired(lab, other ?? {}, 2, SECOND)] as const;
    await lab.host.datapath.ensureNetwork(networks[0], []);
    await lab.host.datapath.ensureNetwork(networks[1], [networks[0]]);
    return networks;
  }

  describe("stp", () => {
    it("makes the switch with the lowest priority the root, whose times hold for all", async () => {
      await using lab = await makeLab();
      await beBridge(lab.neighbour, 4096);

      await lab.host.datapath.ensureNetwork(wired(lab, { stp: true, "stp-priority": 1, ...SHORT }), []);

      const theirs = await waitUntil("the neighbour to follow", async () => {
        const data = await bridgeData(lab.neighbour, "br0");
        return data.root_port !== 0 && data;
      });
      expect(theirs).toMatchObject({ forward_delay: 400, hello_time: 100, max_age: 600 });
    });

    it("leaves the root to another bridge that has a lower priority", async () => {
      await using lab = await makeLab();
      await beBridge(lab.neighbour, 4096);

      await lab.host.datapath.ensureNetwork(wired(lab, { stp: true, "stp-priority": 4097, ...SHORT }), []);

      await waitUntil(
        "the neighbour to forward",
        async () => (await portStates(lab.neighbour))["wire"] === "forwarding",
        { limitMs: TREE_MS },
      );
      expect(await bridgeData(lab.neighbour, "br0")).toMatchObject({ root_port: 0 });
    });

    it("reaches the root by that uplink of two that costs less", async () => {
      await using lab = await makeLab();
      const stp = { stp: true, "stp-priority": 5000, ...SHORT };
      const [network] = await withTwoUplinks(lab, 1, [
        { ...stp, "stp-cost": 900 },
        { ...stp, "stp-cost": 30 },
      ]);
      await using one = await sandboxIn(lab.host, network, 1, []);

      await waitUntil(
        "frames to come by the second uplink alone",
        async () => {
          const frames = `ether saddr ${macOf(3)}`;
          const seen = await countFrames(lab.neighbour, {
            wire: { ifName: "wire", matching: frames },
            wire1: { ifName: "wire1", matching: frames },
          });
          await sendFrames(one, "eth0", [frame(macOf(3), "ff:ff:ff:ff:ff:ff")]);
          const { wire, wire1 } = await seen();
          return wire === 0 && wire1 === 1;
        },
        { limitMs: TREE_MS },
      );
    });

    it.each([
      ["first", "wire", "wire1", 40, 5],
      ["second", "wire1", "wire", 5, 40],
    ])(
      "has the neighbour block the %s of two uplinks if it has the higher port priority",
      async (_which, blocking, forwarding, first, second) => {
        await using lab = await makeLab();
        const stp = { stp: true, "stp-priority": 1, ...SHORT };
        await withTwoUplinks(lab, 4096, [
          { ...stp, "stp-port-priority": first },
          { ...stp, "stp-port-priority": second },
        ]);

        await waitUntil(
          "the tree",
          async () => {
            const states = await portStates(lab.neighbour);
            return states[blocking] === "blocking" && states[forwarding] === "forwarding";
          },
          { limitMs: TREE_MS },
        );
      },
    );
  });
}

function describeAgeing(makeLab: () => Promise<SettingsLab>): void {
  describe("ageing", () => {
    it("is how long an address that was learned is kept: frames for it go to all ports again then", async () => {
      await using lab = await makeLab();
      const ageing = Math.max(lab.leastAgeing, 5);
      const wanted = wired(lab, { ageing });
      await lab.host.datapath.ensureNetwork(wanted, []);
      await using one = await sandboxIn(lab.host, wanted, 1, []);
      await using two = await sandboxIn(lab.host, wanted, 2, []);
      await waitUntil("the ports to forward", () => canPing(one, "10.1.1.3"));
      await waitUntil("the uplink to forward", async () => {
        const own = `ether saddr ${macOf(2)}`;
        const out = await countFrames(lab.neighbour, { frames: { ifName: "wire", matching: own } });
        await sendFrames(one, "eth0", [frame(macOf(2), "ff:ff:ff:ff:ff:ff")]);
        return (await out())["frames"] === 1;
      });
      const matching = `ether daddr ${macOf(7)}`;
      const isForAll = async () => {
        const out = await countFrames(lab.neighbour, { frames: { ifName: "wire", matching } });
        const next = await countFrames(two, {
          frames: { ifName: "eth0", matching },
          next: { ifName: "eth0", matching: `ether saddr ${macOf(1)} ether daddr ff:ff:ff:ff:ff:ff` },
        });
        await sendFrames(one, "eth0", [frame(macOf(1), macOf(7))]);
        await waitUntil("the frame to leave by the uplink", async () => (await out())["frames"] === 1);
        await sendFrames(one, "eth0", [frame(macOf(1), "ff:ff:ff:ff:ff:ff")]); // what the other gets, it has before this
        await waitUntil("the next frame to come to the other", async () => (await next())["next"] === 1);
        return (await next())["frames"] === 1;
      };

      const before = await isForAll();
      const learned = performance.now();
      await sendFrames(lab.neighbour, "wire", [frame(macOf(7), "ff:ff:ff:ff:ff:ff")]);
      await waitUntil("the address to be learned", async () => !(await isForAll()));
      await waitUntil("the address to be forgotten", isForAll, { limitMs: (ageing + 15) * 1000 });

      expect(before).toBe(true);
      expect(performance.now() - learned).toBeGreaterThan(ageing * 1000);
    });
  });
}

function describeGroups(makeLab: () => Promise<SettingsLab>): void {
  describe("mcast-snooping", () => {
    it.each([
      ["on, what is sent to a group goes to those only who asked for it", true, [20, 0]],
      ["off, it goes to all", false, [20, 20]],
    ])("%s", async (_what, isOn, expected) => {
      await using lab = await makeLab();
      const wanted = wired(lab, { "mcast-snooping": isOn });
      await lab.host.datapath.ensureNetwork(wanted, []);
      await using one = await sandboxIn(lab.host, wanted, 1, []);
      await using two = await sandboxIn(lab.host, wanted, 2, []);
      await waitUntil("the ports to forward", () => canPing(one, "10.1.1.3"));
      await lab.askForMembers();
      await shell(one, [`ip address add ${GROUP}/32 dev eth0 autojoin`]);
      await shell(lab.neighbour, ["ip address add 10.1.1.99/24 dev wire", "ip route add 239.0.0.0/8 dev wire"]);

      await waitUntil(
        "the multicast to go where it shall",
        async () => {
          const matching = "ether daddr 01:00:5e:09:09:09";
          const counts = await Promise.all(
            [one, two].map((at) => countFrames(at, { frames: { ifName: "eth0", matching } })),
          );
          await lab.neighbour.exec(["busybox", "ping", "-c", "20", "-i", "0.01", "-W", "1", GROUP]).catch(() => {}); // nobody answers
          const arrived = await Promise.all(counts.map(async (count) => (await count())["frames"]));
          return arrived.join() === expected.join();
        },
        { limitMs: 30_000 },
      );
    });
  });
}

function describeFailedChange(makeLab: () => Promise<SettingsLab>): void {
  describe("a change of all settings that fails at its end", () => {
    it.each([
      ["nobody had set any", false],
      ["somebody had set some by hand", true],
    ])("leaves each as it was when %s", async (_when, isByHand) => {
      await using lab = await makeLab();
      const { datapath } = lab.host;
      const plain = wired(lab, {});
      await datapath.ensureNetwork(plain, []);
      if (isByHand) await lab.setByHand();
      const before = await lab.settings();
      const rig = new CnmRig();
      rig.datapath.plant(UPLINK, { kind: "other" });
      await rig.registry.putNetwork(plain, "ready");
      const changes = new Changes({ ...rig.parts, datapaths: { bridge: datapath, ovs: datapath } });
      const options = new Map([
        ...Object.entries({ stp: "true", "stp-priority": "4096", "stp-cost": "70", "stp-port-priority": "8" }),
        ...Object.entries({ "stp-forward-delay": "12", "stp-hello": "3", "stp-max-age": "18", ageing: "60" }),
        ["mcast-snooping", plain.backend === "ovs" ? "true" : "false"], // the other than by itself
      ]);
      const change = (signal: AbortSignal) => changes.setNetwork({ networkId: plain.id, options }, signal);

      await expect(change(AbortSignal.abort())).rejects.toThrow("cannot be changed");

      expect(await lab.settings()).toEqual(before);
      await change(NEVER);
      const after = await lab.settings();
      const same = Object.keys(before).filter((key) => after[key] === before[key]);
      expect([Object.keys(after).length, same]).toEqual([options.size, []]);
    });
  });
}

// `tsnet set NETWORK` on a remembered host: each option that can be changed, what cannot and why, and what is left when a step
// fails or tsnet dies in between.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { SetAnswer } from "../../../src/cnm/change-requests.ts";
import { NETWORK_OPTIONS } from "../../../src/cnm/options.ts";
import { hostLinkName } from "../../../src/cnm/names.ts";
import { CnmRig, NEVER } from "../../support/cnm-rig.ts";
import {
  endpointId,
  endpointRequest,
  ifName,
  joinRequest,
  networkId,
  networkRequest,
  pool4,
} from "../../support/cnm-builder.ts";

const L2 = { mode: "l2", bridge: "sw0" };
const TUNNEL = { tunnel: "vxlan", vni: "7", peers: "192.0.2.1" };
const OLD_LINK = hostLinkName("bridge", ifName("sw0"), { vlan: 100 });
const NEW_LINK = hostLinkName("bridge", ifName("sw0"), { vlan: 200 });

/** A network with a joined endpoint and one that is created only. */
async function rigWith(options: Readonly<Record<string, string>> = {}): Promise<CnmRig> {
  const rig = new CnmRig();
  rig.datapath.plant("eth1", { kind: "other" });
  await rig.createNetwork(networkRequest(1, options));
  await rig.createEndpoint(endpointRequest(1));
  await rig.join(joinRequest(1));
  await rig.createEndpoint(endpointRequest(2));
  return rig;
}

function set(rig: CnmRig, options: Readonly<Record<string, string>>, n = 1, signal = NEVER): Promise<SetAnswer> {
  return rig.changes.setNetwork({ networkId: networkId(n), options: new Map(Object.entries(options)) }, signal);
}

/** Without what a network remembers of its creation. */
function networkOf(rig: CnmRig, n = 1) {
  const { created: _created, ...network } = rig.registry.requireNetwork(networkId(n));
  return network;
}

function portOf(rig: CnmRig, n = 1) {
  const { hostIfName } = rig.registry.requireEndpoint(joinRequest(n)).endpoint;
  return rig.datapath.links.get(hostIfName);
}

/** Runs a task that never gets beyond the n-th call of rules and switch. @returns whether there was one. */
async function dies(rig: CnmRig, n: number, task: () => Promise<unknown>): Promise<boolean> {
  const death = Promise.withResolvers<true>();
  let calls = 0;
  const stop = () => {
    if (++calls < n) return undefined;
    death.resolve(true);
    return new Promise<void>(() => {});
  };
  [rig.datapath.onCall, rig.firewall.onCall] = [stop, stop];
  const isDead = await Promise.race([task().then(() => false), death.promise]);
  [rig.datapath.onCall, rig.firewall.onCall] = [() => {}, () => {}];
  return isDead;
}

/** Each option that can be changed: with what the network was made, and what it becomes. */
const CASES: readonly (readonly [
  key: string,
  made: Readonly<Record<string, string>>,
  to: string,
  changes: readonly string[],
])[] = [
  ["vlan", { vlan: "100" }, "200", ["vlan 100 -> 200"]],
  ["vlan", {}, "200", ["vlan none -> 200"]],
  ["vlan", { vlan: "100" }, "none", ["vlan 100 -> none"]],
  ["trunk", { ...L2, trunk: "10-12" }, "10,20", ["trunk 10-12 -> 10,20"]],
  ["trunk", { ...L2, vlan: "5", trunk: "10", antispoof: "false" }, "none", ["trunk 10 -> none"]],
  ["shared-vlan", { vlan: "100" }, "true", ["shared-vlan false -> true"]],
  ["mtu", {}, "1400", ["mtu 1500 -> 1400"]],
  ["mtu", { mtu: "1400" }, "9000", ["mtu 1400 -> 9000"]],
  ["masquerade", {}, "false", ["masquerade true -> false"]],
  ["icc", {}, "false", ["icc true -> false"]],
  ["antispoof", {}, "false", ["antispoof true -> false"]],
  ["peers", TUNNEL, "192.0.2.2,192.0.2.3", ["peers 192.0.2.1 -> 192.0.2.2,192.0.2.3"]],
  ["stp", {}, "true", ["stp none -> true"]],
  ["stp", { stp: "true", "stp-hello": "3" }, "false", ["stp true -> false", "stp-hello 3 -> none"]],
  ["stp-priority", { stp: "true" }, "4096", ["stp-priority none -> 4096"]],
  ["stp-forward-delay", { stp: "true" }, "12", ["stp-forward-delay none -> 12"]],
  ["stp-hello", { stp: "true" }, "3", ["stp-hello none -> 3"]],
  ["stp-max-age", { stp: "true" }, "18", ["stp-max-age none -> 18"]],
  ["stp-cost", { stp: "true", parent: "eth1" }, "7", ["stp-cost none -> 7"]],
  ["stp-port-priority", { stp: "true", parent: "eth1" }, "8", ["stp-port-priority none -> 8"]],
  ["ageing", { ageing: "60" }, "30", ["ageing 60 -> 30"]],
  ["mcast-snooping", {}, "false", ["mcast-snooping none -> false"]],
  ["hairpin", {}, "true", ["hairpin none -> true"]],
];

const FIXED = [
  "backend",
  "datapath",
  "bridge",
  "mode",
  "gateway",
  "parent",
  "parent-address",
  "host-binding",
  "ifprefix",
  "tunnel",
  "local",
  "vni",
  "port",
  "routes",
  "dry-run",
];

describe("the cases of this file", () => {
  it("cover every network option", () => {
    expect([...new Set([...CASES.map(([key]) => key), ...FIXED])].toSorted()).toEqual(
      Object.keys(NETWORK_OPTIONS).toSorted(),
    );
  });
});

describe("the README", () => {
  it("names the options that can be changed", () => {
    const readme = readFileSync(join(import.meta.dirname, "../../../README.md"), "utf8");
    const row = /^\| a network \| (.*) \|$/m.exec(readme)?.[1] ?? "";

    expect(row.split(", ").toSorted()).toEqual([...new Set(CASES.map(([key]) => `\`${key}\``))].toSorted());
  });
});

describe("SetNetwork", () => {
  it.each(CASES)(
    "changes %s of a network made with %o to %s, and a restart of tsnet keeps it",
    async (key, made, to, lines) => {
      const rig = await rigWith(made);

      const { changes } = await set(rig, { [key]: to });

      expect(changes.map((change) => `${change.key} ${change.from} -> ${change.to}`)).toEqual(lines);
      const state = rig.state();
      const again = new CnmRig(rig);
      await again.reconciler.recover(false);
      expect(networkOf(again)).toEqual(networkOf(rig));
      expect({ ...again.state(), held: {} }).toEqual({ ...state, held: {} });
    },
  );

  it.each(CASES)("leaves %s of a network made with %o as %s when it is set again", async (key, made, to) => {
    const rig = await rigWith(made);
    await set(rig, { [key]: to });
    const writes = rig.writeCount;

    expect((await set(rig, { [key]: to })).changes).toEqual([]);
    expect(rig.writeCount).toBe(writes);
  });

  it.each(CASES)("ends as a network that was made with %s, of which %o became %s", async (key, made, to, lines) => {
    const rig = await rigWith(made);
    await set(rig, { [key]: to });
    const wanted = Object.entries({ ...made, [key]: to }).filter(([, text]) => text !== "none");
    const gone = lines.filter((line) => line.endsWith("none")).map((line) => line.split(" ")[0]);
    const direct = await rigWith(Object.fromEntries(wanted.filter(([name]) => !gone.includes(name))));

    const [changed, made2] = [networkOf(rig), networkOf(direct)];
    expect({ ...changed, mtu: 0 }).toEqual({ ...made2, mtu: 0 });
    const withoutRecords = ({ links, rules, elements }: { links?: object; rules?: object; elements?: object }) => {
      return { links, rules, elements };
    };
    expect(withoutRecords(rig.state())).toEqual(withoutRecords(direct.state()));
  });

  it.each(FIXED)("refuses %s, and says why", async (key) => {
    const rig = await rigWith();
    const before = rig.state();

    await expect(set(rig, { [key]: "x" })).rejects.toThrow(new RegExp(`^option ${key} cannot be changed: .{20}`));
    expect(rig.state()).toEqual(before);
  });

  it("refuses Docker's spelling of an option that stays, too", async () => {
    const name = "com.docker.network.bridge.name";

    await expect(set(await rigWith(), { [name]: "br0" })).rejects.toThrow(`option ${name} cannot be changed`);
  });

  it("takes Docker's spelling of an option that can be changed", async () => {
    const { changes } = await set(await rigWith(), { "com.docker.network.bridge.enable_icc": "false" });

    expect(changes).toEqual([{ key: "icc", from: "true", to: "false" }]);
  });

  it.each([
    [{ vlam: "10" }, 'unknown option "vlam", did you mean vlan'],
    [{ vlan: "0" }, 'option vlan: "0" is not permitted'],
    [{ icc: "none" }, 'option icc: "none" is not permitted'],
    [{ trunk: "20" }, "mode nat with option trunk needs option vlan"],
    [{ "stp-hello": "3" }, "option stp-hello is permitted with stp=true"],
    [{ peers: "192.0.2.2" }, "option peers is permitted with option tunnel"],
    [{ vlan: "7", trunk: "20" }, "option antispoof: true is not permitted with option trunk"],
    [{ vlan: "0", mtu: "1", mode: "l2" }, "option mode cannot be changed"],
  ])("refuses %o as a creation does, and changes nothing", async (options, why) => {
    const rig = await rigWith();
    const [before, writes] = [rig.state(), rig.writeCount];

    await expect(set(rig, options)).rejects.toThrow(why);
    expect(rig.state()).toEqual(before);
    expect(rig.writeCount).toBe(writes);
  });

  it("says all faults at once", async () => {
    await expect(set(await rigWith(), { mode: "l2", vlan: "0", vlam: "1" })).rejects.toThrow(
      /option mode .*option vlan.*vlam/,
    );
  });

  it("refuses a network that is not there", async () => {
    await expect(set(new CnmRig(), { icc: "false" })).rejects.toThrow("tsnet has no record of it");
  });

  it("moves the host's link with its addresses, and leaves none behind", async () => {
    const rig = await rigWith({ bridge: "sw0", vlan: "100" });
    expect(rig.datapath.links.has(OLD_LINK)).toBe(true);

    await set(rig, { vlan: "200" });

    expect(rig.datapath.links.has(OLD_LINK)).toBe(false);
    expect([...(rig.datapath.links.get(NEW_LINK)?.addresses ?? [])]).toEqual(["10.1.1.1/24"]);
    expect(portOf(rig)?.vlans).toEqual({ vlan: 200 });
    expect(rig.registry.requireEndpoint(joinRequest(2)).endpoint.vlans).toEqual({ vlan: 200 });
  });

  it("leaves the addresses of a host's link that stays where they are", async () => {
    const rig = await rigWith({ ...TUNNEL, vlan: "100", bridge: "sw0" });
    const lost: boolean[] = [];
    rig.datapath.onCall = () => void lost.push(rig.datapath.links.get(OLD_LINK)?.addresses.size === 0);

    await set(rig, { peers: "192.0.2.5" });

    expect(lost).not.toContain(true);
  });

  it("moves an endpoint that joins later to the new VLAN", async () => {
    const rig = await rigWith({ vlan: "100" });

    await set(rig, { vlan: "200" });
    await rig.join(joinRequest(2));
    await rig.createEndpoint(endpointRequest(3));

    expect(portOf(rig, 2)?.vlans).toEqual({ vlan: 200 });
    expect(rig.registry.requireEndpoint(joinRequest(3)).endpoint.vlans).toEqual({ vlan: 200 });
  });

  it("leaves an endpoint its own VLANs within the network's, and refuses by name to take them away", async () => {
    const rig = await rigWith({ ...L2, trunk: "10,20,30" });
    await rig.createEndpoint(endpointRequest(3, 1, { options: new Map([["vlan", "20"]]) }));
    await rig.join(joinRequest(3));

    await set(rig, { trunk: "20,40" });
    expect(portOf(rig, 3)?.vlans).toEqual({ vlan: 20 });
    expect(portOf(rig)?.vlans).toEqual({ trunk: [20, 40] });

    const before = rig.state();
    await expect(set(rig, { trunk: "40" })).rejects.toThrow(
      `endpoint ${endpointId(3).slice(0, 12)}: VLAN 20 is none of the network's; permitted: 40`,
    );
    expect(rig.state()).toEqual(before);
  });

  it("gives endpoints with the network's MTU the new one, and refuses by name to go below one's own", async () => {
    const rig = await rigWith();
    await rig.createEndpoint(endpointRequest(3, 1, { options: new Map([["mtu", "1300"]]) }));

    const { inside } = await set(rig, { mtu: "1400" });

    expect(portOf(rig)?.mtu).toBe(1400);
    const { mac } = rig.registry.requireEndpoint(joinRequest(1)).endpoint;
    const key = "/var/run/docker/netns/1";
    expect(inside).toEqual([{ endpointId: endpointId(1), sandboxKey: key, mac, mtu: 1400, addresses: [] }]);
    expect(await set(rig, { mtu: "1400" })).toEqual({ changes: [], inside }); // perhaps it was not done there
    expect(rig.registry.requireEndpoint(joinRequest(3)).endpoint.mtu).toBe(1300);
    await expect(set(rig, { mtu: "1200" })).rejects.toThrow("option mtu: 1300 is more than the network's 1200");
  });

  it("refuses a VLAN that another network of the switch has, and names it", async () => {
    const rig = new CnmRig();
    for (const n of [1, 2]) await rig.createNetwork(networkRequest(n, { ...L2, vlan: `${n}00` }));

    await expect(set(rig, { vlan: "100" }, 2)).rejects.toThrow(
      `network ${networkId(1).slice(0, 12)} uses it with vlan 100`,
    );
    await expect(set(rig, { mtu: "1400" }, 2)).rejects.toThrow(
      `network ${networkId(1).slice(0, 12)} uses it with mtu 1500`,
    );
  });

  it("refuses VLANs in which two endpoints would have one MAC address", async () => {
    const rig = new CnmRig();
    for (const n of [1, 2]) {
      await rig.createNetwork(networkRequest(n, { ...L2, vlan: `${n}00`, "shared-vlan": "true" }));
      await rig.createEndpoint(endpointRequest(n, n, { mac: "02:00:00:00:00:77" }));
    }

    await expect(set(rig, { vlan: "100" }, 2)).rejects.toThrow("MAC address 02:00:00:00:00:77 is in use");
  });

  it("refuses an MTU that is more than the uplink's", async () => {
    const rig = await rigWith({ parent: "eth1" });

    await expect(set(rig, { mtu: "9000" })).rejects.toThrow("option mtu: 9000 is more than the 1500 of eth1");
  });

  it("lowers the MTU of a network whose tunnel has room for less by then", async () => {
    const rig = await rigWith({ ...TUNNEL, mode: "l2" });
    rig.datapath.routes.set("192.0.2.2", { source: "192.0.2.99", mtu: 1400, link: "eth0", isOwn: false });

    const { changes } = await set(rig, { peers: "192.0.2.2" });

    expect(changes.map(({ key, to }) => [key, to])).toEqual([
      ["mtu", "1350"],
      ["peers", "192.0.2.2"],
    ]);
  });

  it("answers the engine's repeated CreateNetwork by the options of the creation", async () => {
    const rig = await rigWith({ vlan: "100" });

    await set(rig, { vlan: "200", icc: "false" });
    await set(rig, { vlan: "300" });

    await expect(rig.createNetwork(networkRequest(1, { vlan: "100" }))).resolves.toBeUndefined();
    await expect(rig.createNetwork(networkRequest(1, { vlan: "300" }))).rejects.toThrow("with other options");
    expect(networkOf(rig).vlans).toEqual({ vlan: 300 });
  });

  it("has the rules follow before the switch", async () => {
    const rig = await rigWith({ vlan: "100" });
    const steps = rig.steps();

    await set(rig, { vlan: "200" });

    expect(steps.filter((step) => !step.startsWith("inspect"))).toEqual([
      "check",
      "check",
      "readSettings",
      "apply",
      "removeNetwork",
      "ensureNetwork",
      "reattach",
    ]);
  });

  it("is refused when another endpoint came while it waited for one that is busy", async () => {
    const rig = await rigWith();
    const gate = Promise.withResolvers<void>();
    rig.datapath.onCall = (call) => (call === "detach" ? gate.promise : undefined);
    const leaving = rig.cnm.leave(joinRequest(1));
    const changing = set(rig, { mtu: "1400" });
    await rig.createEndpoint(endpointRequest(3));
    gate.resolve();

    await expect(changing).rejects.toThrow("just got another endpoint; change it again");
    await leaving;
    expect(networkOf(rig).mtu).toBe(1500);
  });

  it("and the creation of an endpoint in the place of a dead one do not wait for each other for ever", async () => {
    const rig = await rigWith();
    const { endpoint } = rig.registry.requireEndpoint(joinRequest(1));
    rig.datapath.unplug(endpoint.hostIfName);

    const removing = rig.cnm.deleteEndpoint(joinRequest(2));
    const creating = rig.createEndpoint(endpointRequest(2, 1, { address: endpoint.address ?? "" }));
    const changing = set(rig, { mtu: "1400" });

    await expect(Promise.allSettled([removing, creating, changing])).resolves.toHaveLength(3);
  });

  it("can be removed afterwards without a rest", async () => {
    const rig = await rigWith({ vlan: "100" });
    await set(rig, { vlan: "200" });

    for (const n of [1, 2]) await rig.cnm.deleteEndpoint(joinRequest(n));
    await rig.cnm.deleteNetwork(networkId());

    expect(rig.state()).toMatchObject({ links: { eth1: {} }, networks: {}, endpoints: {}, rules: [] });
    expect(rig.datapath.links.size).toBe(1);
  });

  describe("when a step fails", () => {
    const vlans = { bridge: "sw0", vlan: "100", stp: "false" };
    const wish = { vlan: "200", mtu: "1400" };

    /** How many changes of the switch the wish takes. */
    async function writesOf(): Promise<number> {
      const rig = await rigWith(vlans);
      const before = rig.datapath.writeCount;
      await set(rig, wish);
      return rig.datapath.writeCount - before;
    }

    it.each(["before", "after"] as const)(
      "leaves all as it was: each change of the switch, failing %s it is made",
      async (when) => {
        const writes = await writesOf();
        expect(writes).toBeGreaterThan(4);

        for (let n = 1; n <= writes; n++) {
          const rig = await rigWith(vlans);
          const before = rig.state();
          rig.datapath.failWrite(n, when);

          await expect(set(rig, wish), `change ${n}`).rejects.toThrow("cannot be changed");
          expect(rig.state(), `change ${n}`).toEqual(before);
        }
      },
    );

    it.each(["before", "after"] as const)("leaves all as it was when the rules fail %s they are made", async (when) => {
      const rig = await rigWith(vlans);
      const before = rig.state();
      rig.firewall.fail("apply", 1, when);

      await expect(set(rig, wish)).rejects.toThrow("cannot be changed");
      expect(rig.state()).toEqual(before);
    });

    it("leaves all as it was when it cannot be recorded", async () => {
      const rig = await rigWith(vlans);
      const before = rig.state();
      rig.records.failCommit(1);

      await expect(set(rig, wish)).rejects.toThrow("disk full");
      expect(rig.state()).toEqual(before);
      expect(networkOf(rig).vlans).toEqual({ vlan: 100 });
    });

    it("is done when only its end cannot be recorded on a disk that has failed for good, and ended by the next look", async () => {
      const rig = await rigWith(vlans);
      const from = rig.records.commitCount;
      rig.records.isFailing = (n) => n > from + 1;

      await set(rig, wish);

      expect(networkOf(rig).vlans).toEqual({ vlan: 200 });
      expect(rig.datapath.links.has(OLD_LINK)).toBe(false);
      rig.records.isFailing = () => false;
      await rig.reconciler.run();
      expect(rig.registry.findNetwork(networkId(1))).not.toHaveProperty("former");
    });

    it("leaves all as it was when the caller has gone", async () => {
      const rig = await rigWith(vlans);
      const before = rig.state();

      await expect(set(rig, wish, 1, AbortSignal.abort())).rejects.toThrow();
      expect(rig.state()).toEqual(before);
    });

    it.each([
      ["ageing", "60", { ageing: 300 }],
      ["mcast-snooping", "false", { "mcast-snooping": true }],
      ["stp", "true", { stp: false }],
      ["stp", "true", {}],
    ])("gives the switch back what it had of %s, which nobody had named, and what it had not", async (key, to, had) => {
      const rig = await rigWith({ bridge: "sw0" });
      rig.datapath.settings.set("sw0", had);

      await expect(set(rig, { [key]: to }, 1, AbortSignal.abort())).rejects.toThrow();

      expect(rig.datapath.settings.get("sw0")).toEqual(had);
      expect(networkOf(rig).switchSettings).toEqual({});
    });
  });

  it("is finished, or not begun, by the next start when tsnet dies at any call of the rules and the switch", async () => {
    const vlans: unknown[] = [];
    for (let n = 1; ; n++) {
      const rig = await rigWith({ bridge: "sw0", vlan: "100" });
      if (!(await dies(rig, n, () => set(rig, { vlan: "200" })))) break;

      const again = new CnmRig(rig);
      await again.reconciler.recover(false);

      const { vlan } = networkOf(again).vlans;
      vlans.push(vlan);
      const [here, gone] = vlan === 200 ? [NEW_LINK, OLD_LINK] : [OLD_LINK, NEW_LINK];
      expect([again.datapath.links.has(here), again.datapath.links.has(gone)], `call ${n}`).toEqual([true, false]);
      expect(portOf(again)?.vlans, `call ${n}`).toEqual({ vlan });
      expect(again.records.list("network").get(networkId())).not.toHaveProperty("former");
    }
    expect(new Set(vlans)).toEqual(new Set([100, 200]));
  });

  it("leaves nothing of what was before when the network is removed before an interrupted change is finished", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { bridge: "sw0", vlan: "100" }));
    await rig.createNetwork(networkRequest(2, { bridge: "sw0", vlan: "20" }));
    expect(await dies(rig, 4, () => set(rig, { vlan: "200" }))).toBe(true); // the record is written, the link is there
    expect(rig.datapath.links.has(OLD_LINK)).toBe(true);

    const again = new CnmRig(rig);
    await again.cnm.deleteNetwork(networkId());

    expect([again.datapath.links.has(OLD_LINK), again.datapath.links.has(NEW_LINK)]).toEqual([false, false]);
  });

  it("waits for an endpoint that is joining", async () => {
    const rig = await rigWith({ vlan: "100" });
    const gate = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    rig.datapath.onCall = async (call) => {
      if (call !== "attach") return;
      arrived.resolve();
      await gate.promise;
    };
    const joining = rig.join(joinRequest(2));
    await arrived.promise;

    const setting = set(rig, { vlan: "200" });
    gate.resolve();
    await Promise.all([joining, setting]);

    expect(portOf(rig, 2)?.vlans).toEqual({ vlan: 200 });
  });

  it("gives an endpoint that is created meanwhile the new VLAN", async () => {
    const rig = await rigWith({ vlan: "100" });
    const gate = Promise.withResolvers<void>();
    rig.datapath.onCall = (call) => (call === "isNameTaken" ? gate.promise : undefined);
    const creating = rig.createEndpoint(endpointRequest(3, 1));

    await set(rig, { vlan: "200" });
    gate.resolve();
    await creating;

    expect(rig.registry.requireEndpoint(joinRequest(3)).endpoint.vlans).toEqual({ vlan: 200 });
  });

  it("takes a network of another IPAM's pools as well", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest(1, { vlan: "5" }, { pools: [pool4(9)] }));

    await set(rig, { vlan: "6" });

    expect(networkOf(rig).pools).toEqual([{ subnet: "10.1.9.0/24", gateway: "10.1.9.1" }]);
  });
});

// VLANs on a Linux bridge: who is in which, seen with bridge(8), who reaches whom, and what is left when a network goes. Frame
// by frame: the contract of VLANs (test/contract/vlans.ts).
import { describe, expect, it } from "vitest";
import {
  SWITCH,
  UPLINK,
  listenIn,
  makeWire,
  networkIn,
  sandboxIn,
  shownVlans,
  untagged,
  vlanLab,
} from "../support/bridge-vlan-lab.ts";
import { endpoint, ifName } from "../support/cnm-builder.ts";
import { waitForIdleLook } from "../support/link-monitor.ts";
import { canPing, reachable, shell } from "../support/packet-lab.ts";
import { waitUntil } from "../support/wait-until.ts";

const uplink = { parent: UPLINK, isAddressMoved: false };
const RED = networkIn(1, { vlan: 100 }, { uplink });
const BLUE = networkIn(2, { vlan: 200 }, { uplink });
const PLAIN = networkIn(3, {}, { uplink });
const TRUNK = networkIn(4, { vlan: 300, trunk: [301, 302, 310] }, { isGuarded: false });
const port = (n: number) => endpoint(n).hostIfName;

interface SeenVlanLink {
  readonly address: string;
  readonly mtu: number;
  readonly group: string;
  readonly ifalias?: string;
  readonly link?: string;
  readonly linkinfo?: { readonly info_data?: { readonly id?: number } };
}

/** Four networks on one bridge, three of them with the uplink, and endpoints 1 and 2 in RED, 3 in BLUE, 4 in PLAIN. */
async function fullLab() {
  await using stack = new AsyncDisposableStack();
  const lab = stack.use(await vlanLab());
  const networks = [RED, BLUE, PLAIN, TRUNK];
  for (const [n, of] of networks.entries()) {
    await lab.host.datapath.check(of, networks.slice(0, n));
    await lab.host.datapath.ensureNetwork(of, networks.slice(0, n));
  }
  const place = async (of: typeof RED, n: number) => stack.use(await sandboxIn(lab.host, of, n, []));
  const red = await place(RED, 1);
  await place(RED, 2);
  const [blue, plain] = [await place(BLUE, 3), await place(PLAIN, 4)];
  await listenIn(lab.neighbour, 100, "10.1.1.99/24");
  await listenIn(lab.neighbour, 200, "10.1.2.99/24");
  await lab.neighbour.exec(["ip", "address", "add", "10.1.3.99/24", "dev", "wire"]);
  const pings = {
    "red to the host": [red, "10.1.1.1"],
    "red to its peer": [red, "10.1.1.3"],
    "red to the neighbour": [red, "10.1.1.99"],
    "blue to the host": [blue, "10.1.2.1"],
    "blue to the neighbour": [blue, "10.1.2.99"],
    "plain to the host": [plain, "10.1.3.1"],
    "plain to the neighbour": [plain, "10.1.3.99"],
  } as const;
  const disposables = stack.move();
  return { ...lab, networks, pings, [Symbol.asyncDispose]: () => disposables.disposeAsync() };
}

type Lab = Awaited<ReturnType<typeof fullLab>>;

const others = ({ networks }: Lab, own: typeof RED) => networks.filter(({ id }) => id !== own.id);

/** Who has which VLANs. */
async function vlansOf({ host }: Lab, names: readonly string[]) {
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await shownVlans(host, name)] as const)),
  );
}

/** As it is while all networks are there. */
const ALL_VLANS = {
  [SWITCH]: [untagged(1), "100", "200", "300"],
  [UPLINK]: [untagged(1), "100", "200"],
  [port(1)]: [untagged(100)],
  [port(3)]: [untagged(200)],
  [port(4)]: [untagged(1)],
};

/** Which of the first packets of ping(1) were not answered. */
function lostOf(text: string, count: number): readonly number[] {
  const answered = new Set(Array.from(text.matchAll(/ seq=(\d+) /g), ([, sequence]) => Number(sequence)));
  return Array.from({ length: count }, (_, sequence) => sequence).filter((sequence) => !answered.has(sequence));
}

async function reachesAll({ pings }: Lab): Promise<boolean> {
  return (await reachable(pings)).length === Object.keys(pings).length;
}

describe("networks with VLANs on one bridge", () => {
  it("are each in their VLAN, reach their own, and are put back by whatever way they were lost", async () => {
    await using lab = await fullLab();
    const { host } = lab;
    const look = async () => {
      for (const of of lab.networks) await host.datapath.ensureNetwork(of, others(lab, of));
      for (const [of, n] of [
        [RED, 1],
        [RED, 2],
        [BLUE, 3],
        [PLAIN, 4],
      ] as const) {
        await host.datapath.reattach(
          of,
          endpoint(n, Number(of.pools[0]?.subnet.split(".")[2]), { networkId: of.id, vlans: of.vlans }),
        );
      }
    };

    expect(await vlansOf(lab, Object.keys(ALL_VLANS))).toEqual(ALL_VLANS);
    await waitUntil("all to answer", () => reachesAll(lab), { limitMs: 60_000 });
    const [link] = await host.namespace.json<SeenVlanLink[]>(["ip", "-json", "-details", "link", "show", RED.hostLink]);
    expect(link).toMatchObject({
      address: RED.switchMac,
      mtu: 1500,
      group: "29811",
      link: SWITCH,
      ifalias: `tsnet:network:${RED.id}`,
      linkinfo: { info_data: { id: 100 } },
    });
    await waitForIdleLook(host.namespace, look, 60_000);

    await shell(host.namespace, [
      `bridge vlan del dev ${port(1)} vid 100; bridge vlan add dev ${port(1)} vid 200 pvid untagged`,
      `bridge vlan add dev ${port(3)} vid 100`,
      `bridge vlan del dev ${UPLINK} vid 200; bridge vlan add dev ${UPLINK} vid 2-4000`,
      `bridge vlan del dev ${SWITCH} vid 100 self; bridge vlan add dev ${SWITCH} vid 77 self`,
      `ip link del ${BLUE.hostLink}`,
      `ip link set ${RED.hostLink} down address 02:00:00:00:00:77 mtu 1400`,
      `ip link set ${SWITCH} type bridge vlan_default_pvid 5`,
    ]);
    await look();
    expect(await vlansOf(lab, Object.keys(ALL_VLANS))).toEqual(ALL_VLANS);
    await waitUntil("all to answer again", () => reachesAll(lab), { limitMs: 60_000 });

    await shell(host.namespace, [`ip link set ${SWITCH} type bridge vlan_filtering 0`]);
    await look();
    expect(await vlansOf(lab, Object.keys(ALL_VLANS))).toEqual(ALL_VLANS);
    expect(await host.namespace.exec(["ip", "-d", "link", "show", SWITCH])).toContain("vlan_filtering 1");
    await waitUntil("all to answer a third time", () => reachesAll(lab), { limitMs: 60_000 });
  });

  it("keep their uplink through a hundred flaps, another MTU, and its being made again [F108]", async () => {
    await using lab = await fullLab();
    const { host, neighbour } = lab;
    const flap = `link set ${UPLINK} down\nlink set ${UPLINK} up\n`;
    await shell(host.namespace, ["ip -batch - <<'END'", `${flap.repeat(100)}END`]);
    await waitUntil("all to answer after the flaps", () => reachesAll(lab), { limitMs: 60_000 });
    expect(await shownVlans(host, UPLINK)).toEqual(ALL_VLANS[UPLINK]);

    await shell(host.namespace, [`ip link set ${UPLINK} mtu 1400`]);
    await host.datapath.ensureNetwork(RED, others(lab, RED));
    expect((await host.ipLink(SWITCH)).mtu).toBe(1500);
    expect((await host.ipLink(RED.hostLink)).mtu).toBe(1500);

    await host.deleteLink(UPLINK);
    await host.datapath.ensureNetwork(RED, others(lab, RED));
    await makeWire(host.namespace, neighbour);
    await listenIn(neighbour, 100, "10.1.1.99/24");
    await listenIn(neighbour, 200, "10.1.2.99/24");
    await neighbour.exec(["ip", "address", "add", "10.1.3.99/24", "dev", "wire"]);
    await host.datapath.ensureNetwork(RED, others(lab, RED));
    expect(await shownVlans(host, UPLINK)).toEqual(ALL_VLANS[UPLINK]);
    await waitUntil("all to answer after it came back", () => reachesAll(lab), { limitMs: 60_000 });
  });

  it("take with them what they alone had", async () => {
    await using lab = await fullLab();
    const { host } = lab;
    const names = async () => [...(await host.see()).keys()];
    await host.datapath.removeNetwork(RED, [BLUE, PLAIN, TRUNK]);
    expect(await shownVlans(host, SWITCH)).toEqual([untagged(1), "200", "300"]);
    expect(await shownVlans(host, UPLINK)).toEqual([untagged(1), "200"]);
    expect(await names()).not.toContain(RED.hostLink);
    expect(await names()).toContain(BLUE.hostLink);

    await host.datapath.removeNetwork(PLAIN, [BLUE, TRUNK]);
    expect(await shownVlans(host, SWITCH)).toEqual(["200", "300"]);
    expect(await shownVlans(host, UPLINK)).toEqual(["200"]);
    expect((await host.see()).get(SWITCH)?.addresses).toEqual([]);

    await host.datapath.removeNetwork(BLUE, [TRUNK]);
    expect((await host.ipLink(UPLINK)).master).toBeUndefined();
    expect(await shownVlans(host, UPLINK)).toEqual([]);

    await host.datapath.removeNetwork(TRUNK, []);
    expect(await names()).not.toContain(SWITCH);
    expect(await names()).not.toContain(TRUNK.hostLink);
    expect(await names()).toContain(UPLINK);
  });

  it("give trunk ports their list, also when it is a part of the network's, and share a VLAN when told so", async () => {
    await using lab = await fullLab();
    const { host } = lab;
    const [one, two] = [5, 6].map((n) =>
      networkIn(n, { vlan: 500 }, { isVlanShared: true, hostLink: ifName("tsgshared") }),
    );
    if (one === undefined || two === undefined) return;
    await using _whole = await sandboxIn(host, TRUNK, 7, []);
    await using _part = await sandboxIn(host, TRUNK, 8, [], { vlans: { trunk: [302] } });
    expect(await shownVlans(host, port(7))).toEqual([untagged(300), "301-302", "310"]);
    expect(await shownVlans(host, port(8))).toEqual(["302"]);

    await host.datapath.ensureNetwork(one, lab.networks);
    await host.datapath.ensureNetwork(two, [...lab.networks, one]);
    expect((await host.see()).get("tsgshared")?.addresses).toEqual(["10.1.5.1/24", "10.1.6.1/24"]);
    await host.datapath.removeNetwork(one, [...lab.networks, two]);
    expect((await host.see()).get("tsgshared")?.addresses).toEqual(["10.1.6.1/24"]);
    expect(await shownVlans(host, SWITCH)).toContain("500");
    await host.datapath.removeNetwork(two, lab.networks);
    expect((await host.see()).has("tsgshared")).toBe(false);
    expect(await shownVlans(host, SWITCH)).not.toContain("500");
  });
});

describe("a bridge without VLANs", () => {
  it("becomes one with VLANs, and guarded endpoints and open ones lose no frame by it", async () => {
    await using lab = await vlanLab();
    const { host } = lab;
    const guarded = networkIn(3, {}, { uplink });
    const open = networkIn(4, {}, { isGuarded: false, uplink });
    await host.datapath.ensureNetwork(guarded, []);
    await host.datapath.ensureNetwork(open, [guarded]);
    await using one = await sandboxIn(host, guarded, 1, [open]);
    await using two = await sandboxIn(host, open, 2, [guarded]);
    await lab.neighbour.exec(["ip", "address", "add", "10.1.3.99/24", "dev", "wire"]);
    expect(await host.namespace.exec(["ip", "-d", "link", "show", SWITCH])).toContain("vlan_filtering 0");
    const ways = [
      [one, "10.1.3.1"],
      [one, "10.1.3.99"],
      [two, "10.1.4.1"],
    ] as const;
    for (const [from, to] of ways) await waitUntil(`${to} to answer`, () => canPing(from, to));
    const pings = ways.map(([from, to]) => from.exec(["busybox", "ping", "-i", "0.05", "-c", "220", to]));
    await waitUntil("pings to be under way", async () => {
      const seen = await host.namespace.json<{ stats64: { rx: { packets: number } } }[]>([
        "ip",
        "-json",
        "-s",
        "link",
        "show",
        port(2),
      ]);
      return (seen[0]?.stats64.rx.packets ?? 0) > 20;
    });

    await host.datapath.ensureNetwork(RED, [guarded, open]);
    await host.datapath.ensureNetwork(BLUE, [guarded, open, RED]);

    // those to the last packets may come when nobody waits any more
    for (const text of await Promise.all(pings)) expect(lostOf(text, 200)).toEqual([]);
    expect(await host.namespace.exec(["ip", "-d", "link", "show", SWITCH])).toContain("vlan_filtering 1");
    expect(await shownVlans(host, UPLINK)).toEqual([untagged(1), "100", "200"]);
  });
});

describe("a bridge of somebody else's", () => {
  it("gets VLANs for what is tsnet's and keeps its own, if it tells VLANs apart", async () => {
    await using lab = await vlanLab();
    const { host } = lab;
    const adopted = { ...RED, isSwitchOurs: false };
    const carrier = "s/NO-CARRIER,//; s/,LOWER_UP//; s/ state [A-Z]*//"; // the kernel notices it when it has time
    const show = () => shell(host.namespace, ["bridge vlan show", `ip -o link show | grep -v tsv | sed '${carrier}'`]);
    await shell(host.namespace, [
      `ip link add ${SWITCH} up type bridge`,
      `ip link add own up master ${SWITCH} type veth peer name own-end`,
    ]);
    const refusal = { code: "conflict", message: expect.stringContaining("vlan_filtering 1") as string };
    await expect(host.datapath.check(adopted, [])).rejects.toMatchObject(refusal);
    await shell(host.namespace, [
      `ip link set ${SWITCH} type bridge vlan_filtering 1`,
      `bridge vlan add dev own vid 100`,
      `ip link set ${UPLINK} up`,
    ]);
    const before = await show();

    await host.datapath.check(adopted, []);
    await host.datapath.ensureNetwork(adopted, []);
    await using one = await sandboxIn(host, adopted, 1, []);
    await listenIn(lab.neighbour, 100, "10.1.1.99/24");

    expect(await shownVlans(host, SWITCH)).toEqual([untagged(1), "100"]);
    expect(await shownVlans(host, UPLINK)).toEqual(["100"]);
    expect(await shownVlans(host, port(1))).toEqual([untagged(100)]);
    await waitUntil("the host to answer", () => canPing(one, "10.1.1.1"));
    await waitUntil("the neighbour to answer", () => canPing(one, "10.1.1.99"));
    await host.datapath.detach(endpoint(1));
    await host.datapath.removeNetwork(adopted, []);
    expect(await show()).toBe(before);
  });

  it("is refused where it has a link of its own in the VLAN, or the VLAN untagged for itself [F70]", async () => {
    await using lab = await vlanLab();
    const { host } = lab;
    const adopted = networkIn(1, { vlan: 100 }, { isSwitchOurs: false });
    await shell(host.namespace, [
      `ip link add ${SWITCH} up type bridge vlan_filtering 1`,
      `ip link add own.100 link ${SWITCH} type vlan id 100`,
    ]);
    const conflict = (text: string) => ({ code: "conflict", message: expect.stringContaining(text) as string });

    await expect(host.datapath.check(adopted, [])).rejects.toMatchObject(conflict("link own.100"));
    await expect(host.datapath.check({ ...adopted, vlans: { vlan: 1 } }, [])).rejects.toMatchObject(
      conflict("without a tag"),
    );
    const plain = networkIn(2, {}, { isSwitchOurs: false });
    await expect(host.datapath.check({ ...adopted, vlans: { vlan: 1 } }, [plain])).rejects.toMatchObject(
      conflict("VLAN 1"),
    );
    const ours = networkIn(1, { trunk: [1, 7] }, { mode: "l2", isHostOnSwitch: false, switchName: ifName("new0") });
    await expect(host.datapath.check(ours, [{ ...plain, isSwitchOurs: true }])).rejects.toMatchObject(
      conflict("VLAN 1"),
    );
    await host.datapath.check(ours, []);
  });
});

describe("an uplink with VLAN links of somebody else's", () => {
  it("is refused in the VLAN of one, whose frames would never come to the bridge, and taken in another [F70]", async () => {
    await using lab = await vlanLab();
    const { host } = lab;
    const below = { parent: ifName(UPLINK), isAddressMoved: false };
    await shell(host.namespace, [`ip link add theirs link ${UPLINK} type vlan id 100`]);

    await expect(host.datapath.check(networkIn(1, { vlan: 100 }, { uplink: below }), [])).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("link theirs gets its frames of VLAN 100") as string,
    });

    await host.datapath.check(networkIn(1, { vlan: 101 }, { uplink: below }), []);
  });
});

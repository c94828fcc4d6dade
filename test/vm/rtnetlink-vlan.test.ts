// VLANs of bridges by rtnetlink, on a kernel that has them. What any kernel can do: `../kernel/host/rtnetlink-*.test.ts`.
import { describe, expect, it } from "vitest";
import { isErrno } from "../../src/host/netlink.ts";
import type { PortVlan } from "../../src/host/rtnetlink-port-vlan.ts";
import { Rtnetlink } from "../../src/host/rtnetlink.ts";
import { NetNamespace } from "../support/namespace.ts";
import { PATIENCE } from "../support/wait-until.ts";

const BRIDGE = { name: "tsbr0", mac: "02:11:22:33:44:55", mtu: 1450, group: 71 };
const FILTERING = { vlanFiltering: true, defaultPvid: 0 };
const PORT = { name: "tsv0", mtu: 1450, group: 71, isUp: false, peer: { name: "tsp0" } };

const tagged = (vid: number): PortVlan => ({ vid, isPvid: false, isUntagged: false });
const access = (vid: number): PortVlan => ({ vid, isPvid: true, isUntagged: true });
const from = (first: number, count: number) => Array.from({ length: count }, (_, i) => tagged(first + i));

interface IpLink {
  readonly ifindex: number;
  readonly ifname: string;
  readonly link?: string;
  readonly address: string;
  readonly mtu: number;
  readonly group: string;
  readonly flags: readonly string[];
  readonly linkinfo: { readonly info_kind?: string; readonly info_data?: Readonly<Record<string, unknown>> };
}

async function seen(ns: NetNamespace, name: string): Promise<IpLink | undefined> {
  const [link] = await ns.json<IpLink[]>(["ip", "-json", "-details", "link", "show", name]);
  return link;
}

/** Each VLAN that bridge(8) shows for a link, a range as it shows it: `10 PVID,Egress Untagged`, `20-29`. */
async function vlans(ns: NetNamespace, name: string): Promise<string[]> {
  interface Shown {
    readonly ifname: string;
    readonly vlans: readonly { readonly vlan: number; readonly vlanEnd?: number; readonly flags?: readonly string[] }[];
  }
  const links = await ns.json<Shown[]>(["bridge", "-json", "-compressvlans", "vlan", "show"]);
  const own = links.find(({ ifname }) => ifname === name)?.vlans ?? [];
  return own.map(({ vlan, vlanEnd, flags = [] }) => {
    const range = vlanEnd === undefined ? `${vlan}` : `${vlan}-${vlanEnd}`;
    return [range, flags.join()].join(" ").trimEnd();
  });
}

describe("Rtnetlink on a kernel with bridge VLANs", () => {
  it("makes a bridge that filters from the start, and switches filtering off and on", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    expect([await rtnetlink.hasBridgeVlans(), await rtnetlink.hasVlanLinks()]).toEqual([true, true]);
    const filtering = async () => (await seen(ns, "tsbr0"))?.linkinfo.info_data;

    const masterIndex = await rtnetlink.addBridge({ ...BRIDGE, bridge: FILTERING });
    expect(await filtering()).toMatchObject({ vlan_filtering: 1, vlan_default_pvid: 0 });
    await rtnetlink.addVeth({ ...PORT, masterIndex });
    expect([await vlans(ns, "tsbr0"), await vlans(ns, "tsv0")]).toEqual([[], []]);
    expect((await rtnetlink.requireLink("tsbr0")).bridge).toMatchObject(FILTERING);

    await rtnetlink.setLink(masterIndex, { bridge: { vlanFiltering: false, defaultPvid: 9 } });
    expect(await filtering()).toMatchObject({ vlan_filtering: 0, vlan_default_pvid: 9 });
    expect(await vlans(ns, "tsv0")).toEqual(["9 PVID,Egress Untagged"]);

    await rtnetlink.setLink(masterIndex, { bridge: FILTERING });
    expect(await filtering()).toMatchObject({ vlan_filtering: 1, vlan_default_pvid: 0 });
    expect([await vlans(ns, "tsbr0"), await vlans(ns, "tsv0")]).toEqual([[], []]);
  });

  it("gives ports and the bridge itself exactly the VLANs wanted, telling the kernel only what differs", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const masterIndex = await rtnetlink.addBridge({ ...BRIDGE, bridge: FILTERING });
    const port = await rtnetlink.addVeth({ ...PORT, masterIndex });
    const other = await rtnetlink.addVeth({ ...PORT, name: "tsv1", masterIndex, peer: { name: "tsp1" } });

    for (const [wanted, shown] of [
      [[access(10)], ["10 PVID,Egress Untagged"]],
      [
        [access(20), tagged(10)],
        ["10", "20 PVID,Egress Untagged"],
      ],
      [
        [...from(30, 10), access(20)],
        ["20 PVID,Egress Untagged", "30-39"],
      ],
      [from(1, 4000), ["1-4000"]],
      [[], []],
    ] as const) {
      await rtnetlink.setPortVlans(port, wanted);
      expect(await vlans(ns, "tsv0")).toEqual(shown);
      expect(await rtnetlink.portVlans(port)).toEqual(wanted.toSorted((a, b) => a.vid - b.vid));
    }
    expect([await vlans(ns, "tsbr0"), await rtnetlink.portVlans(other)]).toEqual([[], []]);

    const mixed = from(1, 4094).map((vlan) => ({ ...vlan, isUntagged: vlan.vid % 2 === 0 })); // no two neighbours alike
    await rtnetlink.setPortVlans(other, mixed);
    expect(await rtnetlink.portVlans(other)).toEqual(mixed);

    await rtnetlink.setPortVlans(masterIndex, [tagged(7), access(8)], { isSelf: true });
    expect(await vlans(ns, "tsbr0")).toEqual(["7", "8 PVID,Egress Untagged"]);
    await rtnetlink.setPortVlans(masterIndex, [tagged(7)], { isSelf: true });
    expect(await vlans(ns, "tsbr0")).toEqual(["7"]);
    expect(await rtnetlink.requireLink("tsv0")).toMatchObject({ index: port, masterIndex });

    const peer = await rtnetlink.requireLink("tsp0");
    await expect(rtnetlink.setPortVlans(peer.index, [])).rejects.toThrow("list VLANs of link tsp0: ");
    const gone = await rtnetlink.portVlans(4711).catch((failure: unknown) => failure);
    expect(isErrno(gone, "ENODEV")).toBe(true);
  });

  it("leaves the VLANs that stay untouched while others come and go", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const masterIndex = await rtnetlink.addBridge({ ...BRIDGE, bridge: FILTERING });
    const port = await rtnetlink.addVeth({ ...PORT, masterIndex });
    await rtnetlink.setPortVlans(port, [access(10), tagged(11), tagged(12)]);
    const monitor = ns.spawn(["stdbuf", "-oL", "bridge", "monitor", "vlan"]);
    let told = "";
    monitor.stdout?.on("data", (text: Buffer) => (told += text.toString()));
    const isListening = async () => {
      await ns.exec(["bridge", "vlan", "add", "vid", "99", "dev", "tsv0"]);
      await ns.exec(["bridge", "vlan", "del", "vid", "99", "dev", "tsv0"]);
      return told;
    };
    await expect.poll(isListening, { timeout: 30_000 * PATIENCE }).toContain("99");

    await rtnetlink.setPortVlans(port, [access(10), tagged(12), ...from(20, 3)]);
    await rtnetlink.setPortVlans(port, [access(10), tagged(12), ...from(20, 3)]);

    await expect.poll(() => told, { timeout: 30_000 * PATIENCE }).toContain("Deleted tsv0              11");
    const news = told.split("\n").filter((line) => /\b(10|11|12|2\d)\b/.test(line.replace(/state.*/, "")));
    expect(news.map((line) => line.replace(/ +/g, " "))).toEqual(["tsv0 20-22", "Deleted tsv0 11"]);
  });

  it("makes a VLAN link above a bridge", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const parentIndex = await rtnetlink.addBridge({ ...BRIDGE, bridge: FILTERING });
    await rtnetlink.setLink(parentIndex, { isUp: true });
    const spec = { name: "tsvl7", parentIndex, vlanId: 7, mtu: 1400, group: 71, isUp: true };

    const index = await rtnetlink.addVlan({ ...spec, mac: "02:00:00:00:00:07" });
    const inherits = await rtnetlink.addVlan({ ...spec, name: "tsvl8", vlanId: 8, isUp: false });

    const link = await seen(ns, "tsvl7");
    expect(link).toMatchObject({ ifindex: index, link: "tsbr0", address: "02:00:00:00:00:07", mtu: 1400, group: "71" });
    expect(link?.flags).toContain("UP");
    expect(link?.linkinfo).toMatchObject({ info_kind: "vlan", info_data: { protocol: "802.1Q", id: 7 } });
    expect(await seen(ns, "tsvl8")).toMatchObject({ ifindex: inherits, address: BRIDGE.mac });
    expect(await rtnetlink.requireLink("tsvl7")).toMatchObject({ kind: "vlan", vlanId: 7, peerIndex: parentIndex });
    const again = await rtnetlink.addVlan({ ...spec, name: "tsvl9" }).catch((failure: unknown) => failure);
    expect([String(again), isErrno(again, "EEXIST")]).toEqual([expect.stringContaining("add VLAN link tsvl9"), true]);
  });
});

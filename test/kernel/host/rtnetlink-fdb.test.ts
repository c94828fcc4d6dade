// Entries of a bridge's forwarding table, as bridge(8) shows them. That frames follow them: `datapath/guard.test.ts`.
import { describe, expect, it } from "vitest";
import { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { NetNamespace } from "../../support/namespace.ts";

const MAC = "02:42:0a:01:01:02";

interface Entry {
  readonly mac: string;
  readonly ifname: string;
  readonly state: string;
  readonly flags: readonly string[];
}

/** A bridge with the ports tsv0 and tsv1. */
async function addPorts(rtnetlink: Rtnetlink): Promise<[number, number]> {
  const masterIndex = await rtnetlink.addBridge({ name: "tsbr0", mac: "02:11:22:33:44:55", mtu: 1450, group: 71 });
  const add = (n: number) =>
    rtnetlink.addVeth({ name: `tsv${n}`, mtu: 1450, group: 71, isUp: true, masterIndex, peer: { name: `tsp${n}` } });
  return [await add(0), await add(1)];
}

async function entries(ns: NetNamespace): Promise<Entry[]> {
  const all = await ns.json<Entry[]>(["bridge", "-json", "fdb", "show", "br", "tsbr0"]);
  return all.filter(({ mac }) => mac === MAC);
}

describe("ensureFdbEntry", () => {
  it("makes a static entry that no frame moves, and no address of the bridge itself", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const [port] = await addPorts(rtnetlink);

    await rtnetlink.ensureFdbEntry(port, MAC);

    expect(await entries(ns)).toMatchObject([{ ifname: "tsv0", state: "static", flags: ["sticky"] }]);
  });

  it.each(["static", "dynamic", "local"])("takes the place of a %s entry behind another port", async (kind) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const [port] = await addPorts(rtnetlink);
    for (const name of ["tsbr0", "tsp1"]) {
      await rtnetlink.setLink((await rtnetlink.requireLink(name)).index, { isUp: true });
    }
    const shown = () => ns.exec(["bridge", "link", "show", "dev", "tsv1"]);
    await expect.poll(shown).toContain("state forwarding"); // else no dynamic entry can be made
    await ns.exec(["bridge", "fdb", "add", MAC, "dev", "tsv1", "master", kind]);

    await rtnetlink.ensureFdbEntry(port, MAC);

    expect(await entries(ns)).toMatchObject([{ ifname: "tsv0", state: "static", flags: ["sticky"] }]);
  });

  it("changes nothing and announces nothing the second time", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const [port, other] = await addPorts(rtnetlink);
    await rtnetlink.ensureFdbEntry(port, MAC);
    const monitor = ns.spawn(["bridge", "monitor", "fdb"]);
    let seen = "";
    monitor.stdout?.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    const announce = (mac: string) =>
      expect.poll(async () => {
        await rtnetlink.ensureFdbEntry(other, mac);
        await rtnetlink.deleteFdbEntry(other, mac);
        return seen;
      });
    await announce("02:00:00:00:00:01").toContain("02:00:00:00:00:01");

    await rtnetlink.ensureFdbEntry(port, MAC);

    await announce("02:00:00:00:00:02").toContain("02:00:00:00:00:02");
    expect(seen).not.toContain(MAC);
  });

  it("stays while the port is down, and goes with it out of the bridge", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const [port] = await addPorts(rtnetlink);
    await rtnetlink.ensureFdbEntry(port, MAC);

    await rtnetlink.setLink(port, { isUp: false });
    expect(await entries(ns)).toHaveLength(1);
    await rtnetlink.setLink(port, { masterIndex: 0 });
    expect(await entries(ns)).toEqual([]);
  });

  it("names the link that is no port, or gone", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    await addPorts(rtnetlink);
    const { index } = await rtnetlink.requireLink("tsp0");

    await expect(rtnetlink.ensureFdbEntry(index, MAC)).rejects.toThrow(`set ${MAC} behind link tsp0: `);
    await expect(rtnetlink.ensureFdbEntry(4711, MAC)).rejects.toThrow("behind link with index 4711: ");
  });
});

describe("deleteFdbEntry", () => {
  it("takes the entry away", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const [port] = await addPorts(rtnetlink);
    await rtnetlink.ensureFdbEntry(port, MAC);

    await rtnetlink.deleteFdbEntry(port, MAC);

    expect(await entries(ns)).toEqual([]);
  });

  it("succeeds when there is none, and when the port is gone", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const [port] = await addPorts(rtnetlink);

    await expect(rtnetlink.deleteFdbEntry(port, MAC)).resolves.toBeUndefined();
    await expect(rtnetlink.deleteFdbEntry(4711, MAC)).resolves.toBeUndefined();
  });

  it("leaves the entry behind another port alone", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const [port, other] = await addPorts(rtnetlink);
    await rtnetlink.ensureFdbEntry(port, MAC);

    await rtnetlink.deleteFdbEntry(other, MAC);

    expect(await entries(ns)).toMatchObject([{ ifname: "tsv0" }]);
  });
});

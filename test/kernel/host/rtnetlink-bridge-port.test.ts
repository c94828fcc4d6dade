import { describe, expect, it } from "vitest";
import { NETLINK_ROUTE, NetlinkSocket } from "../../../src/host/netlink-socket.ts";
import { nestedAttribute, u8Attribute } from "../../../src/host/netlink.ts";
import { linkHeader } from "../../../src/host/rtnetlink-link.ts";
import { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { PATIENCE } from "../../support/wait-until.ts";

const BRIDGE = { name: "tsbr0", mac: "02:11:22:33:44:55", mtu: 1450, group: 71 };
const VETH = { name: "tsv0", mtu: 1450, group: 71, isUp: false, peer: { name: "tsp0" } };

/** What bridge(8) says about the only port. */
async function port(ns: NetNamespace): Promise<Record<string, unknown> | undefined> {
  const [first] = await ns.json<Record<string, unknown>[]>(["bridge", "-json", "-details", "link", "show"]);
  return first;
}

async function addPort(rtnetlink: Rtnetlink): Promise<number> {
  const masterIndex = await rtnetlink.addBridge(BRIDGE);
  return rtnetlink.addVeth({ ...VETH, masterIndex });
}

describe("setLink of a bridge port", () => {
  it.each([
    ["isIsolated", "isolated", [true, false], false],
    ["isHairpin", "hairpin", [true, false], false],
    ["isLearning", "learning", [true, false], true],
    ["isFlooding", "flood", [true, false], true],
    ["isLocked", "locked", [true, false], false],
    ["isRouterAllowed", "mcast_router", [1, 0], 1],
  ])("switches %s on and off and nothing else", async (name, flag, [on, off], before) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addPort(rtnetlink);
    const first = await port(ns);
    expect(first).toMatchObject({ ifname: "tsv0", [flag]: before });

    await rtnetlink.setLink(index, { bridgePort: { [name]: true } });
    expect(await port(ns)).toEqual({ ...first, [flag]: on });
    await rtnetlink.setLink(index, { bridgePort: { [name]: false } });
    expect(await port(ns)).toEqual({ ...first, [flag]: off });
  });

  it("sets what the spanning tree reckons with", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addPort(rtnetlink);
    const first = await port(ns);
    expect(first).toMatchObject({ cost: 2, priority: 32 });

    await rtnetlink.setLink(index, { bridgePort: { pathCost: 65_535, priority: 63 } });
    expect(await port(ns)).toEqual({ ...first, cost: 65_535, priority: 63 });
    await rtnetlink.setLink(index, { bridgePort: { priority: 0 } });
    expect(await port(ns)).toEqual({ ...first, cost: 65_535, priority: 0 });
  });

  it.each([{ pathCost: 0 }, { pathCost: 65_536 }, { priority: 64 }])("refuses %j", async (bridgePort) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addPort(rtnetlink);

    await expect(rtnetlink.setLink(index, { bridgePort })).rejects.toThrow("(ERANGE)");
  });

  it("sets several together with state and alias", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addPort(rtnetlink);

    await rtnetlink.setLink(index, { bridgePort: { isIsolated: true, isLearning: false }, alias: "a", isUp: true });

    expect(await port(ns)).toMatchObject({ isolated: true, learning: false, flood: true });
    const found = await rtnetlink.requireLink("tsv0");
    expect(found).toMatchObject({ alias: "a", isUp: true });
  });

  it("forgets what was learned on the port, and no entry that somebody made", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addPort(rtnetlink);
    const add = (mac: string, kind: string) => ["bridge", "fdb", "add", mac, "dev", "tsv0", "master", kind];
    const mine = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
    for (const name of ["tsbr0", "tsv0", "tsp0"]) {
      await rtnetlink.setLink((await rtnetlink.requireLink(name)).index, { isUp: true });
    }
    await expect.poll(async () => (await port(ns))?.["state"]).toBe("forwarding"); // else nothing can be learned
    await ns.exec(add("02:00:00:00:00:01", "dynamic"));
    await ns.exec(add("02:00:00:00:00:02", "static"));
    const known = async () => {
      const entries = await ns.json<{ mac: string }[]>(["bridge", "-json", "fdb", "show", "dev", "tsv0"]);
      return entries.map(({ mac }) => mac).filter((mac) => mine.includes(mac));
    };
    expect((await known()).sort()).toEqual(mine);

    await rtnetlink.setLink(index, { bridgePort: { forgetsLearned: true } });

    expect(await known()).toEqual(["02:00:00:00:00:02"]);
  });

  it("refuses a link that is no port", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await rtnetlink.addVeth(VETH);

    const setting = rtnetlink.setLink(index, { bridgePort: { isHairpin: true } });

    await expect(setting).rejects.toThrow("change link tsv0: Operation not supported (EOPNOTSUPP)");
  });

  it("relies on the kernel to ignore a setting that it does not know", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    using socket = ns.enter(() => NetlinkSocket.open(NETLINK_ROUTE));
    const index = await addPort(rtnetlink);
    const [unknown, isolated] = [u8Attribute(200, 1), u8Attribute(33, 1)];
    const info = nestedAttribute(18, [nestedAttribute(5, [unknown, isolated])]); // IFLA_LINKINFO, IFLA_INFO_SLAVE_DATA

    await socket.request("change", { type: 16, parts: [linkHeader(index), info] });

    expect(await port(ns)).toMatchObject({ isolated: true });
  });
});

describe("a link's bridgePort", () => {
  it.each([
    ["", {}],
    ["isolated on", { isIsolated: true }],
    ["hairpin on", { isHairpin: true }],
    ["learning off", { isLearning: false }],
    ["flood off", { isFlooding: false }],
    ["locked on", { isLocked: true }],
    ["mcast_router 0", { isRouterAllowed: false }],
    ["mcast_router 2", {}],
    ["cost 300", { pathCost: 300 }],
    ["priority 7", { priority: 7 }],
  ])("tells what bridge(8) set: %j", async (setting, expected) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    await addPort(rtnetlink);
    if (setting !== "") await ns.exec(["bridge", "link", "set", "dev", "tsv0", ...setting.split(" ")]);

    const link = await rtnetlink.requireLink("tsv0");

    expect(link.bridgePort).toEqual({
      isIsolated: false,
      isHairpin: false,
      isLearning: true,
      isFlooding: true,
      isLocked: false,
      isRouterAllowed: true,
      passesReserved: false,
      pathCost: 2,
      priority: 32,
      stpState: "disabled",
      ...expected,
    });
  });

  it("passes frames to reserved groups as any other, which ip(8) and the port itself then tell", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await addPort(rtnetlink);

    await rtnetlink.setLink(index, { bridgePort: { passesReserved: true } });

    expect(await ns.exec(["ip", "-d", "-json", "link", "show", "tsv0"])).toContain('"group_fwd_mask":"0xfffd"');
    expect((await rtnetlink.requireLink("tsv0")).bridgePort).toMatchObject({ passesReserved: true });
  });

  it("tells how far the spanning tree is with the port", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const masterIndex = await rtnetlink.addBridge({ ...BRIDGE, bridge: { stp: true, forwardDelay: 2 } });
    await rtnetlink.addVeth({ ...VETH, masterIndex });
    for (const name of ["tsbr0", "tsp0", "tsv0"]) await ns.exec(["ip", "link", "set", name, "up"]);
    const state = async () => (await rtnetlink.requireLink("tsv0")).bridgePort?.stpState;

    await expect.poll(state, { timeout: 20_000 * PATIENCE }).toBe("forwarding");

    expect(await port(ns)).toMatchObject({ state: "forwarding" });
    await ns.exec(["ip", "link", "set", "tsbr0", "type", "bridge", "stp_state", "0"]); // then they are set by hand, and stay
    for (const name of ["disabled", "listening", "learning", "forwarding"]) {
      await ns.exec(["bridge", "link", "set", "dev", "tsv0", "state", name]);
      expect(await port(ns)).toMatchObject({ state: name });
      expect(await state()).toBe(name);
    }
  });

  it("is absent for the bridge itself and for the other end of the port", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    await addPort(rtnetlink);

    const ports = (await rtnetlink.listLinks()).filter(({ bridgePort }) => bridgePort !== undefined);

    expect(ports.map(({ name }) => name)).toEqual(["tsv0"]);
  });
});

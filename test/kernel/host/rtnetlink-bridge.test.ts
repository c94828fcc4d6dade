// The settings of bridges, on any kernel. Those of VLANs, where the kernel has them: `../../vm/rtnetlink-vlan.test.ts`.
import { describe, expect, it } from "vitest";
import { NETLINK_ROUTE, NetlinkSocket } from "../../../src/host/netlink-socket.ts";
import { isErrno } from "../../../src/host/netlink.ts";
import type { BridgeSettings } from "../../../src/host/rtnetlink-bridge.ts";
import { linkHeader } from "../../../src/host/rtnetlink-link.ts";
import { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { waitUntil } from "../../support/wait-until.ts";

const BRIDGE = { name: "tsbr0", mac: "02:11:22:33:44:55", mtu: 1450, group: 71 };

/** What `ip` says about the bridge's own settings; times in hundredths of a second. */
async function data(ns: NetNamespace): Promise<Record<string, unknown>> {
  const command = ["ip", "-json", "-details", "link", "show", "tsbr0"];
  const [link] = await ns.json<{ linkinfo: { info_data: Record<string, unknown> } }[]>(command);
  return link?.linkinfo.info_data ?? {};
}

const SETTINGS: readonly [BridgeSettings, Record<string, unknown>][] = [
  [{ stp: true }, { stp_state: 1 }],
  [{ stp: false }, { stp_state: 0 }],
  [{ priority: 4096 }, { priority: 4096 }],
  [{ forwardDelay: 4 }, { forward_delay: 400 }],
  [{ helloTime: 1 }, { hello_time: 100 }],
  [{ maxAge: 6.5 }, { max_age: 650 }],
  [{ ageingTime: 30 }, { ageing_time: 3000 }],
  [{ ageingTime: 0 }, { ageing_time: 0 }],
  [{ multicastSnooping: false }, { mcast_snooping: 0 }],
  [{ multicastSnooping: true }, { mcast_snooping: 1 }],
];
const ALL: BridgeSettings = {
  stp: true,
  priority: 8192,
  forwardDelay: 5,
  helloTime: 3,
  maxAge: 9,
  ageingTime: 77,
  multicastSnooping: false,
};
const ALL_SEEN = {
  stp_state: 1,
  priority: 8192,
  forward_delay: 500,
  hello_time: 300,
  max_age: 900,
  ageing_time: 7700,
  mcast_snooping: 0,
};

describe("addBridge", () => {
  it("makes a bridge that has its settings in the very message that announces it", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const monitor = ns.spawn(["stdbuf", "-oL", "ip", "-details", "monitor", "link"]);
    let told = "";
    monitor.stdout?.on("data", (text: Buffer) => (told += text.toString()));
    const isTold = async () => {
      await ns.exec(["ip", "link", "set", "lo", "alias", "listening"]);
      return told.includes("listening");
    };
    await waitUntil("the monitor to listen", isTold);

    await rtnetlink.addBridge({ ...BRIDGE, bridge: ALL });

    expect(await data(ns)).toMatchObject(ALL_SEEN);
    await waitUntil("the monitor to tell of the bridge", () => told.includes("forward_delay"));
    expect(told.slice(told.indexOf("tsbr0"))).toMatch(/forward_delay 500 hello_time 300 max_age 900 .*priority 8192/);
  });

  it("leaves no bridge when the kernel refuses a setting", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    const failure = await rtnetlink.addBridge({ ...BRIDGE, bridge: { helloTime: 11 } }).catch((e: unknown) => e);

    expect(isErrno(failure, "ERANGE")).toBe(true);
    expect(await ns.json<{ ifname: string }[]>(["ip", "-json", "link", "show"])).toMatchObject([{ ifname: "lo" }]);
  });
});

describe("setLink of a bridge", () => {
  it.each(SETTINGS)("sets %j and nothing else", async (bridge, expected) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await rtnetlink.addBridge(BRIDGE);
    const { bridge_id: _, root_id: __, gc_timer: ___, ...before } = await data(ns);

    await rtnetlink.setLink(index, { bridge });

    const own = { ...before, ...expected };
    const idOfPriority = { bridge_id: expect.any(String) as string, root_id: expect.any(String) as string };
    expect(await data(ns)).toEqual({ ...own, ...idOfPriority, gc_timer: expect.any(Number) as number });
  });

  it("sets all of them together with name and state", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await rtnetlink.addBridge(BRIDGE);

    await rtnetlink.setLink(index, { bridge: ALL, alias: "a", isUp: true });

    expect(await data(ns)).toMatchObject(ALL_SEEN);
    expect(await rtnetlink.requireLink("tsbr0")).toMatchObject({ alias: "a", isUp: true, bridge: ALL });
  });

  it("refuses a link that is no bridge", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await rtnetlink.addVeth({ name: "tsv0", mtu: 1450, group: 71, isUp: false, peer: { name: "tsp0" } });

    const failure = await rtnetlink.setLink(index, { bridge: { stp: true } }).catch((e: unknown) => e);

    expect(isErrno(failure, "EOPNOTSUPP")).toBe(true);
  });
});

describe("a link's bridge", () => {
  it("tells what ip(8) set, and is absent for other links", async () => {
    await using ns = await NetNamespace.create();
    const times = ["forward_delay", "1236", "hello_time", "150", "max_age", "1998", "ageing_time", "102"];
    const others = ["stp_state", "1", "priority", "7", "mcast_snooping", "0"];
    await ns.exec(["ip", "link", "add", "tsbr0", "type", "bridge", ...times, ...others]);
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    const links = await rtnetlink.listLinks();

    expect(links.map(({ name, bridge }) => [name, bridge])).toEqual([
      ["lo", undefined],
      [
        "tsbr0",
        expect.objectContaining({
          forwardDelay: 12.36,
          helloTime: 1.5,
          maxAge: 19.98,
          ageingTime: 1.02,
          stp: true,
          priority: 7,
          multicastSnooping: false,
        }),
      ],
    ]);
  });
});

/** Whether this kernel can do it, judged by doing it: ip(8) shows a setting only of a kernel that has it. */
async function canFilter(ns: NetNamespace): Promise<boolean> {
  await ns.exec(["ip", "link", "add", "tsbr0", "type", "bridge"]);
  return "vlan_default_pvid" in (await data(ns));
}

async function canTag(ns: NetNamespace): Promise<boolean> {
  const add = ns.exec(["ip", "link", "add", "link", "lo", "name", "tsvlan", "type", "vlan", "id", "7"]);
  return add.then(
    () => true,
    () => false,
  );
}

describe("what this kernel can do with VLANs", () => {
  it("is told as it shows itself when it is tried [F84]", async () => {
    await using ns = await NetNamespace.create();
    await using trial = await NetNamespace.create("trial");
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    expect(await rtnetlink.hasBridgeVlans()).toBe(await canFilter(trial));
    expect(await rtnetlink.hasVlanLinks()).toBe(await canTag(trial));
  });

  it("is found without making a link, even for a moment", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    using socket = ns.enter(() => NetlinkSocket.open(NETLINK_ROUTE));
    const nextIndex = async () => {
      const index = await rtnetlink.addBridge(BRIDGE);
      await socket.request("delete", { type: 17, parts: [linkHeader(index)] });
      return index;
    };
    const before = await nextIndex();

    await rtnetlink.hasBridgeVlans();
    await rtnetlink.hasVlanLinks();

    expect(await nextIndex()).toBe(before + 1);
  });
});

describe("a kernel without bridge VLAN filtering [F84]", async () => {
  await using trial = await NetNamespace.create("trial");
  const isWithout = !(await canFilter(trial));

  it.runIf(isWithout)("refuses a bridge that shall filter, and tells nothing of filtering", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await rtnetlink.addBridge({ ...BRIDGE, bridge: { defaultPvid: 0 } });
    const bridge = { vlanFiltering: true, defaultPvid: 0 };

    const told = ": Operation not supported (EOPNOTSUPP)";
    await expect(rtnetlink.addBridge({ ...BRIDGE, name: "tsbr1", bridge })).rejects.toThrow(`add bridge tsbr1${told}`);
    await expect(rtnetlink.setLink(index, { bridge })).rejects.toThrow(`change link tsbr0${told}`);
    const left = (await rtnetlink.listLinks()).filter(({ kind }) => kind === "bridge");
    expect(left.map(({ name }) => name)).toEqual(["tsbr0"]);
    expect(left[0]?.bridge).not.toHaveProperty("vlanFiltering");
  });

  it.runIf(isWithout)("refuses to list and to set a port's VLANs, and the port stays", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const masterIndex = await rtnetlink.addBridge(BRIDGE);
    const veth = { name: "tsv0", mtu: 1450, group: 71, isUp: false, masterIndex, peer: { name: "tsp0" } };
    const index = await rtnetlink.addVeth(veth);

    const told = "list VLANs of link tsv0: Operation not supported (EOPNOTSUPP)";
    await expect(rtnetlink.portVlans(index)).rejects.toThrow(told);
    await expect(rtnetlink.setPortVlans(index, [])).rejects.toThrow(told);
    expect(await rtnetlink.requireLink("tsv0")).toMatchObject({ index, masterIndex });
  });
});

// Links: made, found, changed and deleted. Addresses, routes and IPv4 settings have files of their own beside this one.
import { readdirSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { describe, expect, it, vi } from "vitest";
import { NetlinkSocket } from "../../../src/host/netlink-socket.ts";
import { isErrno } from "../../../src/host/netlink.ts";
import { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { NetNamespace } from "../../support/namespace.ts";

/** What `ip -json -details link` says, as far as it is asserted here. */
interface IpLink {
  ifindex: number;
  ifname: string;
  ifalias?: string;
  address: string;
  mtu: number;
  group: string;
  flags: string[];
  master?: string;
  link?: string;
  linkinfo?: { info_kind?: string; info_slave_data?: Record<string, unknown> };
  inet6_addr_gen_mode?: string;
}

async function seen(ns: NetNamespace): Promise<Map<string, IpLink>> {
  const links = await ns.json<IpLink[]>(["ip", "-json", "-details", "link", "show"]);
  return new Map(links.map((link) => [link.ifname, link]));
}

const NLM_F_ECHO = 0x8;
const BRIDGE = { name: "tsbr0", mac: "02:11:22:33:44:55", mtu: 1450, group: 71 };
const VETH = { name: "tsv0", mtu: 1450, group: 71, isUp: true, peer: { name: "tsp0" } };

describe("findLink", () => {
  it("tells everything that ip tells about a veth end", async () => {
    await using ns = await NetNamespace.create();
    await ns.exec(["ip", "link", "add", "br0", "type", "bridge"]);
    const pair = ["va", "address", "02:00:00:00:00:0a", "group", "9", "type", "veth", "peer", "name", "vb"];
    await ns.exec(["ip", "link", "add", ...pair]);
    await ns.exec(["ip", "link", "set", "va", "master", "br0", "mtu", "1300", "up", "alias", "tsnet: a b"]);
    await ns.exec(["ip", "link", "property", "add", "dev", "va", "altname", "first", "altname", "second"]);
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    const found = await rtnetlink.findLink("va");

    const links = await seen(ns);
    expect(found).toEqual({
      index: links.get("va")?.ifindex,
      name: "va",
      kind: "veth",
      alias: "tsnet: a b",
      group: 9,
      mac: "02:00:00:00:00:0a",
      mtu: 1300,
      isUp: true,
      masterIndex: links.get("br0")?.ifindex,
      peerIndex: links.get("vb")?.ifindex,
      altNames: ["first", "second"],
      bridgePort: expect.any(Object) as object,
    });
  });

  it("gives undefined for a name that no link has", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    expect(await rtnetlink.findLink("absent")).toBeUndefined();
  });

  it("does not take an alternative name for a name", async () => {
    await using ns = await NetNamespace.create();
    await ns.exec(["ip", "link", "property", "add", "dev", "lo", "altname", "other"]);
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    expect(await rtnetlink.findLink("other")).toBeUndefined();
  });

  it("tells no peer index once the peer is in another namespace, where that index means another link", async () => {
    await using ns = await NetNamespace.create();
    await using sandbox = await NetNamespace.create();
    await ns.exec(["ip", "link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", sandbox.name]);
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    expect(await rtnetlink.findLink("va")).not.toHaveProperty("peerIndex");
  });
});

describe("requireLink", () => {
  it("throws ENODEV and the name for a link that is absent", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    const failure = await rtnetlink.requireLink("absent").catch((error: unknown) => error);

    expect(String(failure)).toBe("TsnetError: link absent does not exist");
    expect(isErrno(failure, "ENODEV")).toBe(true);
  });
});

describe("listLinks", () => {
  it("lists what ip lists", async () => {
    await using ns = await NetNamespace.create();
    const commands = Array.from({ length: 200 }, (_, i) => `link add a${i} type veth peer name b${i}\n`).join("");
    await ns.exec(["sh", "-c", `printf '${commands}' | ip -batch -`]);
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    const links = await rtnetlink.listLinks();

    const expected = [...(await seen(ns)).values()].map(({ ifindex, ifname }) => `${ifindex} ${ifname}`);
    expect(links.map(({ index, name }) => `${index} ${name}`).sort()).toEqual(expected.sort());
    expect(links).toHaveLength(401);
  });

  it("lists every link that stays, each once, while other links come and go [F58]", async () => {
    await using ns = await NetNamespace.create();
    const commands = Array.from({ length: 150 }, (_, i) => `link add a${i} type veth peer name b${i}\n`).join("");
    await ns.exec(["sh", "-c", `printf '${commands}' | ip -batch -`]);
    const churn = "while :; do ip link add c0 type veth peer name c1; ip link del c0; done";
    ns.spawn(["sh", "-c", churn]);
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    for (let i = 0; i < 100; i++) {
      const names = (await rtnetlink.listLinks()).map(({ name }) => name).filter((name) => /^[ab]/.test(name));
      expect(new Set(names).size).toBe(300);
      expect(names).toHaveLength(300);
    }
  });
});

describe("addBridge", () => {
  it("makes a bridge with its MAC address, MTU and group, set down", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    const bridge = await rtnetlink.addBridge(BRIDGE);

    const link = (await seen(ns)).get("tsbr0");
    expect(link).toMatchObject({ ifindex: bridge, address: "02:11:22:33:44:55", mtu: 1450, group: "71" });
    expect(link?.linkinfo?.info_kind).toBe("bridge");
    expect(link?.flags).not.toContain("UP");
  });

  it("refuses a name that is taken", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    await rtnetlink.addBridge(BRIDGE);

    const failure = await rtnetlink.addBridge(BRIDGE).catch((error: unknown) => error);

    expect(String(failure)).toBe("TsnetError: add bridge tsbr0: File exists (EEXIST)");
    expect(isErrno(failure, "EEXIST")).toBe(true);
  });

  it("refuses a name of 16 characters", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    const adding = rtnetlink.addBridge({ ...BRIDGE, name: "a234567890123456" });

    await expect(adding).rejects.toThrow("add bridge a234567890123456: Attribute failed policy validation (ERANGE)");
    expect([...(await seen(ns)).keys()]).toEqual(["lo"]);
  });

  it("refuses a MAC address that is none, before the kernel is asked", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    await expect(rtnetlink.addBridge({ ...BRIDGE, mac: "02:11" })).rejects.toMatchObject({ code: "internal" });
  });
});

describe("addVeth", () => {
  it("makes both ends in one step: MTU, group, MAC addresses, master and up", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const bridge = await rtnetlink.addBridge(BRIDGE);

    const peer = { name: "tsp0", mac: "02:00:00:00:00:0b", mtu: 1400 };
    const index = await rtnetlink.addVeth({ ...VETH, mac: "02:00:00:00:00:0a", masterIndex: bridge, peer });

    const links = await seen(ns);
    const near = {
      ifindex: index,
      address: "02:00:00:00:00:0a",
      mtu: 1450,
      group: "71",
      master: "tsbr0",
      link: "tsp0",
    };
    expect(links.get("tsv0")).toMatchObject(near);
    expect(links.get("tsv0")?.flags).toContain("UP");
    expect(links.get("tsp0")).toMatchObject({ address: "02:00:00:00:00:0b", mtu: 1400, group: "71", link: "tsv0" });
    expect(links.get("tsp0")?.flags).not.toContain("UP");
  });

  it("tells the index on a kernel that echoes nothing, as before Linux 6.2", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const request = Reflect.get(NetlinkSocket.prototype, "request");
    using _old = vi.spyOn(NetlinkSocket.prototype, "request").mockImplementation(async function (
      this: NetlinkSocket,
      doing,
      asked,
    ) {
      return request.call(this, doing, { ...asked, flags: (asked.flags ?? 0) & ~NLM_F_ECHO });
    });

    const index = await rtnetlink.addVeth(VETH);

    expect((await seen(ns)).get("tsv0")?.ifindex).toBe(index);
  });

  it("gives the peer the near end's MTU unless told otherwise", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    await rtnetlink.addVeth(VETH);

    expect((await seen(ns)).get("tsp0")?.mtu).toBe(1450);
  });

  it.each([
    ["the master does not exist", { ...VETH, masterIndex: 4711 }, "EINVAL"],
    ["the peer's name is taken", { ...VETH, peer: { name: "lo" } }, "EEXIST"],
    ["the peer's MTU is too small", { ...VETH, peer: { name: "tsp0", mtu: 10 } }, "EINVAL"],
  ])("leaves nothing behind when %s", async (_, spec, errno) => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    const failure = await rtnetlink.addVeth(spec).catch((error: unknown) => error);

    expect(isErrno(failure, errno)).toBe(true);
    expect([...(await seen(ns)).keys()]).toEqual(["lo"]);
  });

  it("adds and deletes 300 pairs without a descriptor, a link or a long stall of the event loop left", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const bridge = await rtnetlink.addBridge(BRIDGE);
    await rtnetlink.addVeth({ ...VETH, name: "warm0", peer: { name: "warm1" } });
    const descriptors = readdirSync("/proc/self/fd").length;
    const delay = monitorEventLoopDelay({ resolution: 1 });

    delay.enable();
    const begin = performance.now();
    let addMs = 0;
    for (let i = 0; i < 300; i++) {
      const beginAdd = performance.now();
      const index = await rtnetlink.addVeth({ ...VETH, masterIndex: bridge });
      addMs += performance.now() - beginAdd;
      await rtnetlink.deleteLink(index);
    }
    const totalMs = performance.now() - begin;
    delay.disable();

    const each = `add ${(addMs / 300).toFixed(2)} ms, delete ${((totalMs - addMs) / 300).toFixed(2)} ms`;
    console.log(`300 veth pairs: ${each}, longest event loop stall ${(delay.max / 1e6).toFixed(1)} ms`);
    expect([...(await seen(ns)).keys()].sort()).toEqual(["lo", "tsbr0", "warm0", "warm1"]);
    expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(descriptors);
  });
});

describe("setLink", () => {
  it("changes state, MTU, master, alias, MAC address, group and name in one call", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const bridge = await rtnetlink.addBridge(BRIDGE);
    const index = await rtnetlink.addVeth({ ...VETH, isUp: false });

    const mac = "02:00:00:00:00:0c";
    const change = { mtu: 1300, masterIndex: bridge, alias: "tsnet ends", mac, group: 72, name: "tsv9", isUp: true };
    await rtnetlink.setLink(index, change);

    const link = (await seen(ns)).get("tsv9");
    const expected = { ifindex: index, mtu: 1300, master: "tsbr0", ifalias: "tsnet ends", address: mac, group: "72" };
    expect(link).toMatchObject(expected);
    expect(link?.flags).toContain("UP");
  });

  it("leaves alone what it is not told", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const bridge = await rtnetlink.addBridge(BRIDGE);
    const index = await rtnetlink.addVeth({ ...VETH, isUp: false, masterIndex: bridge }); // up, it soon has no carrier
    const before = (await seen(ns)).get("tsv0");

    await rtnetlink.setLink(index, { alias: "only this" });

    expect((await seen(ns)).get("tsv0")).toEqual({ ...before, ifalias: "only this" });
  });

  it("takes a link out of its master, sets it down and removes its alias", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const bridge = await rtnetlink.addBridge(BRIDGE);
    const index = await rtnetlink.addVeth({ ...VETH, masterIndex: bridge });
    await rtnetlink.setLink(index, { alias: "gone soon" });

    await rtnetlink.setLink(index, { masterIndex: 0, isUp: false, alias: "" });

    const link = (await seen(ns)).get("tsv0");
    expect(link).not.toHaveProperty("master");
    expect(link).not.toHaveProperty("ifalias");
    expect(link?.flags).not.toContain("UP");
  });

  it("says the link's name and the kernel's own words when the MTU is too small", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const bridge = await rtnetlink.addBridge(BRIDGE);

    const changing = rtnetlink.setLink(bridge, { mtu: 10 });

    await expect(changing).rejects.toThrow("change link tsbr0: mtu less than device minimum (EINVAL)");
  });

  it("says ENODEV for a link that is gone", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    await expect(rtnetlink.setLink(4711, { mtu: 1400 })).rejects.toThrow("change link with index 4711: No such device");
  });
});

describe("deleteLink", () => {
  it("deletes both ends of a pair", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());
    const index = await rtnetlink.addVeth(VETH);

    await rtnetlink.deleteLink(index);

    expect([...(await seen(ns)).keys()]).toEqual(["lo"]);
  });

  it("succeeds for a link that is gone, and never takes index 0 for one", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    await expect(rtnetlink.deleteLink(4711)).resolves.toBeUndefined();
    await expect(rtnetlink.deleteLink(0)).rejects.toMatchObject({ code: "host" });
  });

  it("refuses what the kernel refuses", async () => {
    await using ns = await NetNamespace.create();
    using rtnetlink = ns.enter(() => Rtnetlink.open());

    await expect(rtnetlink.deleteLink(1)).rejects.toThrow("delete link lo: Operation not supported (EOPNOTSUPP)");
  });
});

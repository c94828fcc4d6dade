import { readdirSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { NetlinkWatch, type WatchedKind } from "../../../src/host/netlink-watch.ts";
import { Nftables } from "../../../src/host/nftables.ts";
import { NetNamespace } from "../../support/namespace.ts";

const INTERVAL_MS = 5;

function watchIn(ns: NetNamespace, intervalMs = INTERVAL_MS): { watch: NetlinkWatch; noticed: WatchedKind[] } {
  const noticed: WatchedKind[] = [];
  return { watch: ns.enter(() => NetlinkWatch.open(intervalMs, (kind) => noticed.push(kind))), noticed };
}

describe("NetlinkWatch", () => {
  it.each([
    ["a new link", ["ip", "link", "add", "va", "type", "veth", "peer", "name", "vb"], "links"],
    ["a changed link", ["ip", "link", "set", "lo", "mtu", "1400"], "links"],
    ["an IPv4 address", ["ip", "addr", "add", "10.1.2.3/24", "dev", "lo"], "links"],
    ["an IPv6 address", ["ip", "addr", "add", "fd00::1/64", "dev", "lo", "nodad"], "links"],
    ["a new nftables table", ["nft", "add", "table", "inet", "t"], "firewall"],
    ["forwarding of IPv4", ["sysctl", "-w", "net.ipv4.ip_forward=1"], "firewall"],
    ["forwarding of IPv6", ["sysctl", "-w", "net.ipv6.conf.all.forwarding=1"], "firewall"],
  ] as const)("notices %s, and takes it for nothing else", async (_, command, kind) => {
    await using ns = await NetNamespace.create();
    const { watch, noticed } = watchIn(ns);
    using _watch = watch;

    await ns.exec(command);

    await expect.poll(() => [...new Set(noticed)]).toEqual([kind]);
  });

  it("notices a flushed rule set", async () => {
    await using ns = await NetNamespace.create();
    await ns.exec(["nft", "add", "table", "inet", "t"]);
    const { watch, noticed } = watchIn(ns);
    using _watch = watch;

    await ns.exec(["nft", "flush", "ruleset"]);

    await expect.poll(() => [...new Set(noticed)]).toEqual(["firewall"]);
  });

  it("takes no notice of what was changed through our own socket", async () => {
    await using ns = await NetNamespace.create();
    await ns.exec(["nft", "add table inet t; add set inet t ports { type inet_service; }"]);
    const elements = ns.enter(() => Nftables.open());
    const noticed: WatchedKind[] = [];
    const note = (kind: WatchedKind) => void noticed.push(kind);
    using _elements = elements;
    using _watch = ns.enter(() => NetlinkWatch.open(INTERVAL_MS, note, { ownPort: () => elements.port }));
    const change = { family: "inet", table: "t", set: "ports", remove: [], add: [{ key: Buffer.of(0, 80) }] } as const;

    await elements.apply("add", [change]);

    expect(await ns.exec(["nft", "list", "set", "inet", "t", "ports"])).toContain("80");
    await ns.exec(["ip", "link", "set", "lo", "mtu", "1400"]); // whatever was to be noticed came before this
    await expect.poll(() => noticed).toContain("links");
    expect(noticed).not.toContain("firewall");
    await ns.exec(["nft", "flush", "set", "inet", "t", "ports"]);
    await expect.poll(() => noticed).toContain("firewall");
  });

  it("names the links that changed, also those that are gone, and for an address none", async () => {
    await using ns = await NetNamespace.create();
    const names = new Set<string>();
    using _watch = ns.enter(() =>
      NetlinkWatch.open(
        INTERVAL_MS,
        (kind, changed) => kind === "links" && changed?.forEach((name) => names.add(name)),
      ),
    );

    await ns.exec(["ip", "link", "add", "va", "type", "veth", "peer", "name", "vb"]);
    await expect.poll(() => [...names].toSorted()).toEqual(["va", "vb"]);
    names.clear();
    await ns.exec(["ip", "link", "delete", "va"]);
    await expect.poll(() => [...names].toSorted()).toEqual(["va", "vb"]);
    names.clear();
    await ns.exec(["ip", "address", "add", "10.1.2.3/24", "dev", "lo"]);
    await expect.poll(() => [...names]).toEqual([""]);
  });

  it("tells many changes once per interval, also when more came than the socket could keep", async () => {
    await using ns = await NetNamespace.create();
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }); // the machine takes its time
    using stack = new DisposableStack();
    stack.defer(() => void vi.useRealTimers());
    const { watch, noticed } = watchIn(ns, 2000);
    using _watch = watch;
    const commands = Array.from({ length: 600 }, (_, i) => `link set lo mtu ${1400 + i}\n`).join("");

    await ns.exec(["sh", "-c", `printf '${commands}' | ip -batch -`]);

    expect(noticed).toEqual([]);
    vi.advanceTimersByTime(2000);
    expect(noticed).toEqual(["links"]);
  });

  it("tells nothing while nothing changes", async () => {
    await using ns = await NetNamespace.create();
    const { watch, noticed } = watchIn(ns);
    using _watch = watch;

    await ns.exec(["ip", "link", "show"]);
    await ns.exec(["nft", "list", "ruleset"]);

    expect(noticed).toEqual([]);
  });

  it("ends with close, which may come twice, and leaves no descriptor open", async () => {
    await using ns = await NetNamespace.create();
    const before = readdirSync("/proc/self/fd").length;
    const { watch, noticed } = watchIn(ns);

    watch.close();
    watch.close();
    await ns.exec(["ip", "link", "set", "lo", "mtu", "1400"]);

    expect(noticed).toEqual([]);
    expect(readdirSync("/proc/self/fd").length).toBe(before);
  });
});

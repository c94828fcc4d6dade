// What the kernel is told about the bridge as a link of the host, per address family, seen in /proc.
import { describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import { type BridgeHost, bridgeHost } from "../../support/bridge-host.ts";
import { dualStack, endpoint, ifName, network } from "../../support/cnm-builder.ts";
import { shell } from "../../support/packet-lab.ts";

const sysctl = async (host: BridgeHost, name: string) =>
  (await host.namespace.exec(["cat", `/proc/sys/net/${name}`])).trim();
const BR = network().switchName;

describe("IPv6 on the bridge", () => {
  it.each<[string, Network, string]>([
    ["is on where the host has an IPv6 address", dualStack(), "0"],
    ["is off on an IPv4 network", network(), "1"],
    ["is off in mode l2", dualStack(1, { mode: "l2" }), "1"],
    ["is off in mode isolated", dualStack(1, { mode: "isolated" }), "1"],
  ])("%s", async (_what, wanted, disabled) => {
    await using host = await bridgeHost();

    await host.datapath.ensureNetwork(wanted, []);

    expect(await sysctl(host, `ipv6/conf/${BR}/disable_ipv6`)).toBe(disabled);
  });

  it("believes no router advertisement of a container", async () => {
    await using host = await bridgeHost();

    await host.datapath.ensureNetwork(dualStack(), []);

    expect(await sysctl(host, `ipv6/conf/${BR}/accept_ra`)).toBe("0");
  });

  it("has the host believe no redirect of a container", async () => {
    await using host = await bridgeHost();

    await host.datapath.ensureNetwork(dualStack(), []);

    expect(await sysctl(host, `ipv6/conf/${BR}/accept_redirects`)).toBe("0");
  });

  it("gives the host's end of a port no address", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(dualStack(), []);

    await host.datapath.attach(dualStack(), endpoint(), []);

    const { hostIfName } = endpoint();
    expect((await host.ipLink(hostIfName)).inet6_addr_gen_mode).toBe("none");
    expect(await host.namespace.exec(["ip", "-6", "address", "show", "dev", hostIfName])).toBe("");
  });

  it("has its address at once, without waiting for duplicates", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(dualStack(), []);

    expect(await host.namespace.exec(["ip", "-6", "address", "show", "dev", BR, "tentative"])).not.toContain("fd00");
  });
});

describe("ARP on the bridge", () => {
  it.each<[string, Network, string]>([
    ["is answered for every address of the host in mode nat, as on any router", network(), "0"],
    ["is answered for the bridge's own address with --internal", network(1, { isInternal: true }), "1"],
    ["is never answered in mode l2", network(1, { mode: "l2" }), "8"],
    ["is never answered in mode isolated", network(1, { mode: "isolated" }), "8"],
  ])("%s", async (_what, wanted, ignored) => {
    await using host = await bridgeHost();

    await host.datapath.ensureNetwork(wanted, []);

    expect(await sysctl(host, `ipv4/conf/${BR}/arp_ignore`)).toBe(ignored);
  });

  it("is what it was on a bridge that somebody else made", async () => {
    await using host = await bridgeHost();
    await host.plantSwitch("br0");

    await host.datapath.ensureNetwork(network(1, { mode: "l2", switchName: ifName("br0"), isSwitchOurs: false }), []);

    expect(await sysctl(host, "ipv4/conf/br0/arp_ignore")).toBe("0");
    expect(await sysctl(host, "ipv6/conf/br0/disable_ipv6")).toBe("0");
  });
});

describe("IPv4 on the bridge", () => {
  const NAMES = ["accept_redirects", "send_redirects", "accept_source_route"];
  const values = async (host: BridgeHost, bridge: string) =>
    Promise.all(NAMES.map((name) => sysctl(host, `ipv4/conf/${bridge}/${name}`)));

  it.each(["nat", "routed", "l2", "isolated"] as const)(
    "has no redirects and no source routes in mode %s",
    async (mode) => {
      await using host = await bridgeHost();

      await host.datapath.ensureNetwork(network(1, { mode }), []);

      expect(await values(host, BR)).toEqual(["0", "0", "0"]);
    },
  );

  it.each(NAMES)("gets %s back to 0 when somebody set it [F116]", async (name) => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    await shell(host.namespace, [`sysctl -qw net.ipv4.conf.${BR}.${name}=1`]);

    await host.datapath.ensureNetwork(network(), []);

    expect(await values(host, BR)).toEqual(["0", "0", "0"]);
  });

  it("keeps its settings when somebody else made the bridge", async () => {
    await using host = await bridgeHost();
    await host.plantSwitch("br0");
    const before = await values(host, "br0");

    await host.datapath.ensureNetwork(network(1, { switchName: ifName("br0"), isSwitchOurs: false }), []);

    expect(before).toContain("1");
    expect(await values(host, "br0")).toEqual(before);
  });
});

// Hosts that lack something: a kernel without a kind of tunnel, without IPv6, a daemon without its capability. And hosts on
// which another program sees to links.
import { describe, expect, it } from "vitest";
import { bridgeHost } from "../../support/bridge-host.ts";
import * as builder from "../../support/cnm-builder.ts";
import { startHostAgent } from "../../support/host-agent.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { shell } from "../../support/packet-lab.ts";
import { expectedSkip } from "../../support/suite-count.ts";
import { pings, sandboxOf } from "./sandbox.ts";

const { dualStack, endpoint, ifName, network } = builder;
const BR = network().switchName;
/** The kernel's number for an address that was set, by which udev leaves it alone (Documentation/ABI, sysfs-class-net). */
const NET_ADDR_SET = "3\n";

describe("a kernel without a kind of tunnel", () => {
  it("refuses that one with its name and the ways out, and makes nothing; a network without it is made [F84]", async (context) => {
    await using host = await bridgeHost();
    const isThere = await host.namespace
      .exec(["ip", "link", "add", "probe0", "type", "gretap", "remote", "192.0.2.2"])
      .then(
        () => true,
        () => false,
      );
    if (isThere) expectedSkip(context, "this kernel has GRE");
    const tunnel = { kind: "gre", local: "192.0.2.1", peers: ["192.0.2.2"] } as const;
    await shell(host.namespace, ["ip link add out type veth peer name wire", "ip address add 192.0.2.1/24 dev out"]);
    const before = await host.see();

    await expect(host.datapath.check(network(1, { tunnel }), [])).rejects.toMatchObject({
      code: "unsupported",
      message:
        "this kernel has no links of kind gretap, which tunnel=gre needs on a Linux bridge; permitted: another tunnel, or backend=ovs",
    });

    expect(await host.see()).toEqual(before);
    await host.datapath.check(network(), []);
    await host.datapath.ensureNetwork(network(), []);
    expect((await host.see()).has(BR)).toBe(true);
  });
});

describe("a host with IPv6 switched off", () => {
  const OFF = ["sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"];

  it("serves a network of IPv4 as any, and has IPv6 on the link of a network of IPv6 alone [F82]", async () => {
    await using host = await bridgeHost();
    await shell(host.namespace, OFF);
    const four = network(2, { switchName: ifName("tsnfour") });

    await host.datapath.ensureNetwork(four, []);
    await host.datapath.ensureNetwork(dualStack(), []);
    await using one = await sandboxOf(host, dualStack(), 1);

    expect(await pings(one, "10.1.1.1")).toBe(true);
    expect(await pings(one, "fd00:1:1::1")).toBe(true);
    expect(await host.namespace.exec(["ip", "-o", "address", "show", "tsnfour"])).toMatch(
      /^\S+ tsnfour +inet 10\.1\.2\.1\/24 .*\n$/,
    );
    expect((await host.namespace.exec(["sysctl", "-n", "net.ipv6.conf.all.disable_ipv6"])).trim()).toBe("1");
  });
});

describe("a host that was started without IPv6", () => {
  it("serves networks of IPv4, and refuses one of IPv6 with the way out, of which nothing is left [F82]", async () => {
    await using at = await NetNamespace.create("no-ipv6");
    const agent = await startHostAgent(at, { prepare: ["mount -t tmpfs none /proc/sys/net/ipv6"] });

    await agent.datapath.ensureNetwork(network(), []);
    await agent.firewall.apply({ networks: [network()], endpoints: [] });
    const before = await at.exec(["ip", "-o", "link"]);

    const dual = dualStack(2, { switchName: ifName("tsnsix") });
    await expect(agent.datapath.ensureNetwork(dual, [])).rejects.toMatchObject({
      code: "unsupported",
      message: "this host has no IPv6; create network tsnsix without --ipv6",
    });
    await agent.datapath.removeNetwork(dual, []); // as the call that failed does
    expect(await at.exec(["ip", "-o", "link"])).toBe(before);
  });
});

describe("a daemon without CAP_NET_ADMIN", () => {
  it("is refused by the kernel, whose words name the step, and makes nothing [F90]", async () => {
    await using at = await NetNamespace.create("no-admin");
    const before = await at.exec(["ip", "-o", "link"]);
    const agent = await startHostAgent(at, { prepare: ['exec setpriv --bounding-set=-net_admin "$@"'] });

    await expect(agent.datapath.ensureNetwork(network(), [])).rejects.toMatchObject({
      code: "host",
      message: expect.stringMatching(new RegExp(`${BR}.*Operation not permitted`)) as string,
    });
    await expect(agent.firewall.check(network())).rejects.toMatchObject({
      code: "host",
      message: expect.stringContaining("Operation not permitted") as string,
    });

    expect(await at.exec(["ip", "-o", "link"])).toBe(before);
  });
});

describe("links on a host with udev", () => {
  it("have MAC addresses that were set where they matter, which its policies leave alone [F59]", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    await host.datapath.attach(network(), endpoint(), []);

    const howTheyCame = [BR, endpoint().sandboxIfName].map((name) =>
      host.namespace.exec(["cat", `/sys/class/net/${name}/addr_assign_type`]),
    );

    expect(await Promise.all(howTheyCame)).toEqual([NET_ADDR_SET, NET_ADDR_SET]);
  });

  it("carry on when somebody changes everything about a container's port [F59]", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    await using one = await sandboxOf(host, network(), 1);
    await using two = await sandboxOf(host, network(), 2);
    const port = endpoint(1).hostIfName;
    await shell(host.namespace, [
      `ip link set ${port} address 02:00:00:00:00:77 nomaster down`,
      `ip address add 169.254.7.7/16 dev ${port}`,
    ]);

    await host.datapath.ensureNetwork(network(), []);
    for (const n of [1, 2]) await host.datapath.reattach(network(), endpoint(n));

    expect(await pings(one, "10.1.1.1")).toBe(true);
    expect(await pings(two, "10.1.1.2")).toBe(true);
  });
});

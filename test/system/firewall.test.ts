// The host's own packet filter beside tsnet's rules: Docker's FORWARD policy DROP, flushes by others, iptables-legacy.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { repairTime } from "../support/outage.ts";
import type { TestContainer } from "../support/system-container.ts";
import { CLOSED, OPEN, SystemHost } from "../support/system-host.ts";

const HOST = "192.0.2.10";
/** Contract section 5, rule 5: what was lost outside is put back within 5 s. */
const REPAIR_MS = 5000;

describe("on a host with bridge netfilter and FORWARD policy DROP [F115]", () => {
  let host: SystemHost;
  let one: TestContainer;
  let two: TestContainer;
  let other: TestContainer;

  beforeAll(async () => {
    host = await SystemHost.up("managed plugin");
    await host.exec(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1", "net.bridge.bridge-nf-call-ip6tables=1"]);
    for (const tool of ["iptables", "ip6tables"]) await host.exec([tool, "-P", "FORWARD", "DROP"]);
    const blue = await host.network("blue", "--ipv6", "--subnet", "10.93.0.0/24", "--subnet", "fd93::/64");
    const red = await host.network("red", "--ipv6", "--subnet", "10.94.0.0/24", "--subnet", "fd94::/64");
    one = await host.run("one", blue);
    two = await host.run("two", blue);
    other = await host.run("other", red);
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("containers of one network reach each other and the outside, over IPv4 and IPv6", async () => {
    await expectEverythingOpen();
  });

  it("what an administrator drops in FORWARD stays dropped", async () => {
    await host.exec(["iptables", "-I", "FORWARD", "-s", await one.address(), "-d", "192.0.2.1", "-j", "DROP"]);

    await expect(host.lab.askEcho("tcp", host.neighbour.address, one.name)).rejects.toThrow("no answer");

    await host.exec(["iptables", "-D", "FORWARD", "1"]);
    expect(await host.lab.askEcho("tcp", host.neighbour.address, one.name)).toBe(HOST);
  });

  it("one rule of tsnet stands at the end of each FORWARD chain, and stays one", async () => {
    for (const tool of ["iptables", "ip6tables"]) {
      const rules = (await host.exec([tool, "-S", "FORWARD"])).split("\n");
      expect(rules.filter((rule) => rule.includes("tsnet"))).toEqual(rules.slice(-1));
    }
  });

  it.each([
    ["iptables -F FORWARD", ["iptables", "-F", "FORWARD"]],
    ["ip6tables -F FORWARD", ["ip6tables", "-F", "FORWARD"]],
    ["nft flush ruleset", ["nft", "flush", "ruleset"]],
  ])("after `%s` tsnet's rules are back within 5 seconds [F113]", async (_title, command) => {
    expect(await repairTime(() => host.exec(command), rulesOfOurs, REPAIR_MS)).toBeLessThan(REPAIR_MS);
    await expectEverythingOpen();
  });

  it.each(["delete", "flush"])("`nft %s table inet tsnet` is refused by the kernel while tsnet runs", async (verb) => {
    const command = ["nft", verb, "table", "inet", "tsnet"];

    await expect(host.exec(command)).rejects.toThrow("Operation not permitted");

    await expectEverythingOpen();
  });

  it("tables that somebody deleted while tsnet was away are back when it is", async () => {
    await host.stop();
    await host.exec(["nft", "flush", "ruleset"]);
    await host.start();

    await expect.poll(rulesOfOurs).toBe(true);
    await expectEverythingOpen();
  });

  it("a bridge that somebody deleted is back within 5 seconds, with its ports", async () => {
    const bridge = await bridgeOf("blue");

    const address = await two.address();
    const reach = async () => (await one.exec(["busybox", "ping", "-c1", "-W1", address])) !== "";

    const took = await repairTime(() => host.exec(["ip", "link", "delete", bridge]), reach, REPAIR_MS);

    expect(took).toBeLessThan(REPAIR_MS);
    await expectEverythingOpen();
  });

  it("an address that somebody took from a bridge is back within 5 seconds", async () => {
    const bridge = await bridgeOf("blue");
    const flush = async () => await host.exec(["ip", "address", "flush", "dev", bridge]);
    const isBack = async () => /10\.93\.0\.1\/24[\s\S]*fd93::1\/64/.test(await host.exec(["ip", "address"]));

    expect(await repairTime(flush, isBack, REPAIR_MS)).toBeLessThan(REPAIR_MS);
    await expectEverythingOpen();
  });

  it("tsnet logs no complaint about any of this", () => {
    expect(host.complaints()).toEqual([]);
  });

  async function expectEverythingOpen(): Promise<void> {
    for (const family of [4, 6] as const) {
      await expect.poll(async () => await host.tryReach(one, await two.address(family))).toEqual(OPEN);
    }
    expect(await host.tryReach(one, await other.address())).toEqual(CLOSED);
    expect(await host.lab.askEcho("tcp", host.neighbour.address, one.name)).toBe(HOST);
    expect(await host.lab.askEcho("tcp", host.neighbour.addressIpv6, one.name)).toBe("2001:db8:1::10");
  }

  /** Our table has its chains, and each FORWARD chain that exists our rule. */
  async function rulesOfOurs(): Promise<boolean> {
    const ruleset = await host.exec(["nft", "list", "ruleset"]);
    const forwards = ruleset.match(/chain FORWARD \{[\s\S]*?\n\t\}/g) ?? [];
    const hasTable = /table inet tsnet \{[\s\S]*goto admit[\s\S]*masquerade/.test(ruleset);
    return hasTable && forwards.every((chain) => chain.includes("0x20000000"));
  }

  async function bridgeOf(network: string): Promise<string> {
    const id = await host.docker("network", "inspect", "--format", "{{.Id}}", network);
    const links = JSON.parse(await host.exec(["ip", "-json", "link"])) as { ifname: string; ifalias?: string }[];
    return links.find(({ ifalias }) => ifalias === `tsnet:network:${id}`)?.ifname ?? "";
  }
});

describe("on a host whose Docker uses iptables-legacy", () => {
  let host: SystemHost;

  beforeAll(async () => {
    host = await SystemHost.up("managed plugin");
    await host.lab.dockerd.stop();
    await host.exec(["nft", "flush", "ruleset"]);
    await host.exec(["sysctl", "-qw", "net.ipv4.ip_forward=0"]); // as after a boot: then Docker sets the policy DROP
    // only in this lab's own mount namespace: every iptables that dockerd finds is the legacy one
    await host.exec(["mount", "--bind", "/usr/sbin/xtables-legacy-multi", "/usr/sbin/xtables-nft-multi"]);
    await host.lab.dockerd.start();
    expect(await host.exec(["iptables", "--version"])).toContain("legacy");
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("a network is refused with a command, and works after exactly that command was typed", async () => {
    const create = ["network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "blue"];
    const before = await host.census();

    const commands: string[] = [];
    for (const _family of [4, 6]) {
      const message = await host.docker(...create).then(
        () => undefined,
        () => host.refusalOf(...create),
      );
      if (message === undefined) break;
      const [, command = ""] = /type: (.*-j ACCEPT)/.exec(message) ?? [];
      commands.push(command);
      if (commands.length === 1) expect(await host.changesSince(before)).toEqual([]);
      await host.exec(["sh", "-c", command]);
    }
    if (commands.length === 2) await host.docker(...create);
    await using network = host.existingNetwork("blue");
    await using one = await host.run("one", network);
    await using two = await host.run("two", network);

    expect(commands[0]).toMatch(/^iptables-legacy -A FORWARD -m mark --mark 0x20000000\/0x20000000 .*-j ACCEPT$/);
    await expect.poll(async () => await host.tryReach(one, await two.address())).toEqual(OPEN);
    expect(await host.lab.askEcho("tcp", host.neighbour.address, one.name)).toBe(HOST);

    // Docker's own bridges stay apart, the one that was there and one that comes
    await using late = host.existingNetwork("late");
    await host.docker("network", "create", late.name);
    for (const name of ["bridge", late.name]) {
      await using plain = await host.run("plain", { ...late, name });
      const address = await plain.address();
      await expect.poll(() => host.tryReach(host, address)).toEqual(OPEN);
      await expect.poll(async () => await host.tryReach(one, address)).toEqual(CLOSED);
    }
  });

  it("a network that needs nothing of the host's rules is created without it", async () => {
    await host.exec([
      "iptables-legacy",
      "-D",
      "FORWARD",
      "-m",
      "mark",
      "--mark",
      "0x20000000/0x20000000",
      "-m",
      "comment",
      "--comment",
      "tsnet",
      "-j",
      "ACCEPT",
    ]);
    await host.exec(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0"]);

    await using network = await host.network("dark", "-o", "mode=isolated");
    await using one = await host.run("one", network);
    await using two = await host.run("two", network);

    await expect.poll(async () => await host.tryReach(one, await two.address())).toEqual(OPEN);
  });
});

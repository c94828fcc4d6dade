// The rules themselves: how they come, stay, come back and go, seen with nft(8) and iptables(8).
import { describe, expect, it } from "vitest";
import type { FirewallState } from "../../../src/cnm/firewall.ts";
import type { Network } from "../../../src/cnm/network.ts";
import { RULE_COMMENT } from "../../../src/nat/foreign-chains.ts";
import { dualStack, ifName, network } from "../../support/cnm-builder.ts";
import { type HostAgent, startHostAgent } from "../../support/host-agent.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";

const DOCKER = ["iptables", "ip6tables"].flatMap((tool) => [
  `${tool}-nft -P FORWARD DROP`,
  `${tool}-nft -N DOCKER-USER`,
  `${tool}-nft -A DOCKER-USER -j RETURN`,
  `${tool}-nft -A FORWARD -j DOCKER-USER`,
]);
const OUR_RULE = /-A FORWARD -m mark --mark 0x20000000\/0x20000000 -m comment --comment "tsnet: [^"]+" -j ACCEPT/;

interface Host extends AsyncDisposable {
  readonly at: NetNamespace;
  readonly agent: HostAgent;
}

async function hostWith(rules: readonly string[]): Promise<Host> {
  const at = await NetNamespace.create("rules");
  if (rules.length > 0) await shell(at, rules);
  return { at, agent: await startHostAgent(at), [Symbol.asyncDispose]: () => at[Symbol.asyncDispose]() };
}

const stateOf = (...networks: readonly Network[]): FirewallState => ({ networks, endpoints: [] });

const listed = (at: NetNamespace) => at.exec(["nft", "-s", "list", "ruleset"]);
const ourTables = async (at: NetNamespace) => {
  const tables = ["inet", "bridge"].map((family) => at.exec(["nft", "-s", "list", "table", family, "tsnet"]));
  return (await Promise.all(tables)).join("");
};
const forwardRules = async (at: NetNamespace, tool = "iptables-nft") =>
  (await at.exec([tool, "-S", "FORWARD"])).trim().split("\n");

describe("the table of one network", () => {
  it.each<[string, Network]>([
    ["nat", dualStack()],
    ["nat-masquerade-false", dualStack(1, { isMasqueraded: false })],
    ["routed", dualStack(1, { mode: "routed" })],
    ["internal", dualStack(1, { isInternal: true })],
    ["l2", dualStack(1, { mode: "l2" })],
    ["isolated", dualStack(1, { mode: "isolated" })],
    ["l2-adopted", dualStack(1, { mode: "l2", switchName: ifName("br0"), isSwitchOurs: false })],
  ])("of kind %s is that of the golden file", async (kind, wanted) => {
    await using host = await hostWith([]);

    await host.agent.firewall.apply(stateOf(wanted));

    await expect(await ourTables(host.at)).toMatchFileSnapshot(`golden/${kind}.nft`);
  });
});

describe("the rules of a host with the engine's chains", () => {
  it("end each FORWARD with one rule that iptables can list, save and restore", async () => {
    await using host = await hostWith(DOCKER);

    await host.agent.firewall.apply(stateOf(dualStack()));

    for (const tool of ["iptables", "ip6tables"]) {
      const rules = await forwardRules(host.at, `${tool}-nft`);
      expect(rules).toHaveLength(3);
      expect(rules.at(-1)).toMatch(OUR_RULE);
      await shell(host.at, [`${tool}-nft-save -t filter > /dev/null`, `${tool}-nft-save | ${tool}-nft-restore --test`]);
    }
  });

  it("change nothing the second time, and say so", async () => {
    await using host = await hostWith(DOCKER);
    const networks = [dualStack(1), dualStack(2, { mode: "isolated" }), network(3, { isInternal: true })];
    expect(await host.agent.firewall.apply(stateOf(...networks))).toBe(true);
    const monitor = host.at.spawn(["nft", "monitor"]);
    let seen = "";
    monitor.stdout?.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    const announce = async (table: string) => {
      await waitUntil(`nft monitor to show ${table}`, async () => {
        await shell(host.at, [`nft add table ip ${table}`, `nft delete table ip ${table}`]);
        return seen.includes(`add table ip ${table}`);
      });
    };
    await announce("begin");

    expect(await host.agent.firewall.apply(stateOf(...networks))).toBe(false);

    await announce("finish");
    expect(seen.split("\n").filter((line) => line !== "" && !/begin|finish|new generation/.test(line))).toEqual([]);
  });

  it.each([
    ["iptables -F", ["iptables-nft -F"]],
    ["ip6tables -F", ["ip6tables-nft -F"]],
    ["nft delete table inet tsnet", ["nft delete table inet tsnet"]],
    ["the loss of one rule of ours", ["nft flush chain inet tsnet leave"]],
    ["the loss of one element of ours", ["nft flush set inet tsnet pools4"]],
    ["a rule in our table that is not ours", ["nft insert rule inet tsnet forward drop"]],
    ["the loss of our rule in FORWARD", ["iptables-nft -D FORWARD 2"]],
    [
      "our rule in FORWARD twice",
      [`nft 'add rule ip filter FORWARD meta mark & 0x20000000 == 0x20000000 accept comment "${RULE_COMMENT}"'`],
    ],
  ])("come back after %s", async (_what, damage) => {
    await using host = await hostWith(DOCKER);
    await host.agent.firewall.apply(stateOf(dualStack()));
    const [whole, table] = [await listed(host.at), await ourTables(host.at)];
    await shell(host.at, damage);
    expect(await listed(host.at)).not.toBe(whole);

    expect(await host.agent.firewall.apply(stateOf(dualStack()))).toBe(true);

    expect(await ourTables(host.at)).toBe(table);
    for (const tool of ["iptables-nft", "ip6tables-nft"]) {
      const ours = (await forwardRules(host.at, tool)).filter((rule) => OUR_RULE.test(rule));
      expect(ours).toHaveLength(1);
    }
  });

  it("are not doubled when the administrator saves and restores them", async () => {
    await using host = await hostWith(DOCKER);
    await host.agent.firewall.apply(stateOf(dualStack()));
    await shell(host.at, [
      "iptables-nft-save > /tmp/$$.rules",
      "iptables-nft-restore < /tmp/$$.rules",
      "rm /tmp/$$.rules",
    ]);

    await host.agent.firewall.apply(stateOf(dualStack()));

    expect(await forwardRules(host.at)).toHaveLength(3);
  });

  it("come back after nft flush ruleset, and FORWARD gets its rule once the engine has made it again", async () => {
    await using host = await hostWith(DOCKER);
    await host.agent.firewall.apply(stateOf(dualStack()));
    await shell(host.at, ["nft flush ruleset"]);

    expect(await host.agent.firewall.apply(stateOf(dualStack()))).toBe(true);
    expect(await listed(host.at)).toContain("table inet tsnet");
    await shell(host.at, DOCKER);
    expect(await host.agent.firewall.apply(stateOf(dualStack()))).toBe(true);

    expect((await forwardRules(host.at)).at(-1)).toMatch(OUR_RULE);
  });

  it("go with the last network and leave the host as it was", async () => {
    await using host = await hostWith([
      ...DOCKER,
      "nft add table inet user",
      "nft 'add chain inet user forward { type filter hook forward priority 5; }'",
      "nft add rule inet user forward ip daddr 203.0.113.1 drop",
    ]);
    const before = await listed(host.at);
    await host.agent.firewall.apply(stateOf(dualStack(1), dualStack(2)));
    await host.agent.firewall.apply(stateOf(dualStack(2)));

    expect(await host.agent.firewall.apply(stateOf())).toBe(true);

    expect(await listed(host.at)).toBe(before);
    expect(await host.agent.firewall.apply(stateOf())).toBe(false);
  });

  it("leave the tables of another user of nftables untouched", async () => {
    await using host = await hostWith([
      "nft add table inet user",
      "nft 'add chain inet user forward { type filter hook forward priority 5; }'",
      "nft add rule inet user forward ip daddr 203.0.113.1 drop",
    ]);
    const before = await host.at.exec(["nft", "-a", "list", "table", "inet", "user"]);

    await host.agent.firewall.apply(stateOf(dualStack()));

    expect(await host.at.exec(["nft", "-a", "list", "table", "inet", "user"])).toBe(before);
  });

  it("are as many for 200 networks as for one", async () => {
    await using host = await hostWith(DOCKER);
    const count = async () => (await host.at.exec(["nft", "-a", "list", "ruleset"])).split("\n").length;
    const rules = async () =>
      (JSON.parse(await host.at.exec(["nft", "-j", "list", "ruleset"])) as { nftables: object[] }).nftables.filter(
        (object) => "rule" in object,
      ).length;
    await host.agent.firewall.apply(stateOf(dualStack(1)));
    const [one, lines] = [await rules(), await count()];
    const many = Array.from({ length: 200 }, (_, n) => dualStack(n + 1));

    expect(await host.agent.firewall.apply(stateOf(...many))).toBe(true);

    expect(await rules()).toBe(one);
    expect(await count()).toBeGreaterThan(lines);
    expect(await host.agent.firewall.apply(stateOf(...many))).toBe(false);
  });

  it("take subnets of every size", async () => {
    await using host = await hostWith([]);
    const subnets = ["10.9.0.0/8", "10.0.0.0/31", "10.0.0.7/32", "fd00::/32", "fd00:2::/127", "fd00:3::7/128"];
    const pools = subnets.map((subnet) => ({ subnet: subnet.replace("10.9.", "10.0.") }));
    const networks = pools.map((pool, n) => network(n + 1, { pools: [pool] }));

    expect(await host.agent.firewall.apply(stateOf(...networks))).toBe(true);

    expect(await host.agent.firewall.apply(stateOf(...networks))).toBe(false);
  });
});

describe("a host with iptables-legacy whose FORWARD drops", () => {
  it("is refused with the command to type, and accepted once it was typed", async () => {
    await using host = await hostWith(["iptables-legacy -P FORWARD DROP", "ip6tables-legacy -P FORWARD DROP"]);
    const refusal = async () =>
      host.agent.firewall.check(network()).then(
        () => "",
        (failure: unknown) => String(failure),
      );

    for (const tool of ["iptables-legacy", "ip6tables-legacy"]) {
      const message = await refusal();
      const command = /; type: (.*)$/.exec(message)?.[1] ?? "";
      expect(command.split(" ")[0]).toBe(tool);
      await shell(host.at, [command]);
    }

    expect(await refusal()).toBe("");
  });

  it("is accepted for a network of which nothing is forwarded, when bridged frames do not pass iptables", async () => {
    await using host = await hostWith([
      "sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0",
      "iptables-legacy -P FORWARD DROP",
    ]);

    await expect(host.agent.firewall.check(network(1, { mode: "isolated" }))).resolves.toBeUndefined();
    await expect(host.agent.firewall.check(network())).rejects.toMatchObject({ code: "unsupported" });
  });
});

describe("forwarding", () => {
  const read = async (at: NetNamespace, name: string) => (await at.exec(["sysctl", "-n", name])).trim();

  it("is switched on for the families that are forwarded, and logged", async () => {
    await using host = await hostWith([
      "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
      "ip link add wan type veth peer name far",
      "sysctl -qw net.ipv6.conf.wan.accept_ra=1",
    ]);
    await host.agent.firewall.apply(stateOf(network(1, { isInternal: true }), network(2, { mode: "l2" })));
    expect(await read(host.at, "net.ipv4.ip_forward")).toBe("0");

    await host.agent.firewall.apply(stateOf(network(1)));
    expect(await read(host.at, "net.ipv4.ip_forward")).toBe("1");
    expect(await read(host.at, "net.ipv6.conf.all.forwarding")).toBe("0");
    expect(await host.agent.logged()).toEqual([
      { level: "info", message: "host setting changed", sysctl: "net.ipv4.ip_forward", value: 1 },
    ]);

    await host.agent.firewall.apply(stateOf(dualStack(1)));
    expect(await read(host.at, "net.ipv6.conf.all.forwarding")).toBe("1");
  });

  it("of IPv6 does not make the host deaf to the router advertisements that it listened to", async () => {
    await using host = await hostWith([
      "sysctl -qw net.ipv6.conf.all.forwarding=0",
      "ip link add wan type veth peer name deaf",
      "sysctl -qw net.ipv6.conf.wan.accept_ra=1 net.ipv6.conf.deaf.accept_ra=0",
    ]);

    await host.agent.firewall.apply(stateOf(dualStack()));

    expect(await read(host.at, "net.ipv6.conf.wan.accept_ra")).toBe("2");
    expect(await read(host.at, "net.ipv6.conf.deaf.accept_ra")).toBe("0");
  });

  it("that cannot be switched on is refused with the command to type, and no rule is made", async () => {
    await using at = await NetNamespace.create("readonly");
    await shell(at, ["sysctl -qw net.ipv4.ip_forward=0"]);
    const agent = await startHostAgent(at, { isSysctlReadOnly: true });

    await expect(agent.firewall.apply(stateOf(network()))).rejects.toMatchObject({
      code: "host",
      message: expect.stringContaining("run on the host: sysctl -w net.ipv4.ip_forward=1") as string,
    });
    expect(await listed(at)).toBe("");
  });
});

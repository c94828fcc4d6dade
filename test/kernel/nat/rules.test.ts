// The rules themselves: how they come, stay, come back and go, seen with nft(8) and iptables(8).
import { describe, expect, it } from "vitest";
import type { FirewallState } from "../../../src/cnm/firewall.ts";
import type { Network } from "../../../src/cnm/network.ts";
import type { PublishedPort } from "../../../src/cnm/ports.ts";
import { RULE_COMMENT } from "../../../src/nat/foreign-chains.ts";
import { dualStack, endpoint, ifName, network } from "../../support/cnm-builder.ts";
import { type AgentOptions, type HostAgent, startHostAgent } from "../../support/host-agent.ts";
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

async function hostWith(rules: readonly string[], options: AgentOptions = {}): Promise<Host> {
  const at = await NetNamespace.create("rules");
  if (rules.length > 0) await shell(at, rules);
  return { at, agent: await startHostAgent(at, options), [Symbol.asyncDispose]: () => at[Symbol.asyncDispose]() };
}

/** One to all addresses, one to an address of each family, and one to 127.0.0.1, which is none of the rules' business. */
const PORTS: readonly PublishedPort[] = [
  { protocol: "tcp", containerPort: 80, hostAddress: "", hostPort: 8080 },
  { protocol: "udp", containerPort: 53, hostAddress: "192.0.2.10", hostPort: 5353 },
  { protocol: "sctp", containerPort: 443, hostAddress: "2001:db8:1::10", hostPort: 8443 },
  { protocol: "tcp", containerPort: 81, hostAddress: "127.0.0.1", hostPort: 8081 },
];

const stateOf = (...networks: readonly Network[]): FirewallState => ({ networks, endpoints: [] });

const listed = (at: NetNamespace) => at.exec(["nft", "-s", "list", "ruleset"]);
const ourTables = async (at: NetNamespace) => {
  const tables = ["inet", "bridge"].map((family) => at.exec(["nft", "-s", "list", "table", family, "tsnet"]));
  const text = (await Promise.all(tables)).join("").replaceAll(/ # progname .*|\n\tflags .*\n/g, ""); // both say who owns it
  const sorted = (elements: string) => elements.split(/,\s+/).toSorted().join(",\n\t\t\t     "); // they have no order
  return text.replaceAll(/(?<=elements = \{ )[^}]+(?= \})/g, sorted);
};
const forwardRules = async (at: NetNamespace, tool = "iptables-nft") =>
  (await at.exec([tool, "-S", "FORWARD"])).trim().split("\n");

/** Applies both states, one after the other, and compares what `nft -j list ruleset` shows. */
async function expectSameRules({ at, agent }: Host, small: FirewallState, large: FirewallState): Promise<void> {
  const objects = async () =>
    (JSON.parse(await at.exec(["nft", "-j", "list", "ruleset"])) as { nftables: object[] }).nftables;
  const rulesIn = (all: readonly object[]) => all.filter((object) => "rule" in object).length;
  await agent.firewall.apply(small);
  const before = await objects();

  expect(await agent.firewall.apply(large)).toBe(true);

  const after = await objects();
  expect(rulesIn(before)).toBeGreaterThan(50);
  expect([rulesIn(after), after.length]).toEqual([rulesIn(before), before.length]);
  expect(await agent.firewall.apply(large)).toBe(false);
}

describe("the table of one network", () => {
  it.each<[string, Network]>([
    ["nat", dualStack()],
    ["nat-masquerade-false", dualStack(1, { isMasqueraded: false })],
    ["routed", dualStack(1, { mode: "routed" })],
    ["internal", dualStack(1, { isInternal: true })],
    ["l2", dualStack(1, { mode: "l2" })],
    ["isolated", dualStack(1, { mode: "isolated" })],
    ["l2-adopted", dualStack(1, { mode: "l2", switchName: ifName("br0"), isSwitchOurs: false })],
    ["icc-false", dualStack(1, { isIccAllowed: false })],
    ["antispoof-false", dualStack(1, { isGuarded: false })],
  ])("of kind %s is that of the golden file", async (kind, wanted) => {
    await using host = await hostWith([]);
    const ports = ["nat", "routed"].includes(wanted.mode) && !wanted.isInternal ? PORTS : [];
    const publisher = endpoint(1, 1, { addressIpv6: "fd00:1:1::2/64" });
    const endpoints = [
      { network: wanted, endpoint: publisher, ports },
      { network: wanted, endpoint: endpoint(2, 1), ports: [] },
    ];

    await host.agent.firewall.apply({ networks: [wanted], endpoints });

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
  ])("come back after %s, where anybody can change them", async (_what, damage) => {
    await using host = await hostWith(DOCKER, { isKernelOld: true });
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

  it.each([
    ["stay through", false],
    ["come back after", true],
  ])(
    "%s nft flush ruleset, isKernelOld=%s, and FORWARD gets its rule once the engine has made it again",
    async (_, isKernelOld) => {
      await using host = await hostWith(DOCKER, { isKernelOld });
      await host.agent.firewall.apply(stateOf(dualStack()));
      const table = await ourTables(host.at);
      await shell(host.at, ["nft flush ruleset"]);
      expect((await listed(host.at)).includes("table inet tsnet")).toBe(!isKernelOld);

      expect(await host.agent.firewall.apply(stateOf(dualStack()))).toBe(isKernelOld);
      expect(await ourTables(host.at)).toBe(table);
      await shell(host.at, DOCKER);
      expect(await host.agent.firewall.apply(stateOf(dualStack()))).toBe(true);

      expect((await forwardRules(host.at)).at(-1)).toMatch(OUR_RULE);
    },
  );

  it.each([
    "nft delete table bridge tsnet",
    "nft flush table inet tsnet",
    "nft flush chain bridge tsnet ingress",
    "nft insert rule inet tsnet forward accept",
    "nft flush set inet tsnet pools4",
    "nft 'add element bridge tsnet unguarded { veth1 }'",
  ])("are not for others to change: `%s` is refused", async (command) => {
    await using host = await hostWith([]);
    await host.agent.firewall.apply(stateOf(dualStack()));
    const table = await ourTables(host.at);

    await expect(shell(host.at, [command])).rejects.toThrow("Operation not permitted");

    expect(await ourTables(host.at)).toBe(table);
  });

  it("stay as they are when tsnet dies, and belong to the next tsnet", async () => {
    await using host = await hostWith(DOCKER);
    await host.agent.firewall.apply(stateOf(dualStack()));
    const table = await ourTables(host.at);
    await host.agent.kill();
    expect(await ourTables(host.at)).toBe(table);

    const next = await startHostAgent(host.at);
    expect(await next.firewall.apply(stateOf(dualStack()))).toBe(false);

    await shell(host.at, ["nft flush ruleset"]);
    expect(await ourTables(host.at)).toBe(table);
  });

  it.each([
    ["lost a rule", "nft flush chain inet tsnet leave"],
    ["lost all rules", "nft flush table bridge tsnet"],
    ["were deleted", "nft delete table inet tsnet"],
    ["were flushed with everything else", "nft flush ruleset"],
    [
      "got a chain, a set and a map",
      "nft 'add chain inet tsnet a; add set inet tsnet b { type mark; }; add map inet tsnet c { type mark : verdict; }'",
    ],
  ])("that %s while no tsnet was there are made anew by the next one", async (_, damage) => {
    await using host = await hostWith([]);
    await host.agent.firewall.apply(stateOf(dualStack()));
    const table = await ourTables(host.at);
    await host.agent.kill();
    await shell(host.at, [damage]);

    const next = await startHostAgent(host.at);
    expect(await next.firewall.apply(stateOf(dualStack()))).toBe(true);

    expect(await ourTables(host.at)).toBe(table);
    await expect(shell(host.at, ["nft delete table inet tsnet"])).rejects.toThrow("Operation not permitted");
  });

  it("that belong to another tsnet are left alone, and the message says whose they are", async () => {
    await using host = await hostWith([]);
    await host.agent.firewall.apply(stateOf(dualStack()));
    const table = await ourTables(host.at);
    const second = await startHostAgent(host.at);

    await expect(second.firewall.apply(stateOf(dualStack(2)))).rejects.toThrow(
      /^the tables tsnet belong to another program, perhaps to another tsnet: .*Operation not permitted/,
    );

    expect(await ourTables(host.at)).toBe(table);
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
    const many = Array.from({ length: 200 }, (_, n) => dualStack(n + 1));

    await expectSameRules(host, stateOf(dualStack(1)), stateOf(...many));
  });

  it("are as many for 500 endpoints that publish 500 ports as for one", async () => {
    await using host = await hostWith(DOCKER);
    const wide = network(1, { pools: [{ subnet: "10.7.0.0/16", gateway: "10.7.0.1" }] });
    const endpoints = Array.from({ length: 500 }, (_, n) => {
      const [high, low] = [1 + (n >> 8), n & 0xff];
      const mac = `02:42:0a:07:0${high}:${low.toString(16).padStart(2, "0")}`;
      const port = { protocol: "tcp", containerPort: 80, hostAddress: "", hostPort: 20_000 + n } as const;
      return { network: wide, endpoint: endpoint(n, 1, { address: `10.7.${high}.${low}/16`, mac }), ports: [port] };
    });

    const one = { networks: [wide], endpoints: endpoints.slice(0, 1) };
    await expectSameRules(host, one, { networks: [wide], endpoints });

    const map = JSON.parse(await host.at.exec(["nft", "-j", "list", "map", "inet", "tsnet", "any4"])) as {
      nftables: { map?: { elem: object[] } }[];
    };
    expect(map.nftables.flatMap((each) => each.map?.elem ?? [])).toHaveLength(500);
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

// The rules themselves: how they come, stay, come back and go, seen with nft(8) and iptables(8).
import { describe, expect, it } from "vitest";
import type { Network, Tunnel } from "../../../src/cnm/network.ts";
import type { PublishedPort } from "../../../src/cnm/ports.ts";
import { RULE_COMMENT } from "../../../src/nat/foreign-chains.ts";
import { dualStack, endpoint, ifName, network } from "../../support/cnm-builder.ts";
import { shell } from "../../support/packet-lab.ts";
import { DOCKER, OUR_RULE, forwardRules, hostWith, listed, ourTables, stateOf } from "../../support/ruled-host.ts";
import { NftMonitor } from "../../support/nft-monitor.ts";

/** One to all addresses, one to an address of each family, and one to 127.0.0.1, which is none of the rules' business. */
const PORTS: readonly PublishedPort[] = [
  { protocol: "tcp", containerPort: 80, hostAddress: "", hostPort: 8080 },
  { protocol: "udp", containerPort: 53, hostAddress: "192.0.2.10", hostPort: 5353 },
  { protocol: "sctp", containerPort: 443, hostAddress: "2001:db8:1::10", hostPort: 8443 },
  { protocol: "tcp", containerPort: 81, hostAddress: "127.0.0.1", hostPort: 8081 },
];

const VXLAN: Tunnel = { kind: "vxlan", vni: 77, port: 4789, local: "192.0.2.10", peers: ["192.0.2.11", "192.0.2.12"] };
const GENEVE: Tunnel = { ...VXLAN, kind: "geneve", port: 6081, local: "2001:db8::10", peers: ["2001:db8::11"] };
const GRE: Tunnel = { kind: "gre", vni: 77, local: "192.0.2.10", peers: ["192.0.2.11"] };
const TRUNK = { vlans: { vlan: 10, trunk: [20] }, isGuarded: false } as const;

describe("the table of one network", () => {
  it.each<[string, Network]>([
    ["nat", dualStack()],
    ["nat-masquerade-false", dualStack(1, { isMasqueraded: false })],
    ["routed", dualStack(1, { mode: "routed" })],
    ["internal", dualStack(1, { isInternal: true })],
    ["l2", dualStack(1, { mode: "l2" })],
    ["isolated", dualStack(1, { mode: "isolated" })],
    ["l2-adopted", dualStack(1, { mode: "l2", switchName: ifName("br0"), isSwitchOurs: false })],
    ["nat-adopted", dualStack(1, { switchName: ifName("br0"), isSwitchOurs: false })],
    ["icc-false", dualStack(1, { isIccAllowed: false })],
    ["antispoof-false", dualStack(1, { isGuarded: false })],
    ["vlan-uplink", dualStack(1, { vlans: { vlan: 100 }, uplink: { parent: ifName("eth1"), isAddressMoved: false } })],
    ["tunnel-vxlan", dualStack(1, { tunnel: VXLAN })],
    ["tunnel-geneve", dualStack(1, { tunnel: GENEVE })],
    ["tunnel-gre-trunk", dualStack(1, { tunnel: GRE, ...TRUNK })],
    ["tunnel-gre-keyless", dualStack(1, { tunnel: { kind: "gre", local: GRE.local, peers: GRE.peers } })],
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

  it("change nothing the second time, and say so [F89]", async () => {
    await using host = await hostWith(DOCKER);
    const networks = [dualStack(1), dualStack(2, { mode: "isolated" }), network(3, { isInternal: true })];
    expect(await host.agent.firewall.apply(stateOf(...networks))).toBe(true);
    await using monitor = await NftMonitor.start(host.at);

    expect(await host.agent.firewall.apply(stateOf(...networks))).toBe(false);

    const seen = await monitor.stop();
    expect(seen).toBe("");
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
  ])("come back after %s, where anybody can change them [F114]", async (_what, damage) => {
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
    "%s nft flush ruleset, isKernelOld=%s, and FORWARD gets its rule once the engine has made it again [F113]",
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

  it("wait for no lock of iptables, which tsnet does not need [F117]", async () => {
    const held = ["mount -t tmpfs none /run", "exec 9> /run/xtables.lock", "flock -n 9"]; // until the agent ends
    await using host = await hostWith([...DOCKER, "iptables-legacy -A FORWARD -s 203.0.113.1 -j DROP"], {
      prepare: held,
    });

    expect(await host.agent.firewall.apply(stateOf(dualStack()))).toBe(true);
    expect(await host.agent.firewall.apply(stateOf())).toBe(true);
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
});

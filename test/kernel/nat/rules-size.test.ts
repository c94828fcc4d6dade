// The rules of many networks, endpoints and ports: as many as for one, and there at once.
import { describe, expect, it } from "vitest";
import type { FirewallState } from "../../../src/cnm/firewall.ts";
import type { Tunnel } from "../../../src/cnm/network.ts";
import { dualStack, endpoint, network } from "../../support/cnm-builder.ts";
import { shell } from "../../support/packet-lab.ts";
import { DOCKER, type Host, hostWith, stateOf } from "../../support/ruled-host.ts";
import { NftMonitor } from "../../support/nft-monitor.ts";

/** One network with 500 endpoints, each of which publishes a port. */
function stateOf500(): FirewallState {
  const wide = network(1, { pools: [{ subnet: "10.7.0.0/16", gateway: "10.7.0.1" }] });
  const endpoints = Array.from({ length: 500 }, (_, n) => {
    const [high, low] = [1 + (n >> 8), n & 0xff];
    const mac = `02:42:0a:07:0${high}:${low.toString(16).padStart(2, "0")}`;
    const port = { protocol: "tcp", containerPort: 80, hostAddress: "", hostPort: 20_000 + n } as const;
    return { network: wide, endpoint: endpoint(n, 1, { address: `10.7.${high}.${low}/16`, mac }), ports: [port] };
  });
  return { networks: [wide], endpoints };
}

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

describe("the rules of a large host [F138]", () => {
  it("are as many for 200 networks as for one", async () => {
    await using host = await hostWith(DOCKER);
    const many = Array.from({ length: 200 }, (_, n) => dualStack(n + 1));

    await expectSameRules(host, stateOf(dualStack(1)), stateOf(...many));
  });

  it("are as many for 50 networks with tunnels to 10 hosts as for one without", async () => {
    await using host = await hostWith(DOCKER);
    const peers = Array.from({ length: 10 }, (_, n) => `192.0.2.${n + 1}`);
    const kinds = ["vxlan", "geneve", "gre"] as const;
    const tunnelOf = (n: number): Tunnel => {
      const kind = kinds[n % 3] ?? "gre";
      return { kind, vni: n, ...(kind !== "gre" && { port: 4789 }), local: "192.0.2.100", peers };
    };
    const many = Array.from({ length: 50 }, (_, n) => dualStack(n + 1, { tunnel: tunnelOf(n) }));

    await expectSameRules(host, stateOf(dualStack(1)), stateOf(...many));
  });

  it("are as many for 500 endpoints that publish 500 ports as for one", async () => {
    await using host = await hostWith(DOCKER);
    const large = stateOf500();

    const one = { ...large, endpoints: large.endpoints.slice(0, 1) };
    await expectSameRules(host, one, large);

    const map = JSON.parse(await host.at.exec(["nft", "-j", "list", "map", "inet", "tsnet", "any4"])) as {
      nftables: { map?: { elem: object[] } }[];
    };
    expect(map.nftables.flatMap((each) => each.map?.elem ?? [])).toHaveLength(500);
  });

  it("of 500 published ports come back in one transaction, behind rules that are closed without them", async () => {
    await using host = await hostWith(DOCKER, { isKernelOld: true });
    await host.agent.firewall.apply(stateOf500());
    await shell(host.at, ["nft flush ruleset"]);
    await using monitor = await NftMonitor.start(host.at);

    expect(await host.agent.firewall.apply(stateOf500())).toBe(true);

    const [skeleton = "", elements = "", ...more] = (await monitor.stop()).split(/^# new generation .*$/m);
    expect(skeleton).toContain("add chain inet tsnet forward");
    expect(skeleton).not.toContain("add element");
    expect(elements.match(/^add element inet tsnet any4 /gm)).toHaveLength(500);
    expect(elements.match(/^add element bridge tsnet own4 /gm)).toHaveLength(500);
    expect(more.join("").trim()).toBe("");
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

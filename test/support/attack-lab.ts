// The stage of the attacks: a `PacketLab` with networks in pairs, one with `antispoof` and one without, so that each attack
// is seen to work where nothing holds it off. On every one of them stand an attacker, a victim and a peer.
//
//   network 1 guarded   2 not      both with IPv4 and IPv6
//   network 4 guarded   5 not      IPv4 alone
//   network 6 guarded              addresses are none of tsnet's business (null IPAM): the MAC address alone counts
//   network 3                      another one, with one endpoint
//
// Victims and host are as easy to mislead as a stack can be. br_netfilter is off: nothing else looks at bridged frames.
import type { Endpoint } from "../../src/cnm/endpoint.ts";
import type { FirewallState } from "../../src/cnm/firewall.ts";
import type { Network } from "../../src/cnm/network.ts";
import { gullible } from "./attack-effects.ts";
import type { RangePlan } from "./attack-range.ts";
import type { Scene, Station } from "./attacks.ts";
import { dualStack, endpoint, network } from "./cnm-builder.ts";
import type { AgentOptions } from "./host-agent.ts";
import { linkLocalOf } from "./frames-ipv6.ts";
import type { NetNamespace } from "./namespace.ts";
import { BEYOND, HOST, NEIGHBOUR, PacketLab, type Sandbox, canPing, shell } from "./packet-lab.ts";
import { waitUntil } from "./wait-until.ts";

/** The networks of the stage. */
export const GUARDED = dualStack(1);
export const UNGUARDED = dualStack(2, { isGuarded: false });
const OTHER = dualStack(3);
export const GUARDED_V4 = network(4);
export const UNGUARDED_V4 = network(5, { isGuarded: false });
export const ADDRESSLESS = dualStack(6);

const [HOST_MAC, NEIGHBOUR_MAC] = ["02:aa:00:00:00:01", "02:aa:00:00:00:02"];

/** Who is where on a network of the stage. Known before there is one. */
export function sceneOn({ pools, switchMac, hasIpv6 }: Network): Scene {
  const [pool4, pool6] = pools;
  const [prefix4 = "", prefix6 = ""] = [pool4?.subnet.replace("0/24", ""), pool6?.subnet.replace("/64", "")];
  const on = Number(prefix4.split(".")[2]);
  const station = (n: number): Station => {
    const { mac } = endpoint(n, on);
    return { mac, 4: `${prefix4}${n + 1}`, 6: `${prefix6 || "fd00::"}${n + 1}`, linkLocal: linkLocalOf(mac) };
  };
  const gateway = { 4: pool4?.gateway ?? "", 6: hasIpv6 ? (pool6?.gateway ?? "") : "fd00::1" };
  return {
    attacker: station(1),
    victim: station(2),
    peer: station(3),
    gateway: { ...gateway, mac: switchMac, linkLocal: linkLocalOf(switchMac) },
    other: { 4: "10.1.3.2", 6: "fd00:1:3::2" },
    otherGateway: { 4: "10.1.3.1", 6: "fd00:1:3::1" },
    host: HOST,
    hostMac: HOST_MAC,
    neighbour: NEIGHBOUR,
    neighbourMac: NEIGHBOUR_MAC,
  };
}

/** One sandbox. Of an addressless network neither rules nor records know its addresses. */
async function attach(lab: PacketLab, each: Network, n: number): Promise<Sandbox> {
  const sandbox = await lab.attach(each, n);
  if (each !== ADDRESSLESS) return sandbox;
  const { address: _, addressIpv6: __, ...bare } = sandbox.endpoint;
  await lab.agent.firewall.removeEndpoint({ network: each, endpoint: sandbox.endpoint, ports: [] });
  await lab.agent.firewall.ensureEndpoint({ network: each, endpoint: bare, ports: [] });
  return { ...sandbox, endpoint: bare };
}

/** The stage. Disposing of it takes it down. */
export class AttackLab implements AsyncDisposable {
  readonly lab: PacketLab;
  readonly #sandboxes: ReadonlyMap<Network, readonly Sandbox[]>;

  private constructor(lab: PacketLab, sandboxes: ReadonlyMap<Network, readonly Sandbox[]>) {
    this.lab = lab;
    this.#sandboxes = sandboxes;
  }

  /** @param networks - those of the stage that are needed; the other one is there in any case. */
  static async up(
    networks: readonly Network[] = [GUARDED, UNGUARDED, GUARDED_V4, UNGUARDED_V4, ADDRESSLESS],
    options: AgentOptions = {},
  ): Promise<AttackLab> {
    const all = [...networks, OTHER];
    const lab = await PacketLab.up(undefined, options);
    try {
      await shell(lab.host, [
        `ip link set lan0 address ${HOST_MAC}`,
        "sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0",
      ]);
      await shell(lab.neighbour, [`ip link set lan0 address ${NEIGHBOUR_MAC}`]);
      await lab.make(...all);
      const sandboxes = new Map<Network, Sandbox[]>();
      for (const each of all) {
        const numbers = each === OTHER ? [1] : [1, 2, 3];
        const attached: Sandbox[] = [];
        for (const n of numbers) attached.push(await attach(lab, each, n));
        sandboxes.set(each, attached);
        await lab.announce(each);
      }
      const stage = new AttackLab(lab, sandboxes);
      for (const each of networks) await stage.relax(each);
      await stage.warm();
      return stage;
    } catch (failure) {
      await lab[Symbol.asyncDispose]();
      throw failure;
    }
  }

  /** The sandboxes of a network: attacker, victim, peer. */
  on(each: Network): readonly [Sandbox, Sandbox, Sandbox] {
    const [attacker, victim, peer] = this.#sandboxes.get(each) ?? [];
    if (attacker === undefined || victim === undefined || peer === undefined) throw new Error("no such range");
    return [attacker, victim, peer];
  }

  /** Where attacks on a network are sent and seen. */
  planFor(each: Network): RangePlan {
    const [attacker, victim, peer] = this.on(each);
    const [other] = this.#sandboxes.get(OTHER) ?? [];
    if (other === undefined) throw new Error("the other network has an endpoint");
    return {
      scene: sceneOn(each),
      attacker: attacker.namespace,
      victim: victim.namespace,
      peer: peer.namespace,
      other: other.namespace,
      neighbour: this.lab.neighbour,
      host: this.lab.host,
      hostLink: each.switchName,
      attackerPort: attacker.endpoint.hostIfName,
    };
  }

  /** What the rules are for. */
  get state(): FirewallState {
    const endpoints = [...this.#sandboxes].flatMap(([each, sandboxes]) =>
      sandboxes.map((sandbox) => ({ network: each, endpoint: sandbox.endpoint, ports: [] })),
    );
    return { networks: [...this.#sandboxes.keys()], endpoints };
  }

  /** Starts a container in a sandbox that is there already: rules, port, and the link moves in, as the engine does it. */
  async start(each: Network, started: Endpoint, sandbox: NetNamespace): Promise<void> {
    const { agent, host } = this.lab;
    await agent.firewall.ensureEndpoint({ network: each, endpoint: started, ports: [] });
    const free = await agent.datapath.attach(each, started, []);
    await shell(host, [`ip link set ${free} netns ${sandbox.name} name eth0 up`]);
  }

  /** Removes it again, in the engine's order. */
  async remove(each: Network, removed: Endpoint): Promise<void> {
    await this.lab.agent.datapath.detach(removed);
    await this.lab.agent.firewall.removeEndpoint({ network: each, endpoint: removed, ports: [] });
  }

  /** Takes all rules off the host, and the settings off the attacker's port; 127.0.0.1 is as any address. */
  async bare(each: Network): Promise<void> {
    const [attacker] = this.on(each);
    await this.lab.agent.firewall.apply({ networks: [], endpoints: [] });
    await shell(this.lab.host, [
      "nft flush ruleset",
      "sysctl -qw net.ipv4.conf.lan0.route_localnet=1",
      `ip link set ${attacker.endpoint.hostIfName} type bridge_slave group_fwd_mask 0`,
    ]);
  }

  /** The opposite: what tsnet's repair does. */
  async restoreRules(): Promise<void> {
    await shell(this.lab.host, ["sysctl -qw net.ipv4.conf.lan0.route_localnet=0"]);
    await this.lab.agent.firewall.apply(this.state);
  }

  /** Deletes the switch of a network and makes it anew, as tsnet's repair does. */
  async replaceSwitch(each: Network): Promise<void> {
    await shell(this.lab.host, [`ip link delete ${each.switchName}`]);
    await this.lab.agent.datapath.ensureNetwork(each, []);
    for (const { endpoint: port } of this.on(each)) await this.lab.agent.datapath.reattach(each, port);
    await this.relax(each);
    await this.warm();
  }

  /** Makes the attacker's port as it is on a kernel that does not know locked ports (before 5.18). */
  async unlock(each: Network): Promise<void> {
    const [{ endpoint: port }] = this.on(each);
    await shell(this.lab.host, [`bridge link set dev ${port.hostIfName} locked off`]);
  }

  /** Makes victim and host believe what they hear. */
  async relax(each: Network): Promise<void> {
    const [, { namespace: victim }] = this.on(each);
    const lines = gullible(this.planFor(each), BEYOND, each.hasIpv6);
    await shell(victim, lines.victim);
    await shell(this.lab.host, lines.host);
  }

  /** The host knows everybody's MAC address, and addresses are ready for use: else silence would prove nothing. */
  async warm(): Promise<void> {
    const everybody = [...this.#sandboxes].flatMap(([each, sandboxes]) =>
      sandboxes.map(async ({ namespace, address }) => {
        const isTentative = async () => (await namespace.exec(["ip", "-6", "address", "show", "tentative"])) !== "";
        await waitUntil("addresses to be ready", async () => !(await isTentative()));
        await namespace.exec(["ip", "neigh", "flush", "all"]); // what attacks that worked made it believe
        const addresses = each.hasIpv6 ? [address[4], address[6]] : [address[4]];
        for (const to of addresses) await waitUntil(`answer from ${to}`, () => canPing(this.lab.host, to));
      }),
    );
    await Promise.all(everybody);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }
}

// A host in a namespace with tsnet's datapath and firewall in it, and machines around it, for tests with real packets:
//
//   sandboxes ---- bridges of tsnet -- host  lan0 192.0.2.10 ----- 192.0.2.1 lan0  neighbour  lan1 198.51.100.1 --- beyond
//                                            2001:db8:1::10        2001:db8:1::1               2001:db8:2::1
//
// The neighbour is the host's default route and a router; it knows no network of tsnet unless a test tells it. Neighbour,
// beyond and, when asked for, the host and sandboxes answer on ECHO_PORT with the address they were asked from.
import { once } from "node:events";
import { join } from "node:path";
import type { Endpoint } from "../../src/cnm/endpoint.ts";
import { joinResult } from "../../src/cnm/join-result.ts";
import type { Network } from "../../src/cnm/network.ts";
import type { PortBinding } from "../../src/cnm/ports.ts";
import { endpoint } from "./cnm-builder.ts";
import { type AgentOptions, type HostAgent, startHostAgent } from "./host-agent.ts";
import { NetNamespace } from "./namespace.ts";
import { waitUntil } from "./wait-until.ts";

export const ECHO_PORT = 7007;
const ECHO_CLIENT = join(import.meta.dirname, "echo-client.ts");
const ECHO_SERVER = join(import.meta.dirname, "echo-server.ts");

/** The host's and the neighbours' addresses, by family. */
export const HOST = { 4: "192.0.2.10", 6: "2001:db8:1::10" } as const;
export const NEIGHBOUR = { 4: "192.0.2.1", 6: "2001:db8:1::1" } as const;
export const BEYOND = { 4: "198.51.100.10", 6: "2001:db8:2::10" } as const;

/** What the engine makes of the host's own rules; DOCKER-USER is the administrator's. */
const DOCKER_RULES = ["iptables", "ip6tables"].flatMap((tool) =>
  ["-P FORWARD DROP", "-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-A FORWARD -j DOCKER-USER"].map(
    (rule) => `${tool}-nft ${rule}`,
  ),
);

/** One container's place: a namespace with the endpoint's interface in it. */
export interface Sandbox {
  readonly namespace: NetNamespace;
  readonly endpoint: Endpoint;
  /** Bare addresses by family. */
  readonly address: Readonly<Record<4 | 6, string>>;
}

/** All of it. Disposing of it takes it down. */
export class PacketLab implements AsyncDisposable {
  readonly host: NetNamespace;
  readonly agent: HostAgent;
  readonly neighbour: NetNamespace;
  readonly beyond: NetNamespace;
  readonly #stack: AsyncDisposableStack;

  private constructor(stack: AsyncDisposableStack, agent: HostAgent, [host, neighbour, beyond]: NetNamespace[]) {
    if (host === undefined || neighbour === undefined || beyond === undefined) throw new Error("three machines");
    [this.host, this.agent, this.neighbour, this.beyond, this.#stack] = [host, agent, neighbour, beyond, stack];
  }

  /** @param rules - shell lines run on the host before tsnet comes; default: as the engine leaves a host. */
  static async up(rules: readonly string[] = DOCKER_RULES, options: AgentOptions = {}): Promise<PacketLab> {
    await using stack = new AsyncDisposableStack();
    const machines = await Promise.all(["host", "near", "beyond"].map((label) => NetNamespace.create(label)));
    for (const machine of machines) stack.use(machine);
    const [host, neighbour, beyond] = machines;
    if (host === undefined || neighbour === undefined || beyond === undefined) throw new Error("three machines");
    await cable(host, "lan0", [`${HOST[4]}/24`, `${HOST[6]}/64`], neighbour, "lan0", [
      `${NEIGHBOUR[4]}/24`,
      `${NEIGHBOUR[6]}/64`,
    ]);
    await cable(neighbour, "lan1", ["198.51.100.1/24", "2001:db8:2::1/64"], beyond, "lan0", [
      `${BEYOND[4]}/24`,
      `${BEYOND[6]}/64`,
    ]);
    await shell(neighbour, ["sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"]);
    await shell(host, [`ip route add default via ${NEIGHBOUR[4]}`, `ip route add default via ${NEIGHBOUR[6]}`]);
    await shell(beyond, ["ip route add default via 198.51.100.1", "ip route add default via 2001:db8:2::1"]);
    await shell(host, ["sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1"]);
    await shell(host, rules);
    const [agent] = await Promise.all([startHostAgent(host, options), startEcho(neighbour), startEcho(beyond)]);
    return new PacketLab(stack.move(), agent, machines);
  }

  /** Makes the networks and the rules for all of them, in tsnet's order. */
  async make(...networks: readonly Network[]): Promise<void> {
    for (const network of networks) {
      await this.agent.firewall.check(network);
      await this.agent.datapath.ensureNetwork(network, []);
    }
    await this.agent.firewall.apply({ networks, endpoints: [] });
  }

  /** Attaches the n-th endpoint and does what the engine does with its free end. */
  async attach(network: Network, n = 1): Promise<Sandbox> {
    const on = Number(/^10\.1\.(\d+)\./.exec(network.pools[0]?.subnet ?? "")?.[1] ?? 1);
    const addressIpv6 = `fd00:1:${on}::${n + 1}`;
    const attached = endpoint(n + on * 20, on, {
      address: `10.1.${on}.${n + 1}/24`,
      mac: `02:42:0a:01:0${on}:0${n + 1}`,
      mtu: network.mtu,
      ...(network.hasIpv6 && { addressIpv6: `${addressIpv6}/64` }),
    });
    await this.agent.firewall.ensureEndpoint({ network, endpoint: attached, ports: [] });
    const free = await this.agent.datapath.attach(network, attached, []);
    const namespace = this.#stack.use(await NetNamespace.create("sandbox"));
    await shell(this.host, [`ip link set ${free} netns ${namespace.name}`]);
    const gateways = network.pools.flatMap(({ gateway }) => (network.isHostOnSwitch ? (gateway ?? []) : []));
    await shell(namespace, [
      `ip link set ${free} name eth0`,
      `ip address add ${attached.address} dev eth0`,
      ...(network.hasIpv6 ? [`ip address add ${addressIpv6}/64 dev eth0 nodad`] : []),
      "ip link set eth0 up",
      ...joinResult(network, attached).routes.map(
        ({ destination, via }) => `ip route add ${destination} ${via === undefined ? "" : `via ${via}`} dev eth0`,
      ),
      ...gateways.map((gateway) => `ip route add default via ${gateway}`), // also where the engine would not
    ]);
    return { namespace, endpoint: attached, address: { 4: `10.1.${on}.${n + 1}`, 6: addressIpv6 } };
  }

  /** Publishes ports of an endpoint, instead of those that it had. @returns with the numbers chosen. */
  async publish(network: Network, { endpoint: of, address }: Sandbox, bindings: readonly PortBinding[]) {
    const former = await this.agent.ports.heldBy(of.endpointId);
    await this.agent.ports.release(of.endpointId);
    const target = { address: address[4], ...(network.hasIpv6 && { addressIpv6: address[6] }) };
    const ports = await this.agent.ports.hold(of.endpointId, bindings, target);
    await this.agent.firewall.ensureEndpoint({ network, endpoint: of, ports }, former);
    await this.agent.datapath.ensureHairpin(of, ports.length > 0);
    return ports;
  }

  /** Lets the neighbour and what is beyond know where the network is, as a router that was configured for it. */
  async announce(network: Network): Promise<void> {
    for (const { subnet } of network.pools) {
      await shell(this.neighbour, [`ip route add ${subnet} via ${subnet.includes(":") ? HOST[6] : HOST[4]}`]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Runs shell lines in a namespace; the first that fails ends it. */
export async function shell(at: NetNamespace, lines: readonly string[]): Promise<string> {
  return at.exec(["sh", "-ec", lines.join("\n")]);
}

/** Whether an answer came within two seconds: on a busy machine a new link carries nothing for one. */
export async function canPing(from: NetNamespace, to: string): Promise<boolean> {
  const command = ["busybox", to.includes(":") ? "ping6" : "ping", "-c", "1", "-W", "2", to];
  return from.exec(command).then(
    () => true,
    () => false,
  );
}

/**
 * The pairs of a table that can be reached, asked for all at once.
 *
 * @param expected - the names of those that are asked again until they answer, for a while.
 */
export async function reachable(
  pings: Readonly<Record<string, readonly [NetNamespace, string]>>,
  expected: readonly string[] = [],
): Promise<string[]> {
  const asked = Object.entries(pings).map(async ([name, [from, to]]) => {
    const ask = async () => await canPing(from, to);
    const isReached = expected.includes(name) ? waitUntil(name, ask).catch(() => false) : ask();
    return (await isReached) ? [name] : [];
  });
  return (await Promise.all(asked)).flat();
}

/** Starts an echo that lives as long as its namespace. */
export async function startEcho(at: NetNamespace): Promise<void> {
  const { stdout } = at.spawn([process.execPath, "--no-warnings", ECHO_SERVER, String(ECHO_PORT)]);
  if (stdout === null) throw new Error("the echo has no output");
  let text = "";
  stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await once(stdout, "data");
  await waitUntil("the echo to listen", () => text.includes("tcp") && text.includes("udp"));
}

/**
 * Asks an echo.
 *
 * @param limitMs - how long an answer may take: more where one must come, on a machine whose processes stand still for seconds.
 * @returns the address from which the question came there; undefined if no answer came.
 */
export async function askEcho(
  from: NetNamespace,
  protocol: "tcp" | "udp",
  to: string,
  port = ECHO_PORT,
  limitMs = 3000,
): Promise<string | undefined> {
  const command = [process.execPath, "--no-warnings", ECHO_CLIENT, protocol, to, String(port), String(limitMs)];
  return from.exec(command).then(
    (answer) => answer.trim(),
    () => undefined,
  );
}

async function cable(
  a: NetNamespace,
  aName: string,
  aAddresses: readonly string[],
  b: NetNamespace,
  bName: string,
  bAddresses: readonly string[],
): Promise<void> {
  await shell(a, [`ip link add ${aName} type veth peer name ${bName} netns ${b.name}`]);
  const ends: readonly (readonly [NetNamespace, string, readonly string[]])[] = [
    [a, aName, aAddresses],
    [b, bName, bAddresses],
  ];
  for (const [at, name, addresses] of ends) {
    const add = addresses.map(
      (address) => `ip address add ${address} dev ${name}${address.includes(":") ? " nodad" : ""}`,
    );
    await shell(at, [...add, `ip link set ${name} up`]);
  }
}

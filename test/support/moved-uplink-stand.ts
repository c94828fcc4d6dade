// A host whose NIC is the uplink of a network with `parent-address=move`, in the surroundings of `uplink-lab.ts`, on either
// switch, with records that outlive the agent. Beside it a bridge as an engine makes it, with a container behind NAT:
//
//   inner 172.30.0.2 --- 172.30.0.1 dock0  host  nic0 --- router --- remote
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Backend, Network } from "../../src/cnm/network.ts";
import { setTxChecksum } from "../../src/host/ethtool.ts";
import { endpoint, ifName, network } from "./cnm-builder.ts";
import { type HostAgent, startHostAgent } from "./host-agent.ts";
import { NetNamespace } from "./namespace.ts";
import { LINKS_OF_DATAPATH, type OvsDatapath, OvsHost } from "./ovs-host.ts";
import { shell } from "./packet-lab.ts";
import { HOST, REMOTE, UplinkLab } from "./uplink-lab.ts";
import { settleLinks } from "./settled-links.ts";
import { waitUntil } from "./wait-until.ts";

const NIC = ifName("nic0");

const ENGINE_BRIDGE = [
  "sysctl -qw net.ipv4.ip_forward=1",
  "ip link add dock0 type bridge; ip address add 172.30.0.1/24 dev dock0; ip link set dock0 up",
  "iptables-nft -t nat -A POSTROUTING -s 172.30.0.0/24 ! -o dock0 -j MASQUERADE",
];

/** What of the host's configuration is not the stand's own. */
const OTHERS = new RegExp(["dock0", "veth0", "172\\.30\\.0\\.", ...LINKS_OF_DATAPATH].join("|"));
/** A packet to such an address names its link: in which order the kernel has the routes is one to it. */
const LINK_LOCAL = /^unicast fe80::\/64 dev /;

/** All of it. */
export class MovedUplinkStand implements AsyncDisposable {
  readonly lab: UplinkLab;
  readonly inner: NetNamespace;
  readonly backend: Backend;
  readonly ovs: OvsHost | undefined;
  agent: HostAgent;
  readonly #state: string;
  readonly #nicMac: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    parts: Pick<MovedUplinkStand, "lab" | "inner" | "backend" | "ovs" | "agent">,
    { state, nicMac }: { readonly state: string; readonly nicMac: string },
    stack: AsyncDisposableStack,
  ) {
    ({ lab: this.lab, inner: this.inner, backend: this.backend, ovs: this.ovs, agent: this.agent } = parts);
    [this.#state, this.#nicMac, this.#stack] = [state, nicMac, stack];
  }

  /** Makes it. No network is there yet. @param datapath - of Open vSwitch. */
  static async up(backend: Backend, datapath?: OvsDatapath): Promise<MovedUplinkStand> {
    await using stack = new AsyncDisposableStack();
    const state = await mkdtemp(join(tmpdir(), "tsnet-uplinks-"));
    stack.defer(() => rm(state, { recursive: true, force: true }));
    const ovs = backend === "ovs" ? stack.use(await OvsHost.create(datapath)) : undefined;
    await ovs?.startDatabase();
    await ovs?.startVswitchd();
    const lab = stack.use(await UplinkLab.up([], ovs?.ns));
    if (ovs !== undefined) await lab.router.enter(() => setTxChecksum("to-host", false));
    const inner = stack.use(await NetNamespace.create("inner"));
    await shell(lab.host, [...ENGINE_BRIDGE, `ip link add veth0 type veth peer name eth0 netns ${inner.name}`]);
    await shell(lab.host, ["ip link set veth0 master dock0 up"]);
    await shell(inner, [
      "ip address add 172.30.0.2/24 dev eth0; ip link set eth0 up; ip route add default via 172.30.0.1",
    ]);
    await settleLinks(lab.host);
    const agent = await startHostAgent(lab.host, { state, ...(ovs && { ovsdb: ovs.address }) });
    const nicMac = (await lab.host.exec(["cat", "/sys/class/net/nic0/address"])).trim();
    return new MovedUplinkStand({ lab, inner, backend, ovs, agent }, { state, nicMac }, stack.move());
  }

  /** The n-th network with that uplink, all on one switch. */
  network(n = 1, more: Partial<Network> = {}): Network {
    const uplink = { parent: NIC, isAddressMoved: true };
    const { backend } = this;
    return network(n, { backend, mode: "l2", switchName: ifName("lan"), uplink, ...more });
  }

  /** Makes a network and the rules for it, as the engine's call does. */
  async make(made: Network, others: readonly Network[] = []): Promise<void> {
    await this.agent.datapath.check(made, others);
    await this.agent.datapath.ensureNetwork(made, others);
    await this.agent.firewall.apply({ networks: [made, ...others], endpoints: [] });
  }

  /** A container with an address of the LAN, which is its only one. */
  async attach(to: Network, n: number, address: string): Promise<NetNamespace> {
    const attached = endpoint(n, 1, { networkId: to.id, address: `${address}/24` });
    await this.agent.firewall.ensureEndpoint({ network: to, endpoint: attached, ports: [] });
    const free = await this.agent.datapath.attach(to, attached, []);
    const sandbox = this.#stack.use(await NetNamespace.create("sandbox"));
    await shell(this.lab.host, [`ip link set ${free} netns ${sandbox.name}`]);
    await shell(sandbox, [
      `ip link set ${free} name eth0 address ${attached.mac}; ip address add ${address}/24 dev eth0`,
      "ip link set eth0 up; ip route add default via 192.0.2.1",
    ]);
    return sandbox;
  }

  /** Ends the agent without a chance to tidy up, and starts it anew. @param isForgetful - its records are gone. */
  async restart(isForgetful = false): Promise<void> {
    await this.agent.kill().catch(() => {});
    if (isForgetful) await rm(this.#state, { recursive: true, force: true });
    const options = { state: this.#state, ...(this.ovs && { ovsdb: this.ovs.address }) };
    this.agent = await startHostAgent(this.lab.host, options);
  }

  /** @returns what waits for a line of `ip monitor` from now on. */
  async watchFor(pattern: RegExp): Promise<() => Promise<void>> {
    const monitor = this.lab.host.spawn(["ip", "-oneline", "monitor", "link", "address"]);
    let text = "";
    const told = new Promise<void>((resolve) => {
      monitor.stdout?.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        if (text.split("\n").some((line) => pattern.test(line))) resolve();
      });
    });
    await waitUntil("ip monitor to watch", async () => {
      await shell(this.lab.host, ["ip link add told0 type bridge; ip link del told0"]);
      return text.includes("told0");
    });
    return async () => {
      await told;
      monitor.kill();
    };
  }

  /** Removes the switch by hand. */
  async removeSwitch(): Promise<void> {
    if (this.ovs === undefined) await shell(this.lab.host, ["ip link del lan"]);
    else await this.ovs.vsctl("del-br", "lan");
  }

  /** The NIC is pulled out and put in again, as it was made; the router's end is configured. */
  async replugNic(): Promise<void> {
    await shell(this.lab.router, [
      "near=$(cat /sys/class/net/to-host/address); ip link del to-host",
      `ip link add to-host address $near type veth peer name nic0 address ${this.#nicMac} netns ${this.lab.host.name}`,
      "ip address add 192.0.2.1/24 dev to-host; ip address add 10.91.0.1/32 dev to-host",
      "ip address add fe80::1/64 dev to-host nodad; ip link set to-host up; ip -6 route add 2001:db8:1::/64 dev to-host",
    ]);
    if (this.ovs !== undefined) await this.lab.router.enter(() => setTxChecksum("to-host", false));
  }

  /** What the host is at layer three, but for the engine's bridge. */
  async configuration(): Promise<string[]> {
    const lines = (await this.lab.configuration())
      .filter((line) => !OTHERS.test(line))
      .map((line) => line.replace(/^\d+: /, ""));
    const linkLocal = lines.filter((line) => LINK_LOCAL.test(line)).sort();
    return [...lines.filter((line) => !LINK_LOCAL.test(line)), ...linkLocal];
  }

  /** The links that have the address by which the host is known. */
  async holders(): Promise<string[]> {
    type Shown = { ifname: string; addr_info: { local: string }[] }[];
    const links = await this.lab.host.json<Shown>(["ip", "-json", "address"]);
    return links.filter((link) => link.addr_info.some(({ local }) => local === HOST[4])).map(({ ifname }) => ifname);
  }

  /** The switch in which the NIC is. */
  async switchOfNic(): Promise<string | undefined> {
    if (this.ovs !== undefined) return (await this.ovs.vsctl("iface-to-br", "nic0").catch(() => "")) || undefined;
    const [shown] = await this.lab.host.json<{ master?: string }[]>(["ip", "-json", "link", "show", "nic0"]);
    return shown?.master;
  }

  /** @throws Error unless host and inner container reach the world within seconds. */
  async requireReach(): Promise<void> {
    for (const address of Object.values(REMOTE)) await this.lab.requirePing(address);
    await waitUntil("the engine's container to get out", () =>
      this.inner.exec(["busybox", "ping", "-c", "1", "-W", "1", REMOTE[4]]).then(
        () => true,
        () => false,
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent.kill().catch(() => {});
    await this.#stack.disposeAsync();
  }
}

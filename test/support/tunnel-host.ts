// A host of the stand for tunnels (tunnel-stand.ts), whichever switch it has: how it comes to its place on the wire, and what
// somebody at its console sees and does there.
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Backend, DatapathType, IfName, Network, Tunnel } from "../../src/cnm/network.ts";
import type { ErrorCode } from "../../src/errors.ts";
import { ifName, network } from "./cnm-builder.ts";
import { type HostAgent, startHostAgent } from "./host-agent.ts";
import { NetNamespace } from "./namespace.ts";
import { LINKS_OF_DATAPATH, OvsHost } from "./ovs-host.ts";
import { shell } from "./packet-lab.ts";

/** The host's end of the wire. */
export const NIC = ifName("eth0");

/** Open vSwitch of a host, and where the host's NIC is: in no switch, in one of tsnet's by `parent-address=move`, in a user's. */
export interface OpenVswitch {
  readonly backend: "ovs";
  readonly datapathType: "userspace" | "kernel";
  readonly nic: "alone" | "tsnet's" | "user's";
}

/** Which switch the hosts have. */
export type HostSwitch = { readonly backend: "bridge" } | OpenVswitch;

/** The Linux bridge. */
export const LINUX_BRIDGE: HostSwitch = { backend: "bridge" };

/** Open vSwitch with the NIC where its tunnels over that family work (src/datapath/ovs/tunnel-check.ts). */
export function openVswitch(datapathType: "userspace" | "kernel", family: 4 | 6 = 4): OpenVswitch {
  const nic = datapathType === "kernel" ? "alone" : family === 4 ? "tsnet's" : "user's";
  return { backend: "ovs", datapathType, nic };
}

/** Somebody else's tunnel. */
export interface PlantedTunnel {
  /** How tsnet refuses to make the same. */
  readonly code: ErrorCode;
  readonly message: RegExp;
  isThere(): Promise<boolean>;
}

/** One host, which ends with its namespace. */
export interface TunnelHost extends AsyncDisposable {
  readonly ns: NetNamespace;
  readonly backend: Backend;
  readonly datapathType: DatapathType;
  /** tsnet's hands there. */
  agent: HostAgent;
  /** Networks that are there as long as the host: that which has its NIC, if one does. */
  readonly lasting: readonly Network[];
  /** The host's Open vSwitch, if it has one. */
  readonly ovs?: OvsHost;
  /** As it runs at first. */
  readonly vswitchd?: ChildProcess;

  /** Puts the NIC, which is there, to its place. @param addresses - of the host, with prefix lengths. */
  connect(addresses: readonly string[]): Promise<void>;

  /** Begins `agent` anew after its end. */
  startAgent(): Promise<void>;

  /** Links with their numbers, and ports of Open vSwitch; none that are as they are whatever is done. */
  parts(): Promise<readonly string[]>;

  /** What somebody can do after which such tunnels carry nothing, each by its name. */
  damageOf(kind: Tunnel["kind"]): Readonly<Record<string, () => Promise<unknown>>>;

  /** Makes a switch that is none of tsnet's. */
  plantSwitch(name: IfName): Promise<void>;

  /** Makes somebody else's tunnel that is the same to the kernel or to Open vSwitch. */
  plantTunnel(tunnel: Tunnel): Promise<PlantedTunnel>;

  /** Removes what was planted. */
  weed(): Promise<void>;
}

/** Makes one, without NIC. */
export async function tunnelHost(label: string, hostSwitch: HostSwitch): Promise<TunnelHost> {
  return hostSwitch.backend === "bridge" ? bridgeTunnelHost(label) : ovsTunnelHost(hostSwitch);
}

async function bridgeTunnelHost(label: string): Promise<TunnelHost> {
  await using stack = new AsyncDisposableStack();
  const ns = stack.use(await NetNamespace.create(label));
  const names = async () => (await linksOf(ns)).map(({ ifname }) => ifname);
  const remove = async (links: readonly string[]) => {
    await shell(
      ns,
      links.map((name) => `ip link delete ${name}`),
    );
  };
  const tunnelLinks = async () => (await names()).filter((name) => name.startsWith("tsx"));
  const onTunnels = async (command: (name: string) => string) => await shell(ns, (await tunnelLinks()).map(command));
  const planted: string[] = [];
  const agent = await startHostAgent(ns);
  const disposal = stack.move();
  const host: TunnelHost = {
    ns,
    backend: "bridge",
    datapathType: "auto",
    agent,
    lasting: [],
    connect: async (addresses) => void (await shell(ns, setUp(NIC, addresses))),
    async startAgent() {
      host.agent = await startHostAgent(ns);
    },
    parts: async () => (await linksOf(ns)).map(({ ifname, ifindex }) => `link ${ifindex} ${ifname}`),
    damageOf: (kind) => ({
      "links deleted": async () => await remove(await tunnelLinks()),
      "links taken out of the switch": () => onTunnels((name) => `ip link set ${name} nomaster`),
      "links set down": () => onTunnels((name) => `ip link set ${name} down`),
      ...(kind === "vxlan" && { "peers deleted": () => onTunnels(forgetPeers) }),
    }),
    async plantSwitch(name) {
      planted.push(name);
      await shell(ns, [`ip link add ${name} type bridge; ip link set ${name} up`]);
    },
    async plantTunnel(tunnel) {
      planted.push("other");
      await shell(ns, [`ip link add other type ${kernelWords(tunnel)}`]);
      return {
        code: "conflict",
        message: /is taken by link other/,
        isThere: async () => (await names()).includes("other"),
      };
    },
    weed: async () => await remove(planted.splice(0)),
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  };
  return host;
}

async function ovsTunnelHost({ datapathType, nic }: OpenVswitch): Promise<TunnelHost> {
  await using stack = new AsyncDisposableStack();
  const state = await mkdtemp(join(tmpdir(), "tsnet-uplinks-"));
  stack.defer(() => rm(state, { recursive: true, force: true }));
  const ovs = stack.use(await OvsHost.create(datapathType === "kernel" ? "system" : "netdev"));
  const { ns } = ovs;
  await ovs.startDatabase();
  const vswitchd = await ovs.startVswitchd();
  const start = () => startHostAgent(ns, { ovsdb: ovs.address, state });
  const agent = await start();
  const lasting = nic === "tsnet's" ? [nicNetwork(datapathType)] : [];
  const planted: string[] = [];
  const plantSwitch = async (name: string) => {
    await ovs.vsctl("add-br", name, "--", "set", "bridge", name, `datapath_type=${ovs.datapath}`);
  };
  const ports = async () => (await ovs.vsctl("--bare", "--columns=name", "list", "port")).split("\n").filter(Boolean);
  const onTunnels = async (command: (name: string) => readonly string[]) => {
    for (const name of (await ports()).filter((each) => each.startsWith("tsx"))) await ovs.vsctl(...command(name));
    await ovs.settle();
  };
  const disposal = stack.move();
  const host: TunnelHost = {
    ns,
    backend: "ovs",
    datapathType,
    agent,
    lasting,
    ovs,
    vswitchd,
    async connect(addresses) {
      if (nic === "user's") {
        await plantSwitch("under");
        await ovs.vsctl("add-port", "under", NIC);
        await shell(ns, [`ip link set ${NIC} up`, ...setUp("under", addresses)]);
        return;
      }
      await shell(ns, setUp(NIC, addresses));
      for (const lan of lasting) {
        await host.agent.datapath.check(lan, []);
        await host.agent.datapath.ensureNetwork(lan, []);
      }
      await host.agent.firewall.apply({ networks: lasting, endpoints: [] });
    },
    async startAgent() {
      host.agent = await start();
    },
    async parts() {
      const links = (await linksOf(ns)).filter(({ ifname }) => !LINKS_OF_DATAPATH.includes(ifname));
      const rows = (await ports()).sort().map((name) => `port ${name}`);
      return [...links.map(({ ifname, ifindex }) => `link ${ifindex} ${ifname}`), ...rows];
    },
    damageOf: () => ({
      "ports deleted": () => onTunnels((name) => ["del-port", name]),
      "keys changed": () => onTunnels((name) => ["set", "interface", name, "options:key=99"]),
    }),
    async plantSwitch(name) {
      planted.push(name);
      await plantSwitch(name);
    },
    async plantTunnel({ kind, local, peers: [peer = ""], vni, port }) {
      const options = [
        `options:local_ip=${local}`,
        `options:remote_ip=${peer}`,
        ...(vni === undefined ? [] : [`options:key=${vni}`]),
        ...(port === undefined ? [] : [`options:dst_port=${port}`]),
      ];
      await host.plantSwitch(ifName("his"));
      await ovs.vsctl("add-port", "his", "other", "--", "set", "interface", "other", `type=${kind}`, ...options);
      return {
        code: "host",
        message: /make tunnel \w+ of bridge \w+: Open vSwitch cannot use tsx\w{12}: .*; permitted: another tunnel/,
        isThere: async () => (await ports()).includes("other"),
      };
    },
    async weed() {
      for (const name of planted.splice(0)) await ovs.vsctl("del-br", name);
    },
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  };
  return host;
}

/** The network that has the NIC. */
function nicNetwork(datapathType: DatapathType): Network {
  const uplink = { parent: NIC, isAddressMoved: true };
  return network(9, { backend: "ovs", datapathType, mode: "l2", switchName: ifName("lan"), uplink });
}

function setUp(link: string, addresses: readonly string[]): readonly string[] {
  const nodad = (address: string) => (address.includes(":") ? "nodad" : "");
  return [
    ...addresses.map((address) => `ip address add ${address} dev ${link} ${nodad(address)}`),
    `ip link set ${link} up`,
  ];
}

/** As `ip link add type` wants it; of kinds with a link for each peer, that to the first. */
export function kernelWords({ kind, local, peers: [peer = ""], vni, port }: Tunnel): string {
  if (kind === "vxlan") return `vxlan id ${vni} local ${local} dstport ${port}`;
  if (kind === "geneve") return `geneve id ${vni} remote ${peer} dstport ${port}`;
  const key = vni === undefined ? "" : `key ${vni}`;
  return `${local.includes(":") ? "ip6gretap" : "gretap"} local ${local} remote ${peer} ${key}`;
}

/** Deletes the entries of a link of VXLAN that name a peer. */
function forgetPeers(name: string): string {
  const entries = `bridge fdb show dev ${name} | sed -n 's/^\\([0-9a-f:]*\\) dst \\([^ ]*\\) .*/\\1 \\2/p'`;
  return `${entries} | while read -r mac peer; do bridge fdb del "$mac" dev ${name} dst "$peer" self; done`;
}

interface IpLink {
  readonly ifname: string;
  readonly ifindex: number;
}

async function linksOf(ns: NetNamespace): Promise<readonly IpLink[]> {
  return await ns.json<readonly IpLink[]>(["ip", "-json", "link"]);
}

/** The link that has an address: its name and MAC address. @param address - bare. */
export async function linkWith(
  { ns }: TunnelHost,
  address: string,
): Promise<{ readonly ifname: string; readonly address: string }> {
  type Shown = { ifname: string; address: string; addr_info: readonly { readonly local: string }[] };
  const links = await ns.json<readonly Shown[]>(["ip", "-json", "address"]);
  const found = links.find(({ addr_info }) => addr_info.some(({ local }) => local === address));
  if (found === undefined) throw new Error(`no link has ${address}`);
  return found;
}

// A host with a NIC that has addresses and routes of every sort, its router, and a machine behind that:
//
//   host  br0 (a bridge without ports)
//         nic0 192.0.2.10, .11, 2001:db8:1::10 --- 192.0.2.1, fe80::1  router  198.51.100.1 --- 198.51.100.10  remote
//         nic1 203.0.113.10 ---------------------- 203.0.113.1                 2001:db8:2::1    2001:db8:2::10
import { NetNamespace } from "./namespace.ts";
import { canPing, shell } from "./packet-lab.ts";
import { settleLinks } from "./settled-links.ts";
import { waitUntil } from "./wait-until.ts";

/** The host's addresses on its NIC, by family. */
export const HOST = { 4: "192.0.2.10", 6: "2001:db8:1::10" } as const;

/** The machine behind the router. */
export const REMOTE = { 4: "198.51.100.10", 6: "2001:db8:2::10" } as const;

/** What an administrator may have set; `nic0` alone makes the host reachable. */
const HOST_SETUP = [
  "ip address add 192.0.2.10/24 broadcast 192.0.2.255 dev nic0",
  "ip address add 192.0.2.11/24 dev nic0 label nic0:one",
  "ip address add 10.77.0.1/32 dev nic0 scope link",
  "ip address add 10.78.0.1 peer 10.78.0.2/32 dev nic0",
  "ip address add 192.0.2.12/24 dev nic0 valid_lft 3000 preferred_lft 2000",
  "ip address add 172.20.0.9/24 dev nic0 noprefixroute metric 50",
  "ip route add 172.20.0.0/24 dev nic0 proto kernel scope link src 172.20.0.9 metric 90", // as NetworkManager does
  "ip route add default via 192.0.2.1 dev nic0 proto dhcp src 192.0.2.10 metric 100",
  "ip route add default via 192.0.2.1 dev nic0 table 100",
  "ip route add 10.88.0.0/16 via 192.0.2.1 dev nic0 mtu 1400 advmss 1200 table 100",
  "ip route add 10.89.0.0/16 dev nic0 scope link",
  "ip route add 10.90.0.0/16 via 10.91.0.1 dev nic0 onlink",
  "ip route append 10.90.0.0/16 via 192.0.2.1 dev nic0",
  "ip route add 10.92.0.0/16 nexthop via 192.0.2.1 dev nic0 weight 2 nexthop via 203.0.113.1 dev nic1",
  "ip route add unreachable 10.93.0.0/16",
  "ip rule add from 192.0.2.11 table 100",
  "ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 dev nic0 nud permanent",
  "ip neigh add proxy 10.99.0.1 dev nic0",
  "ip address add 2001:db8:1::10/64 dev nic0",
  "ip address add 2001:db8:1::12/64 dev nic0 valid_lft 3000 preferred_lft 2000",
  "ip -6 route add default via fe80::1 dev nic0 proto ra metric 1024 expires 1800 pref high",
  "ip -6 route add default via fe80::1 dev nic0 table 100",
  "ip -6 route add 2001:db8:88::/48 dev nic0 metric 7",
  "ip -6 route add 2001:db8:89::/48 nexthop via fe80::1 dev nic0 nexthop via 2001:db8:3::1 dev nic1",
];

/** The host gives up machines that do not answer after 0.3 s, not after 3 s. */
const IMPATIENT = ["ipv4", "ipv6"].flatMap((family) =>
  ["nic0", "br0"].map((link) => `sysctl -qw net.${family}.neigh.${link}.retrans_time_ms=100`),
);

const SETTINGS = "conf.(nic0|br0).(rp_filter|arp_|proxy|accept_|autoconf|disable_|forwarding)";

/** All of it. Disposing of it takes it down. */
export class UplinkLab implements AsyncDisposable {
  readonly host: NetNamespace;
  readonly router: NetNamespace;
  readonly remote: NetNamespace;
  readonly #stack: AsyncDisposableStack;

  private constructor(stack: AsyncDisposableStack, [host, router, remote]: NetNamespace[]) {
    if (host === undefined || router === undefined || remote === undefined) throw new Error("three machines");
    [this.host, this.router, this.remote, this.#stack] = [host, router, remote, stack];
  }

  /**
   * @param setup - shell lines run on the host before the rest of its addresses come.
   * @param existing - the host, which is not the lab's to take down.
   */
  static async up(setup: readonly string[] = [], existing?: NetNamespace): Promise<UplinkLab> {
    await using stack = new AsyncDisposableStack();
    const labels = [...(existing === undefined ? ["host"] : []), "router", "remote"];
    const made = await Promise.all(labels.map((label) => NetNamespace.create(label)));
    for (const machine of made) stack.use(machine);
    const machines = existing === undefined ? made : [existing, ...made];
    const lab = new UplinkLab(stack, machines);
    const { host, router, remote } = lab;
    await shell(router, [
      "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0",
      `ip link add to-host type veth peer name nic0 netns ${host.name}`,
      `ip link add to-host1 type veth peer name nic1 netns ${host.name}`,
      `ip link add to-remote type veth peer name eth0 netns ${remote.name}`,
      "ip address add 192.0.2.1/24 dev to-host; ip address add 10.91.0.1/32 dev to-host; ip address add fe80::1/64 dev to-host nodad",
      "ip address add 203.0.113.1/24 dev to-host1; ip address add 2001:db8:3::1/64 dev to-host1 nodad",
      "ip address add 198.51.100.1/24 dev to-remote; ip address add 2001:db8:2::1/64 dev to-remote nodad",
      "ip link set to-host up; ip link set to-host1 up; ip link set to-remote up",
      "ip -6 route add 2001:db8:1::/64 dev to-host",
    ]);
    await shell(remote, [
      "ip address add 198.51.100.10/24 dev eth0; ip address add 2001:db8:2::10/64 dev eth0 nodad",
      "ip link set eth0 up; ip route add default via 198.51.100.1; ip -6 route add default via 2001:db8:2::1",
    ]);
    await shell(host, [
      ...setup,
      "ip link set nic0 up; ip link set nic1 up; ip link add br0 type bridge; ip link set br0 up",
      ...IMPATIENT,
      "ip address add 203.0.113.10/24 dev nic1; ip address add 2001:db8:3::10/64 dev nic1 nodad",
      ...HOST_SETUP,
    ]);
    await settleLinks(host);
    for (const address of Object.values(REMOTE)) await lab.requirePing(address);
    const moved = stack.move();
    return new UplinkLab(moved, machines);
  }

  /** @throws Error when the host cannot reach that address within seconds. */
  async requirePing(address: string): Promise<void> {
    await waitUntil(`${address} to answer`, () => canPing(this.host, address));
  }

  /** How many TCP segments host and remote have sent a second time, over both families. Source: proc_pid_net(5), snmp. */
  async countResent(): Promise<number> {
    const counts = [this.host, this.remote].map(async (machine) => {
      const lines = (await machine.exec(["cat", "/proc/net/snmp"]))
        .split("\n")
        .filter((line) => line.startsWith("Tcp: "));
      const [names, values] = lines.map((line) => line.split(" "));
      return Number(values?.[names?.indexOf("RetransSegs") ?? -1]);
    });
    return (await Promise.all(counts)).reduce((sum, count) => sum + count);
  }

  /** What the host is at layer three, told by ip(8), in the kernel's order where the order means something. */
  async configuration(): Promise<string[]> {
    const show = async (...args: readonly string[]) =>
      linesOf(await this.host.exec(["ip", "-details", "-oneline", ...args]));
    const sorted = await Promise.all([
      show("neigh", "show", "nud", "permanent"),
      show("neigh", "show", "proxy"),
      this.host.exec(["sysctl", "-a", "-r", SETTINGS]).then(linesOf),
    ]);
    const ordered = await Promise.all([
      show("address"),
      show("-4", "route", "show", "table", "all"),
      show("-6", "route", "show", "table", "all"),
      show("rule"),
    ]);
    const lines = ordered.flat();
    const inOrder = lines.filter((line) => !isOfLink(line));
    return [...inOrder, ...[...lines.filter(isOfLink), ...sorted.flat()].toSorted()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Routes that each link has of its own, in the order in which its address was found to be nobody else's. */
function isOfLink(line: string): boolean {
  return line.startsWith("unicast fe80::/64 dev ");
}

/** Lifetimes pass, and a bridge without ports has no carrier. */
function linesOf(text: string): string[] {
  const stable = text
    .replace(/ expires \d+sec/g, " expires")
    .replace(/(valid_lft|preferred_lft) \d+sec/g, "$1")
    .replaceAll(" linkdown", "");
  return stable
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}

// What the kernel of the virtual machine can do and the machine's own often cannot, each seen at work: without it the other
// tests of this folder, which rely on it, would prove nothing.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { NetNamespace } from "../support/namespace.ts";
import { shell } from "../support/packet-lab.ts";
import { waitUntil } from "../support/wait-until.ts";

const SCTP_PORT = 7009;
const LIMIT = { timeout: 60_000, interval: 500 } as const;
const SCTP_CLIENT = join(import.meta.dirname, "../support/sctp-echo-client.ts");
const SCTP_SERVER = join(import.meta.dirname, "../support/sctp-echo-server.ts");
/** By family, of the machine with this number. */
const address = (n: number) => ({ 4: `192.0.2.${n}`, 6: `2001:db8::${n}` });

interface SeenLink {
  readonly ifname: string;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: Readonly<Record<string, unknown>> };
}

/** Shell lines that give a link its addresses and bring it up. */
function configure(link: string, n: number): string[] {
  const { 4: v4, 6: v6 } = address(n);
  return [`ip address add ${v4}/24 dev ${link}`, `ip address add ${v6}/64 dev ${link} nodad`, `ip link set ${link} up`];
}

/** Machines 1, 2, ... of one network: each has an `eth0`, and each the end `port1`, `port2`, ... on a bridge `br0`. */
async function makeSwitch(count: number) {
  const stack = new AsyncDisposableStack();
  const hub = stack.use(await NetNamespace.create("hub"));
  await shell(hub, ["ip link add br0 type bridge mcast_snooping 0", "ip link set br0 up"]);
  const machines: NetNamespace[] = [];
  for (let n = 1; n <= count; n++) {
    const machine = stack.use(await NetNamespace.create(`m${n}`));
    await shell(hub, [`ip link add port${n} up master br0 type veth peer name eth0 netns ${machine.name}`]);
    await shell(machine, configure("eth0", n));
    machines.push(machine);
  }
  return { hub, machines, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function startSctpEcho(at: NetNamespace): Promise<void> {
  const echo = at.spawn([process.execPath, SCTP_SERVER, String(SCTP_PORT)]);
  let log = "";
  echo.stdout?.on("data", (text: Buffer) => (log += text.toString()));
  await waitUntil("the echo to listen", () => log.split("\n").length > 2, { limitMs: 45_000 });
}

async function reaches(from: NetNamespace, to: string): Promise<boolean> {
  return await from.exec(["busybox", "ping", "-c1", "-W2", to]).then(
    () => true,
    () => false,
  );
}

describe("the kernel of the virtual machine", () => {
  it("is Debian's", async () => {
    expect(await readFile("/proc/version", "utf8")).toContain("debian-kernel@lists.debian.org");
  });

  it.each([
    ["vlan", "ip link add link base name probe type vlan id 7", { id: 7, protocol: "802.1Q" }],
    ["gretap", "ip link add probe type gretap local 192.0.2.1 remote 192.0.2.2 key 9", { ikey: "0.0.0.9" }],
    ["ip6gretap", "ip link add probe type ip6gretap local 2001:db8::1 remote 2001:db8::2", { remote: "2001:db8::2" }],
    ["vxlan", "ip link add probe type vxlan id 9 dstport 4789 nolearning", { id: 9, learning: false }],
    ["geneve", "ip link add probe type geneve id 9 remote 192.0.2.2", { id: 9 }],
    ["ipvlan", "ip link add link base name probe type ipvlan mode l2", { mode: "l2" }],
    ["macvlan", "ip link add link base name probe type macvlan mode private", { mode: "private" }],
    ["bridge", "ip link add probe type bridge vlan_filtering 1 vlan_default_pvid 0", { vlan_filtering: 1 }],
  ])("makes links of type %s", async (kind, command, data) => {
    await using namespace = await NetNamespace.create("links");

    await shell(namespace, ["ip link add base type dummy", command]);

    const [link] = await namespace.json<SeenLink[]>(["ip", "-json", "-details", "link", "show", "probe"]);
    expect(link?.linkinfo).toMatchObject({ info_kind: kind, info_data: data });
  });

  it("holds packets back with netem", async () => {
    await using hub = await NetNamespace.create("netem");

    await shell(hub, ["ip link add probe type dummy", "tc qdisc add dev probe root netem delay 5ms loss 1%"]);

    expect(await hub.exec(["tc", "qdisc", "show", "dev", "probe"])).toContain("netem");
  });

  it("has Open vSwitch's datapath", async () => {
    await using namespace = await NetNamespace.create("ovs");

    await namespace.exec(["modprobe", "openvswitch"]);

    expect(await namespace.exec(["genl", "ctrl", "list"])).toContain("Name: ovs_datapath");
  });

  it("keeps the frames of a bridge's VLANs apart", async () => {
    await using lan = await makeSwitch(3);
    const [first] = lan.machines;
    if (first === undefined) throw new Error("three machines");
    const reached = async () => [await reaches(first, address(2)[4]), await reaches(first, address(3)[4])];
    // New ports carry nothing before the kernel has noticed that they can, and one ping may come too late on such a machine.
    await expect.poll(reached, LIMIT).toEqual([true, true]);

    const tags = ["dev port1 vid 10", "dev port2 vid 10", "dev port3 vid 20"];
    const isolate = ["ip link set br0 type bridge vlan_filtering 1 vlan_default_pvid 0"];
    await shell(lan.hub, [...isolate, ...tags.map((tag) => `bridge vlan add ${tag} pvid untagged`)]);

    await expect.poll(reached, LIMIT).toEqual([true, false]);
  });

  it("carries SCTP between two namespaces, over IPv4 and IPv6", async () => {
    await using lan = await makeSwitch(2);
    const [client, server] = lan.machines;
    if (client === undefined || server === undefined) throw new Error("two machines");
    await startSctpEcho(server);

    const ask = (to: string) => client.exec([process.execPath, SCTP_CLIENT, to, String(SCTP_PORT)]);

    expect(await ask(address(2)[4])).toBe(`${address(1)[4]}\n`);
    expect(await ask(address(2)[6])).toBe(`${address(1)[6]}\n`);
  });
});

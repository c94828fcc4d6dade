// `tsnet explain` on a real engine: each fault is planted on the host, found by the command, felt by a real packet, and mended by
// the command that it names where it names one. What tsnet itself mends within a blink, such as a port taken out of its switch,
// is planted as facts in test/unit/cli/explain instead.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Explanation } from "../../src/cli/explain/explain.ts";
import { runTsnet } from "../support/operator.ts";
import { maskVolatile, readmeOutput } from "../support/readme-console.ts";
import type { Place } from "../support/system-container.ts";
import { SystemHost, type TestNetwork } from "../support/system-host.ts";
import { waitUntil } from "../support/wait-until.ts";

type Words = readonly string[];

/** `container: command`, or `host: command`, as a shell reads it; `$PORT_db` is the port of db on the host, `$MAC_db` what db sends from. */
type Command = string;

interface Plant {
  readonly title: string;
  readonly ask: Words;
  readonly plant: readonly Command[];
  readonly where: string;
  readonly why: RegExp;
  /** Besides the command that explain names; absent: that command alone. */
  readonly undo?: readonly Command[];
}

const PLANTS: readonly Plant[] = [
  {
    title: "a link that is down in the sender",
    ask: ["web", "db"],
    plant: ["web: ip link set eth0 down"],
    where: "container",
    why: /^link eth0 of web is down$/,
    undo: ["web: ip route add default via 10.66.0.1"],
  },
  {
    title: "a link that is down in the receiver",
    ask: ["web", "db"],
    plant: ["db: ip link set eth0 down"],
    where: "receiver",
    why: /^link eth0 of db is down$/,
    undo: ["db: ip route add default via 10.66.0.1"],
  },
  {
    title: "a default route that is gone",
    ask: ["web", "192.0.2.1"],
    plant: ["web: ip route del default"],
    where: "container",
    why: /^web has no route to 192\.0\.2\.1 \(network is unreachable\)$/,
  },
  {
    title: "an address that was taken from the receiver",
    ask: ["web", "db"],
    plant: ["db: ip address del 10.66.0.3/24 dev eth0"],
    where: "receiver",
    why: /^db has not the address 10\.66\.0\.3$/,
    undo: ["db: ip route add default via 10.66.0.1"],
  },
  {
    title: "an address that was taken from the sender",
    ask: ["web", "db"],
    plant: ["web: ip address del 10.66.0.2/24 dev eth0"],
    where: "container",
    why: /^link eth0 of web has not the address 10\.66\.0\.2 that tsnet gave out for it$/,
    undo: ["web: ip route add default via 10.66.0.1"],
  },
  {
    title: "an address of its own making in the sender",
    ask: ["web", "db"],
    plant: ["web: ip address add 10.66.0.50/24 dev eth0", "web: ip route change 10.66.0.0/24 dev eth0 src 10.66.0.50"],
    where: "antispoof",
    why: /^antispoof drops it: it comes from 10\.66\.0\.50, and tsnet gave out 10\.66\.0\.2$/,
    undo: ["web: ip route change 10.66.0.0/24 dev eth0 src 10.66.0.2", "web: ip address del 10.66.0.50/24 dev eth0"],
  },
  {
    title: "a MAC address of its own making in the sender",
    ask: ["web", "db"],
    plant: ["web: ip link set eth0 address 02:00:00:00:00:99"],
    where: "antispoof",
    why: /^antispoof drops it: it comes from MAC 02:00:00:00:00:99, and tsnet gave out 02:42:0a:42:00:02$/,
  },
  {
    title: "a wrong neighbour that was typed in",
    ask: ["web", "db"],
    plant: ["web: ip neighbour replace 10.66.0.3 lladdr 02:00:00:00:00:99 dev eth0 nud permanent"],
    where: "container",
    why: /^web has a permanent entry that 10\.66\.0\.3 is at 02:00:00:00:00:99, and it is at 02:42:0a:42:00:03$/,
  },
  {
    title: "a rule inside the receiver",
    ask: ["web", "db", "80/tcp"],
    plant: [
      "db: nft 'add table ip own; add chain ip own in { type filter hook input priority 0; }; add rule ip own in tcp dport 80 drop'",
    ],
    where: "receiver",
    why: /^db's own rules drop it: "tcp dport 80 drop" in chain in of table ip own$/,
  },
  {
    title: "a rule inside the sender",
    ask: ["web", "db"],
    plant: [
      "web: nft 'add table ip own; add chain ip own out { type filter hook output priority 0; }; add rule ip own out ip daddr 10.66.0.3 drop'",
    ],
    where: "container",
    why: /^web's own rules drop it: "ip daddr 10\.66\.0\.3 drop" in chain out of table ip own$/,
  },
  {
    title: "a route of the host that leads past the container",
    ask: ["host", "db"],
    plant: ["host: ip route add 10.66.0.3/32 dev docker0"],
    where: "routing",
    why: /^10\.66\.0\.3 is on network blue \(nat\), and link docker0 does not lead there$/,
    undo: ["host: ip route del 10.66.0.3/32 dev docker0"],
  },
  {
    title: "a rule for frames",
    ask: ["web", "db", "80/tcp"],
    plant: [
      "host: nft 'add table bridge own; add chain bridge own way { type filter hook forward priority 0; }; add rule bridge own way tcp dport 80 drop'",
    ],
    where: "firewall",
    why: /^it is dropped by "tcp dport 80 drop" in chain way of table bridge own$/,
  },
  {
    title: "forwarding that is off",
    ask: ["web", "192.0.2.1"],
    plant: ["host: sysctl -qw net.ipv4.conf.blue0.forwarding=0"],
    where: "routing",
    why: /^the host forwards nothing that comes by blue0$/,
  },
  {
    title: "a strict reverse path filter with another way back",
    ask: ["web", "192.0.2.1"],
    plant: ["host: ip route add 10.66.0.2/32 dev docker0", "host: sysctl -qw net.ipv4.conf.blue0.rp_filter=1"],
    where: "routing",
    why: /^rp_filter of blue0 is strict, and the way back to 10\.66\.0\.2 is by docker0$/,
    undo: ["host: ip route del 10.66.0.2/32 dev docker0"],
  },
  {
    title: "a route of the host that leads nowhere",
    ask: ["web", "198.51.100.9"],
    plant: ["host: ip route add prohibit 198.51.100.9"],
    where: "routing",
    why: /^the host has no route to 198\.51\.100\.9 \(permission denied\)$/,
    undo: ["host: ip route del prohibit 198.51.100.9"],
  },
  {
    title: "somebody else's rule for forwarding",
    ask: ["web", "192.0.2.1"],
    plant: [
      "host: nft 'add table inet own; add chain inet own way { type filter hook forward priority 0; }; add rule inet own way ip saddr 10.66.0.0/24 drop'",
    ],
    where: "firewall",
    why: /^it is dropped by "ip saddr 10\.66\.0\.0\/24 drop" in chain way of table inet own$/,
  },
  {
    title: "a rule in DOCKER-USER",
    ask: ["outside", "host", "8080/tcp"],
    plant: ["host: iptables -I DOCKER-USER -d 10.66.0.2 -p tcp --dport 80 -j DROP"],
    where: "firewall",
    why: /^it is dropped by "ip daddr 10\.66\.0\.2 tcp dport 80 drop" in chain DOCKER-USER of table ip filter$/,
  },
  {
    title: "a rule of iptables-legacy",
    ask: ["web", "192.0.2.1"],
    plant: ['host: iptables-legacy -I FORWARD -s 10.66.0.0/24 -m comment --comment "it\'s not wanted" -j DROP'],
    where: "firewall",
    why: /^it is dropped by "-s 10\.66\.0\.0\/24 .* -j DROP" in chain FORWARD of table ip filter of iptables-legacy$/,
  },
  {
    title: "a rule of iptables-legacy in a chain of its own",
    ask: ["outside", "host", "8080/tcp"],
    plant: [
      "host: iptables-legacy -N DOCKER-USER; iptables-legacy -I FORWARD -j DOCKER-USER",
      "host: iptables-legacy -A DOCKER-USER -d 10.66.0.2 -p tcp --dport 80 -m conntrack --ctstate NEW -j DROP",
    ],
    where: "firewall",
    why: /in chain DOCKER-USER of table ip filter of iptables-legacy$/,
  },
  {
    title: "somebody else's rule for what the host takes",
    ask: ["web", "host", "80/tcp"],
    plant: ["host: iptables -I INPUT -s 10.66.0.0/24 -j REJECT"],
    where: "firewall",
    why: /^it is dropped by "ip saddr 10\.66\.0\.0\/24 \(REJECT\)" in chain INPUT of table ip filter$/,
  },
  {
    title: "a wrong neighbour that was typed in on the host",
    ask: ["host", "db", "80/tcp"],
    plant: ["host: ip neighbour replace 10.66.0.3 lladdr 02:00:00:00:00:99 dev blue0 nud permanent"],
    where: "host link",
    why: /^the host has a permanent entry that 10\.66\.0\.3 is at 02:00:00:00:00:99, and it is at 02:42:0a:42:00:03$/,
  },
  {
    title: "no way back from a published port",
    ask: ["outside", "host", "8080/tcp"],
    plant: ["web: ip route del default"],
    where: "answer",
    why: /^web has no route back to 192\.0\.2\.1 \(network is unreachable\)$/,
  },
  {
    title: "an uplink of the host without carrier",
    ask: ["web", "192.0.2.1"],
    plant: ["outside: ip link set lan0 down"],
    where: "uplink",
    why: /^link lan0 has no carrier: nobody is at the other end of the cable$/,
    undo: ["outside: ip link set lan0 up"],
  },
  {
    // With antispoof tsnet puts its own entry back whenever a link of that switch changes, be it a carrier a second late. Without
    // it the table is the kernel's: an entry stays that is sticky, and one that is not moves when its owner speaks.
    title: "an entry of the forwarding table that points elsewhere",
    ask: ["dark-1", "dark-2"],
    plant: ["host: bridge fdb replace $MAC_dark-2 dev $PORT_dark-1 master static sticky"],
    where: "switch",
    why: /^the forwarding table of tsn-\w+ has 02:42:0a:45:00:0\d behind tsv\w+, not tsv\w+$/,
  },
  {
    title: "somebody else's flow on tsnet's switch that drops",
    ask: ["red-1", "red-2", "80/tcp"],
    plant: ["host: ovs-ofctl add-flow sw0 priority=50000,tcp,in_port=$PORT_red-1,tp_dst=80,actions=drop"],
    where: "switch",
    why: /^sw0 drops it by a flow that is not tsnet's: "table=0,priority=50000,tcp,in_port=tsv\w+,tp_dst=80 actions=drop"$/,
  },
  {
    title: "somebody else's flow that leads to another port",
    ask: ["host", "green-1", "80/tcp"],
    plant: ["host: ovs-ofctl add-flow sw0 cookie=0x5,table=245,priority=900,ip,nw_dst=10.72.0.2,actions=$PORT_red-1"],
    where: "switch",
    why: /^sw0 hands it to tsv\w+, not to tsv\w+, by a flow that is not tsnet's: "cookie=0x5,table=245,priority=900,ip,nw_dst=/,
  },
  {
    title: "a peer of a tunnel to which there is no way",
    ask: ["far", "10.71.0.130"],
    plant: ["host: ip route add prohibit 192.0.2.1/32"],
    where: "tunnel",
    why: /^the host has no route to the tunnel's peer 192\.0\.2\.1 \(permission denied\)$/,
    undo: ["host: ip route del prohibit 192.0.2.1/32"],
  },
];

/** What is so because it was made so: nothing is planted, and nothing to be undone. */
const MADE: readonly Omit<Plant, "plant" | "undo">[] = [
  {
    title: "icc=false",
    ask: ["quiet-1", "quiet-2", "80/tcp"],
    where: "switch",
    why: /^icc=false: containers of network quiet reach one another by published ports alone$/,
  },
  {
    title: "two networks that are kept apart",
    ask: ["web", "quiet-1", "80/tcp"],
    where: "firewall",
    why: /^networks blue and quiet are kept apart: .* in chain forward of table inet tsnet$/,
  },
  {
    title: "an internal network and the outside",
    ask: ["inner-1", "192.0.2.1"],
    where: "container",
    why: /^inner-1 has no route to 192\.0\.2\.1 \(network is unreachable\): its network is internal$/,
  },
  {
    title: "an isolated network and the host",
    ask: ["dark-1", "192.0.2.10"],
    where: "container",
    why: /^dark-1 has no route to 192\.0\.2\.10 \(network is unreachable\): mode isolated$/,
  },
  {
    title: "two VLANs of one switch",
    ask: ["red-1", "pink-1"],
    where: "switch",
    why: /^the sender is in VLAN 100, the receiver in VLAN 200$/,
  },
  {
    title: "a network on which the host is not",
    ask: ["web", "red-1"],
    where: "routing",
    why: /^10\.70\.0\.2 is on network red \(l2\), and link lan0 does not lead there$/,
  },
  {
    title: "an address that nobody has",
    ask: ["web", "10.66.0.99"],
    where: "switch",
    why: /^nobody on network blue has the address 10\.66\.0\.99$/,
  },
  {
    title: "a port where nobody listens in the receiver",
    ask: ["web", "db", "81/tcp"],
    where: "receiver",
    why: /^nobody in db listens on port 81\/tcp of 10\.66\.0\.3$/,
  },
  {
    title: "a port that is not published",
    ask: ["outside", "host", "8099/tcp"],
    where: "host",
    why: /^nobody listens on port 8099\/tcp of 192\.0\.2\.10 on the host$/,
  },
  {
    title: "a port that is published on another address of the host",
    ask: ["outside", "host", "8085/tcp"],
    where: "host",
    why: /^nobody listens on port 8085\/tcp of 192\.0\.2\.10 on the host: only on 127\.0\.0\.1$/,
  },
  {
    title: "a container's own address, asked for from outside",
    ask: ["outside", "db", "80/tcp"],
    where: "firewall",
    why: /^nothing gets into network blue but to published ports, and 10\.66\.0\.3 does not publish 80\/tcp; /,
  },
  {
    title: "a published port behind which nobody listens",
    ask: ["outside", "host", "8082/tcp"],
    where: "receiver",
    why: /^nobody in web listens on port 82\/tcp of 10\.66\.0\.2$/,
  },
];

/** Ways that are free. */
const CLEAN: readonly Words[] = [
  ["web", "db"],
  ["web", "db", "80/tcp"],
  ["web", "host"],
  ["web", "host", "80/tcp"],
  ["web", "192.0.2.1"],
  ["web", "192.0.2.10", "8080/tcp"],
  ["outside", "host", "8080/tcp"],
  ["outside", "host", "8081/tcp"],
  ["host", "host", "8085/tcp"],
  ["host", "db", "80/tcp"],
  ["quiet-1", "192.0.2.10", "8081/tcp"],
  ["web", "192.0.2.10", "8081/tcp"],
  ["dark-1", "dark-2"],
  ["red-1", "red-2", "80/tcp"],
  ["green-1", "host"],
  ["host", "green-1", "80/tcp"],
  ["plain-1", "192.0.2.1"],
  ["far", "10.71.0.130"],
];

/** How long a mended way may take until it is free. */
const MENDED = { timeout: 20_000 };

/** A packet that is not there by then is taken for lost. */
const GIVEN_UP_S = "0.5";

interface IpLink {
  readonly ifname: string;
  readonly ifindex: number;
  readonly address: string;
  readonly link_index?: number;
}

describe("explain", () => {
  let host: SystemHost;
  /** By its word in a command. */
  const links: Record<string, string> = {};

  beforeAll(async () => {
    host = await SystemHost.up("tsnet serve", { backend: "ovs" });
    const bridge = ["-o", "backend=bridge"];
    const l2 = ["-o", "bridge=sw0", "-o", "mode=l2", "--subnet", "10.70.0.0/24"];
    const isolated = ["-o", "mode=isolated", "-o", "antispoof=false"];
    const blue = await host.network("blue", ...bridge, "-o", "bridge=blue0", "--subnet", "10.66.0.0/24");
    const quiet = await host.network("quiet", ...bridge, "-o", "icc=false", "--subnet", "10.67.0.0/24");
    const inner = await host.network("inner", ...bridge, "--internal", "--subnet", "10.68.0.0/24");
    const dark = await host.network("dark", ...bridge, ...isolated, "--subnet", "10.69.0.0/24");
    const red = await host.network("red", ...l2, "-o", "vlan=100", "--ipam-opt", "segment=red");
    const pinkOptions = ["-o", "vlan=200", "--ipam-opt", "segment=pink", "--ip-range", "10.70.0.128/25"];
    const pink = await host.network("pink", ...l2, ...pinkOptions);
    const tunnel = ["-o", "tunnel=vxlan", "-o", "vni=80", "-o", "peers=192.0.2.10,192.0.2.1"];
    const wide = await host.network("wide", ...bridge, ...tunnel, "--subnet", "10.71.0.0/24");
    const green = await host.network("green", "-o", "bridge=sw0", "-o", "vlan=300", "--subnet", "10.72.0.0/24");
    const plain = await host.network("plain", "--subnet", "10.73.0.0/24");
    await start("web", blue, "-p", "8080:80", "-p", "8082:82", "-p", "127.0.0.1:8085:80");
    await start("db", blue);
    await start("quiet-1", quiet, "-p", "8081:80");
    await start("quiet-2", quiet);
    await start("inner-1", inner);
    await start("dark-1", dark);
    await start("dark-2", dark);
    await start("red-1", red);
    await start("red-2", red);
    await start("pink-1", pink);
    await start("green-1", green);
    await start("plain-1", plain);
    await start("far", wide);
    await outside("ip link add vx0 type vxlan id 80 dstport 4789 local 192.0.2.1 remote 192.0.2.10");
    await outside("ip address add 198.51.100.9/32 dev lo");
    await outside("ip address add 10.71.0.130/24 dev vx0; ip link set vx0 mtu 1450 up");
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it.each(CLEAN.map((words) => ({ words, title: words.join(" ") })))(
    "a packet arrives and nothing is found: $title",
    async ({ words }) => {
      const found = await ask(words);

      expect(found.verdict).toEqual({ arrives: true, faults: [] });
      expect(found.hops.filter(({ text }) => /not looked at|cannot be told/.test(text))).toEqual([]);
      await waitUntil("a packet to arrive", async () => await arrives(found), { limitMs: MENDED.timeout });
    },
  );

  it.each(MADE)("names $title", async ({ ask: words, where, why }) => {
    const found = await ask(words);

    expect(found.verdict).toMatchObject({ arrives: false, where, why: expect.stringMatching(why) });
    expect(await arrives(found, GIVEN_UP_S)).toBe(false);
  });

  it.each(PLANTS)("names $title, and what mends it", async ({ ask: words, plant, where, why, undo = [] }) => {
    for (const command of plant) await run(command);
    const found = await ask(words);
    const isThrough = await arrives(found, GIVEN_UP_S);
    for (const { fix } of found.verdict.faults) if (fix !== undefined) await run(`host: ${fix}`);
    for (const command of undo) await run(command);

    expect(found.verdict).toMatchObject({ arrives: false, where, why: expect.stringMatching(why) });
    expect(isThrough).toBe(false);
    // A switch opens the port of a link that is up again when the kernel tells it so, which is later.
    await expect.poll(async () => (await ask(words)).verdict, MENDED).toEqual({ arrives: true, faults: [] });
    const again = await ask(words);
    await waitUntil("a packet to arrive", async () => await arrives(again), { limitMs: MENDED.timeout });
  });

  it("names two faults at once, in the order of the way, and all that mends them", async () => {
    const words = ["web", "192.0.2.1"];
    await run("host: sysctl -qw net.ipv4.conf.blue0.forwarding=0");
    await run("web: ip route del default");
    const found = await ask(words);
    const { stdout } = await runTsnet(host.lab, ["explain", ...words]);
    const isThrough = await arrives(found, GIVEN_UP_S);
    const [last = "", first = ""] = found.verdict.faults.map(({ fix = "" }) => fix);
    await run(`host: ${first}`);
    const half = await ask(words);
    await run(`host: ${last}`);

    expect(found.verdict.faults.map(({ where }) => where)).toEqual(["container", "routing"]);
    expect(stdout).toContain(`It stops at: container, routing.\nTo mend it:\n  ${last}\n  ${first}`);
    expect(isThrough).toBe(false);
    expect(half.verdict.faults.map(({ where }) => where)).toEqual(["container"]);
    await waitUntil("a packet to arrive", async () => await arrives(await ask(words)));
  });

  it("prints what the README shows, of a packet that arrives and of one that stops", async () => {
    for (const words of ["explain web 192.0.2.1 80/tcp", "explain web db"]) {
      if (words.endsWith("db")) await run("db: ip link set eth0 down");
      const { stdout } = await runTsnet(host.lab, words.split(" "));

      expect(maskVolatile(stdout)).toBe(readmeOutput(`tsnet ${words}`));
    }
    await run("db: ip link set eth0 up");
    await waitUntil("a packet to arrive", async () => await arrives(await ask(["web", "db"])));
  });

  it("changes nothing, and tsnet has nothing to complain about", async () => {
    const seen = async () => [
      await host.exec(["nft", "-s", "list", "ruleset"]),
      await host.exec(["ip", "-br", "address"]),
      await host.ovs.flows("sw0"),
    ];
    const before = await seen();
    for (const words of CLEAN.slice(-5)) await ask(words);

    expect(await seen()).toEqual(before);
    expect(host.complaints()).toEqual([]);
  });

  async function start(name: string, network: TestNetwork, ...options: string[]): Promise<void> {
    const container = await host.run(name, network, ...options);
    const inside = JSON.parse(await container.exec(["ip", "-json", "link", "show", "dev", "eth0"])) as IpLink[];
    const ofHost = JSON.parse(await host.exec(["ip", "-json", "link"])) as IpLink[];
    links[`PORT_${name}`] = ofHost.find(({ ifindex }) => ifindex === inside[0]?.link_index)?.ifname ?? "";
    links[`MAC_${name}`] = inside[0]?.address ?? "";
  }

  async function ask(words: Words): Promise<Explanation> {
    const { stdout, stderr, exitCode } = await runTsnet(host.lab, ["explain", ...words, "--json"]);
    if (stdout === "") throw new Error(stderr);
    const found = JSON.parse(stdout) as Explanation;
    expect(exitCode).toBe(found.verdict.arrives ? 0 : 1);
    return found;
  }

  /** Whether a real packet gets through, and its answer back. */
  async function arrives({ from, address, port }: Explanation, limitS = "3"): Promise<boolean> {
    const [number = ""] = port?.split("/") ?? [];
    // A relay takes the connection before it knows whether the container does: so an answer is waited for.
    const get = ["busybox", "wget", "-q", "-O", "/dev/null", `http://${address}:${number}/`];
    const talk = port === undefined ? ["busybox", "ping", "-c1", address] : get;
    return await placeOf(from)
      .then((place) => place.exec(["timeout", limitS, ...talk]))
      .then(
        () => true,
        () => false,
      );
  }

  async function run(command: Command): Promise<void> {
    const [, at = "", typed = ""] = /^([\w-]+): (.*)$/s.exec(command) ?? [];
    const shell = typed.replace(/\$((PORT|MAC)_[\w-]+)/g, (_all, word: string) => links[word] ?? "");
    await (await placeOf(at)).exec(["sh", "-c", shell]);
  }

  async function outside(shell: string): Promise<void> {
    await host.neighbour.exec(["sh", "-c", shell]);
  }

  async function placeOf(name: string): Promise<Place> {
    if (name === "host") return host;
    if (name === "outside") return host.neighbour;
    const pid = await host.docker("inspect", "--format", "{{.State.Pid}}", name);
    return { exec: async (argv) => await host.exec(["nsenter", "-t", pid, "-n", "--", ...argv]) };
  }
});

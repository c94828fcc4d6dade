// `tsnet doctor` on a real engine: names nothing on a sound host, each fault that is planted there by its id and its object and
// nothing else, and with `--fix` mends what is tsnet's and leaves what is not. What is on the host is judged by ip(8), nft(8) and
// ovs-vsctl(8).
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DoctorReport, namesIn, readDoctor } from "../support/doctor-report.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { readTsnet, runTsnet } from "../support/operator.ts";
import { maskVolatile, readmeOutput } from "../support/readme-console.ts";
import { damageRecord } from "../support/record-files.ts";
import type { TestContainer } from "../support/system-container.ts";
import { SystemHost } from "../support/system-host.ts";

const SOCKET = "/run/docker/plugins/tsnet.sock";
const STRAY = "5".repeat(64);
const OTHER_STRAY = "6".repeat(64);

/** Where settings can be written that tsnet cannot write: on this host they are read-only, so that it cannot put them back. */
const WRITABLE = "/run/settings";

const UPLINK = "ip link add up0 type veth peer name up0-far; ip link set up0-far up";
const OWN_SWITCH = "ip link add own0 type bridge; ip link set own0 up";

const IPTABLES = "DOCKER-USER -o WEB";
const DROP_SOME = "-p tcp --dport 443 -j DROP";
const tell = (verb: string, message: object) =>
  `curl -s --unix-socket ${SOCKET} -d '${JSON.stringify(message)}' http://tsnet/${verb}`;
const ENDPOINT = { NetworkID: "NETWORK_WEB", EndpointID: "7".repeat(64) };
const LEAK = tell("IpamDriver.RequestAddress", { PoolID: "POOL", Address: "10.66.0.99", Options: {} });
const WITHOUT_BRIDGED = "sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0";
const WITH_BRIDGED = "sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1";
const MINE =
  "nft add table inet mine; nft add chain inet mine forward '{ type filter hook forward priority 0; policy drop; }'";

const ORPHANS = [
  "ip link add tsv555555555555 type veth peer name far5",
  `ip link set tsv555555555555 group 29811 alias tsnet:endpoint:${STRAY}`,
  `ip link add tsn-55555555555 type bridge; ip link set tsn-55555555555 group 29811 alias tsnet:network:${STRAY}`,
  `ovs-vsctl --no-wait add-br stray0 -- set bridge stray0 external_ids:tsnet-network=${STRAY}`,
];
const ORPHANS_GONE = ["ip link del tsv555555555555; ip link del tsn-55555555555; ovs-vsctl --no-wait del-br stray0"];

const FAULTS: readonly Fault[] = [
  {
    title: "IPv4 forwarding that is off",
    finds: ["forwarding-off net.ipv4.ip_forward"],
    plant: `echo 0 > ${WRITABLE}/ip_forward`,
    undo: `echo 1 > ${WRITABLE}/ip_forward`,
  },
  {
    title: "IPv6 forwarding that is off",
    finds: ["forwarding6-off net.ipv6.conf.all.forwarding"],
    plant: `echo 0 > ${WRITABLE}/forwarding`,
    undo: `echo 1 > ${WRITABLE}/forwarding`,
  },
  {
    title: "a foreign policy, and that br_netfilter shows it frames between containers",
    finds: ["bridged-drop inet mine forward", "foreign-drop inet mine forward"],
    plant: MINE,
    undo: "nft delete table inet mine",
  },
  {
    title: "a foreign policy alone, where br_netfilter is off",
    finds: ["foreign-drop inet mine forward"],
    plant: `${WITHOUT_BRIDGED}; ${MINE}`,
    undo: `${WITH_BRIDGED}; nft delete table inet mine`,
  },
  {
    title: "a rule in DOCKER-USER that drops all that goes to a network",
    finds: ["bridged-drop ip filter DOCKER-USER handle N", "foreign-drop ip filter DOCKER-USER handle N"],
    plant: `iptables -I ${IPTABLES} -j DROP`,
    undo: `iptables -D ${IPTABLES} -j DROP`,
  },
  {
    title: "a rule in DOCKER-USER that drops some of it",
    finds: ["foreign-drop-some ip filter DOCKER-USER handle N"],
    plant: `iptables -I ${IPTABLES} ${DROP_SOME}`,
    undo: `iptables -D ${IPTABLES} ${DROP_SOME}`,
  },
  {
    title: "iptables-legacy that drops",
    finds: ["legacy-drop iptables-legacy FORWARD"],
    plant: "iptables-legacy -P FORWARD DROP",
    undo: "iptables-legacy -P FORWARD ACCEPT",
  },
  {
    title: "a route that hides half a subnet",
    finds: ["subnet-overlaps-route web"],
    plant: "ip route add 10.66.0.128/25 dev lan0",
    undo: "ip route del 10.66.0.128/25",
  },
  {
    title: "an uplink with nothing at its other end",
    finds: ["uplink-no-carrier up0"],
    plant: "ip link set up0-far down",
    undo: "ip link set up0-far up",
  },
  {
    title: "addresses on an uplink",
    finds: ["uplink-address up0"],
    plant: "ip address add 10.99.0.1/24 dev up0",
    undo: "ip address del 10.99.0.1/24 dev up0",
  },
  {
    title: "an uplink with too small an MTU",
    finds: ["mtu-beyond-uplink up0"],
    plant: "ip link set up0 mtu 1400",
    undo: "ip link set up0 mtu 1500",
  },
  {
    title: "an uplink that is gone",
    finds: ["uplink-missing up0"],
    plant: "ip link del up0",
    undo: UPLINK,
  },
  {
    title: "a switch that is gone and was not made by tsnet",
    finds: ["switch-missing own0"],
    plant: "ip link del own0",
    undo: OWN_SWITCH,
  },
  {
    title: "a peer of a tunnel to which there is no way",
    finds: ["tunnel-no-route 192.0.2.1"],
    plant: "ip route add unreachable 192.0.2.1",
    undo: "ip route del unreachable 192.0.2.1",
  },
  {
    title: "a way out that is too narrow, for a network and for a tunnel",
    finds: ["mtu-beyond-route lan0", "tunnel-mtu 192.0.2.1"],
    plant: "ip link set lan0 mtu 1400",
    undo: "ip link set lan0 mtu 1500",
  },
  {
    title: "a port that Open vSwitch cannot make",
    finds: ["ovs-port-error nosuch0"],
    plant: "ovs-vsctl --timeout=10 add-port FLOOR nosuch0 || true",
    undo: "ovs-vsctl del-port nosuch0",
  },
  {
    title: "an Open vSwitch whose database does not answer",
    finds: ["ovs-away ovsdb-server"],
    plant: "mv /run/openvswitch/db.sock /run/openvswitch/db.away",
    undo: "mv /run/openvswitch/db.away /run/openvswitch/db.sock",
  },
  {
    title: "a port, a switch and a bridge that were left behind",
    finds: ["link-orphaned tsv555555555555", "ovs-orphaned stray0", "switch-orphaned tsn-55555555555"],
    plant: ORPHANS.join("\n"),
    undo: ORPHANS_GONE.join("\n"),
  },
  {
    title: "a container that lost its address",
    finds: ["container-address-missing two"],
    plant: "IN_TWO address del 10.66.0.3/24 dev eth0",
    undo: "IN_TWO address add 10.66.0.3/24 dev eth0",
  },
  {
    title: "a container with another MAC address",
    finds: ["container-mac-differs two"],
    plant: "IN_TWO link set eth0 address 02:00:00:00:00:99",
    undo: "IN_TWO link set eth0 address MAC_OF_TWO",
  },
  {
    title: "a container with the MAC address of another one",
    finds: ["container-mac-differs two", "duplicate-mac MAC_OF_ONE"],
    plant: "IN_TWO link set eth0 address MAC_OF_ONE",
    undo: "IN_TWO link set eth0 address MAC_OF_TWO",
  },
  {
    title: "a container with the address of another one",
    finds: ["duplicate-address 10.66.0.2"],
    plant: "IN_TWO address add 10.66.0.2/24 dev eth0",
    undo: "IN_TWO address del 10.66.0.2/24 dev eth0",
  },
  {
    title: "a container with another MTU",
    finds: ["container-mtu-differs two"],
    plant: "IN_TWO link set eth0 mtu 1300",
    undo: "IN_TWO link set eth0 mtu 1500",
  },
  {
    title: "a container whose link is down",
    finds: ["container-link-down two"],
    plant: "IN_TWO link set eth0 down",
    undo: "docker restart -t 0 two",
  },
  {
    title: "a container whose link is gone",
    finds: ["link-missing two"],
    plant: "ip link del LINK_OF_TWO",
    undo: "docker restart -t 0 two",
  },
  {
    title: "an address that nobody has",
    finds: ["address-leaked 10.66.0.99"],
    plant: LEAK,
    undo: tell("IpamDriver.ReleaseAddress", { PoolID: "POOL", Address: "10.66.0.99" }),
  },
  {
    title: "a subnet of no network",
    finds: ["pool-unused 10.72.0.0/24"],
    plant: `${tell("IpamDriver.RequestPool", { AddressSpace: "tsnet", Pool: "10.72.0.0/24", SubPool: "", Options: {}, V6: false })} > /run/pool`,
    undo: `curl -s --unix-socket ${SOCKET} -d "$(sed 's/.*"PoolID":"\\([^"]*\\)".*/{"PoolID":"\\1"}/' /run/pool)" http://tsnet/IpamDriver.ReleasePool`,
  },
  {
    title: "a network that Docker has and tsnet has not",
    finds: ["network-unknown-to-tsnet gone"],
    plant: [
      "docker network create -d tsnet --ipam-driver tsnet gone",
      tell("NetworkDriver.DeleteNetwork", { NetworkID: "NETWORK_GONE" }),
    ],
    undo: "docker network rm gone",
  },
  {
    title: "a network that tsnet has and Docker has not",
    finds: ["network-unknown-to-docker 666666666666"],
    plant: tell("NetworkDriver.CreateNetwork", {
      NetworkID: OTHER_STRAY,
      Options: {},
      IPv4Data: [{ AddressSpace: "elsewhere", Pool: "10.71.0.0/24", Gateway: "10.71.0.1/24" }],
      IPv6Data: [],
    }),
    undo: tell("NetworkDriver.DeleteNetwork", { NetworkID: OTHER_STRAY }),
  },
  {
    title: "a network whose removal did not end",
    finds: ["network-unfinished half"],
    plant: [
      "docker network create -d tsnet --ipam-driver tsnet half; docker run -d --name halfway --network half IMAGE sleep inf",
      tell("NetworkDriver.DeleteNetwork", { NetworkID: "NETWORK_HALF" }),
    ],
    undo: "docker rm -f halfway; docker network rm half",
  },
  {
    title: "an endpoint that no container ever had",
    finds: ["endpoint-unused web 777777777777"],
    plant: [
      tell("NetworkDriver.CreateEndpoint", {
        ...ENDPOINT,
        Options: {},
        Interface: { Address: "10.66.0.77/24", AddressIPv6: "fd00:66::77/64", MacAddress: "" },
      }),
      tell("NetworkDriver.Join", { ...ENDPOINT, SandboxKey: "/var/run/docker/netns/none", Options: {} }),
    ].join("\n"),
    undo: tell("NetworkDriver.DeleteEndpoint", ENDPOINT),
  },
];

let host: SystemHost;
let one: TestContainer;
let two: TestContainer;
let macOfTwo: string;
/** The switches of `web` and of `floor`. */
let webSwitch: string;
let floorSwitch: string;

beforeAll(async () => {
  host = await SystemHost.up("tsnet serve", { backend: "ovs" });
  await sh(UPLINK, OWN_SWITCH);
  const bridge = ["-o", "backend=bridge"];
  const web = await host.network("web", "--subnet", "10.66.0.0/24", "--ipv6", "--subnet", "fd00:66::/64", ...bridge);
  await host.network("lan", "--subnet", "10.67.0.0/24", "-o", "parent=up0", ...bridge);
  const floor = await host.network("floor", "--subnet", "10.68.0.0/24", "-o", "vlan=100");
  const tunnel = ["-o", "tunnel=vxlan", "-o", "vni=69", "-o", "peers=192.0.2.1"];
  await host.network("far", "--subnet", "10.69.0.0/24", ...tunnel, ...bridge);
  await host.network("mine", "--subnet", "10.70.0.0/24", "-o", "bridge=own0", ...bridge);
  one = await host.run("one", web, "-p", "8080:80");
  two = await host.run("two", web);
  await host.run("tagged", floor);
  macOfTwo = (await two.interface("eth0")).mac;
  [webSwitch, floorSwitch] = [await switchOf("web"), await switchOf("floor")];
  for (const name of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]) await keepFromTsnet(name);
});
afterAll(async () => await host?.[Symbol.asyncDispose]());

describe("tsnet doctor", () => {
  it("names nothing on a sound host, and looks at everything", async () => {
    const report = await doctor();

    expect(namesIn(report)).toEqual([]);
    expect(report.notLookedAt).toEqual([]);
    const printed = await runTsnet(host.lab, ["doctor"]);
    expect([printed.exitCode, printed.stdout, printed.stderr]).toEqual([0, "0 findings", ""]);
  });

  it.each(FAULTS)("names $title", async ({ plant, undo, finds }) => {
    for (const line of [plant].flat()) await sh(await fill(line));
    try {
      const expected = await Promise.all(finds.map(fill));
      expect(namesIn(await doctor())).toEqual(expected);
    } finally {
      await sh(await fill(undo));
    }
    await expect.poll(async () => namesIn(await doctor()), { timeout: 20_000 }).toEqual([]);
  });

  it("names a switch of Open vSwitch that does not answer", async () => {
    await host.ovs.killVswitchd();
    try {
      expect(namesIn(await doctor())).toContain(`ovs-silent ${floorSwitch}`);
    } finally {
      await host.ovs.startVswitchd();
    }
    await expect.poll(async () => namesIn(await doctor()), { timeout: 20_000 }).toEqual([]);
  });

  it("says that Docker does not answer, and what it could not look at for that", async () => {
    const report = await doctor([], { DOCKER_HOST: "unix:///run/nowhere.sock" });

    expect(namesIn(report)).toEqual(["engine-away Docker"]);
    const unseen = report.notLookedAt.map(({ id }) => id);
    expect(unseen).toEqual(expect.arrayContaining(["address-leaked", "container-mac-differs", "driver-unregistered"]));
    expect(unseen).not.toContain("foreign-drop");
  });

  it("says that tsnet does not answer, and looks at what it can", async () => {
    const printed = await runTsnet(host.lab, ["--socket", "/run/nowhere.sock", "doctor"]);

    expect(printed.exitCode).toBe(1);
    expect(printed.stdout).toContain("tsnet-away: tsnet");
    expect(printed.stdout).toContain("not looked at");
    expect(printed.stdout.split("\n").at(-1)).toBe("1 finding");
  });

  it("names a tsnet that listens where Docker does not look", async () => {
    await sh(`mv ${SOCKET} /run/elsewhere.sock`);
    try {
      const out = await runTsnet(host.lab, ["--socket", "/run/elsewhere.sock", "doctor", "--json"]);
      expect(namesIn(JSON.parse(out.stdout) as DoctorReport)).toContain("driver-unregistered tsnet");
    } finally {
      await sh(`mv /run/elsewhere.sock ${SOCKET}`);
    }
  });

  it("prints what the README shows", async () => {
    await sh(WITHOUT_BRIDGED, MINE, ORPHANS[0] ?? "", ORPHANS[1] ?? "");
    const printed = await runTsnet(host.lab, ["doctor"]);
    await sh(WITH_BRIDGED, "nft delete table inet mine", "ip link del tsv555555555555");

    expect(printed.exitCode).toBe(1);
    expect(maskVolatile(printed.stdout)).toBe(readmeOutput("tsnet doctor"));
    const lengths = printed.stdout.split("\n").map((line) => line.length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(80);
  });

  it("changes nothing without --fix", async () => {
    await sh(...ORPHANS);
    const before = await snapshot();

    await runTsnet(host.lab, ["doctor"]);

    expect(await snapshot()).toEqual(before);
    await sh(...ORPHANS_GONE);
  });

  it("mends with --fix what is tsnet's, and leaves links, rules and bridges of others as they are", async () => {
    await sh("ip link add tsv-mine type veth peer name tsn-mine", "ip link add tsn-other type bridge");
    await sh(
      "nft add table inet mine; nft add chain inet mine forward '{ type filter hook forward priority 0; policy drop; }'",
    );
    await sh("ovs-vsctl --no-wait add-br foreign0");
    const before = await snapshot();
    await sh(...ORPHANS, await fill(LEAK));

    const report = async () => namesIn(await doctor(["--fix"]));

    const left = ["bridged-drop inet mine forward", "foreign-drop inet mine forward"];
    await expect.poll(report, { timeout: 40_000, interval: 1000 }).toEqual(left);
    expect(await snapshot()).toEqual(before);
    await sh(
      "ip link del tsv-mine; ip link del tsn-other; nft delete table inet mine; ovs-vsctl --no-wait del-br foreign0",
    );
  });

  it("says which record is damaged, and calls nothing nobody's then", async () => {
    const id = await host.docker("network", "inspect", "--format", "{{.Id}}", "mine");
    await host.stop();
    damageRecord(join(host.stateDir, "tsnet.db"), "network", id);
    await host.start();

    const report = await doctor();

    expect(namesIn(report)).toEqual(["network-unknown-to-tsnet mine", "record-damaged records"]);
    expect(report.notLookedAt.map(({ id: of }) => of)).toEqual([
      "address-leaked",
      "link-orphaned",
      "switch-orphaned",
      "ovs-orphaned",
    ]);
  });
});

interface Fault {
  readonly title: string;
  readonly finds: readonly string[];
  /** Lines for sh(1), one after the other; what stands in capitals is filled in. */
  readonly plant: string | readonly string[];
  readonly undo: string;
}

/** What the words in capitals are, now. */
async function fill(line: string): Promise<string> {
  const words: Readonly<Record<string, () => Promise<string> | string>> = {
    IMAGE: () => TEST_IMAGE,
    WEB: () => webSwitch,
    FLOOR: () => floorSwitch,
    IN_TWO: async () => `nsenter -t ${await two.pid()} -n ip`,
    MAC_OF_ONE: async () => (await one.interface("eth0")).mac,
    MAC_OF_TWO: () => macOfTwo,
    LINK_OF_TWO: () => linkOf("two"),
    POOL: () => poolOf("10.66.0.0/24"),
    NETWORK_WEB: () => idOf("web"),
    NETWORK_GONE: () => idOf("gone"),
    NETWORK_HALF: () => idOf("half"),
  };
  let filled = line;
  for (const [word, find] of Object.entries(words)) {
    if (new RegExp(`\\b${word}\\b`).test(filled))
      filled = filled.replaceAll(new RegExp(`\\b${word}\\b`, "g"), await find());
  }
  return filled;
}

async function idOf(network: string): Promise<string> {
  return host.docker("network", "inspect", "--format", "{{.Id}}", network);
}

async function poolOf(subnet: string): Promise<string> {
  const pools = await readTsnet<readonly { id: string; subnet: string }[]>(host.lab, "ipam");
  return pools.find((pool) => pool.subnet === subnet)?.id ?? "";
}

/** The host's end of a container's link, found by its mark. */
async function linkOf(container: string): Promise<string> {
  const format = "{{range .NetworkSettings.Networks}}{{.EndpointID}}{{end}}";
  const id = await host.docker("inspect", "--format", format, container);
  const links = JSON.parse(await host.exec(["ip", "-json", "link"])) as { ifname: string; ifalias?: string }[];
  return links.find(({ ifalias }) => ifalias === `tsnet:endpoint:${id}`)?.ifname ?? "";
}

/** Links, rules and rows, without what counts. */
async function snapshot() {
  const links = JSON.parse(await host.exec(["ip", "-json", "-details", "link"])) as {
    ifname: string;
    ifalias?: string;
  }[];
  const rules = await host.exec(["nft", "-j", "-s", "list", "ruleset"]);
  const rows = await host.ovs.vsctl("--no-wait", "--columns=name,external_ids", "list", "Port");
  return { links: links.map(({ ifname, ifalias }) => [ifname, ifalias]), rules, rows };
}
async function doctor(
  words: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<DoctorReport> {
  return readDoctor(host.lab, words, env);
}

async function sh(...lines: readonly string[]): Promise<void> {
  await host.exec(["sh", "-ec", lines.join("\n")]);
}

async function switchOf(network: string): Promise<string> {
  const networks = await readTsnet<readonly { name: string; switch: string }[]>(host.lab, "ls");
  return networks.find(({ name }) => name === network)?.switch ?? "";
}

async function keepFromTsnet(setting: string): Promise<void> {
  const [path, writable] = [`/proc/sys/net/${setting}`, `${WRITABLE}/${setting.split("/").at(-1)}`];
  await sh(
    `mkdir -p ${WRITABLE}; touch ${writable}; mount --bind ${path} ${writable}`,
    `mount --bind ${path} ${path}; mount -o remount,bind,ro ${path}`,
  );
}

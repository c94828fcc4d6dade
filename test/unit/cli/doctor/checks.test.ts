import { describe, expect, it } from "vitest";
import { CHECKS, confirm, examine } from "../../../../src/cli/doctor/checks.ts";
import type { FactValues } from "../../../../src/cli/doctor/facts.ts";
import { endpointId, networkId } from "../../../support/cnm-builder.ts";
import {
  ROOMY,
  WEB,
  endpoint,
  factsWith,
  inside,
  link,
  network,
  readingsOf,
  row,
} from "../../../support/doctor-facts.ts";

const SOUND = factsWith();
const STRAY = networkId(9);

function firstOf<One>(all: readonly One[]): One {
  const [one] = all;
  if (one === undefined) throw new Error("there is none");
  return one;
}

function named(values: FactValues): readonly string[] {
  return examine(readingsOf(values)).findings.map(({ id, object }) => `${id}: ${object}`);
}

function tsnetWith(change: Partial<FactValues["tsnet"]>): Partial<FactValues> {
  return { tsnet: { ...SOUND.tsnet, ...change } };
}

/** The sound networks, the first one changed. */
function webWith(change: Parameters<typeof network>[0]): Partial<FactValues> {
  return tsnetWith({ networks: [network(change), ...SOUND.tsnet.networks.slice(1)] });
}

function settingsWith(...settings: readonly [string, number][]): Partial<FactValues> {
  return { files: { ...SOUND.files, settings: new Map([...SOUND.files.settings, ...settings]) } };
}

function linksWith(name: string, change: Parameters<typeof link>[1]): Partial<FactValues> {
  return { links: [...SOUND.links.filter(({ ifname }) => ifname !== name), link(name, change)] };
}

/** The links of the first container are such. */
function insideWith(change: Parameters<typeof link>[1]): Partial<FactValues> {
  const [, ...others] = SOUND.containers;
  return { containers: [{ ...firstOf(SOUND.containers), links: [inside(2, change)] }, ...others] };
}

const policy = { family: "inet", table: "mine", name: "forward", hook: "forward", policy: "drop" };
const rule = (...expr: readonly object[]) => ({
  chains: [{ ...policy, policy: "accept" }],
  rules: [{ family: "inet", table: "mine", chain: "forward", handle: 5, expr: expr as Record<string, unknown>[] }],
});
const toWeb = { match: { op: "==", left: { meta: { key: "oifname" } }, right: "tsn-1" } };
/** As nft shows that of iptables. */
const REJECT = { xt: { type: "target", name: "REJECT" } };
const port = { match: { op: "==", left: { payload: { protocol: "tcp", field: "dport" } }, right: 443 } };
const uplink = webWith({ parent: "up0", mode: "l2", mtu: 1500 });

const FAULTS: readonly (readonly [finding: string, change: Partial<FactValues>])[] = [
  ["tsnet-away: tsnet", { faults: { tsnet: "nobody listens" } }],
  ["tsnet-other-version: tsnet", tsnetWith({ version: "0.0.1" })],
  ["tsnet-failing: tsnet", { health: { status: "failed", version: "1", reason: "the disk is full" } }],
  ["state-disk-full: /var/lib/tsnet", diskWith({ freeBytes: 500 * 2 ** 20, totalBytes: 20 * 2 ** 30 })],
  ["state-disk-full: /var/lib/tsnet", diskWith({ freeInodes: 900 })],
  ["state-read-only: /var/lib/tsnet", diskWith({ isReadOnly: true })],
  ["engine-away: Docker", { faults: { engine: "nobody listens" } }],
  ["driver-unregistered: tsnet", { files: { ...SOUND.files, driverFiles: [] } }],
  ["network-unknown-to-tsnet: gone", engineNetworks({ id: STRAY, name: "gone" })],
  [
    `network-unknown-to-docker: ${STRAY.slice(0, 12)}`,
    tsnetWith({ networks: [...SOUND.tsnet.networks, network({ id: STRAY, subnets: [], endpoints: [] })] }),
  ],
  ["network-unfinished: web", webWith({ state: "removing" })],
  [`endpoint-unused: web ${endpointId(2).slice(0, 12)}`, unused()],
  [
    "pool-unused: 10.9.0.0/24",
    {
      pools: {
        ...SOUND.pools,
        pools: [...SOUND.pools.pools, { ...firstOf(SOUND.pools.pools), subnet: "10.9.0.0/24", addresses: [] }],
      },
    },
  ],
  [
    "address-leaked: 10.1.1.9",
    {
      pools: {
        ...SOUND.pools,
        pools: [{ ...firstOf(SOUND.pools.pools), addresses: [{ address: "10.1.1.9", use: "endpoint" }] }],
      },
    },
  ],
  ["program-missing: nft", { lacking: ["nft"] }],
  ["rp-filter-strict: 10.1.1.2", wayBack("wg0")],
  ["forwarding-off: net.ipv4.ip_forward", settingsWith(["ipv4.ip_forward", 0])],
  ["forwarding6-off: net.ipv6.conf.all.forwarding", webWith({ subnets: ["10.1.1.0/24", "fd00:1::/64"] })],
  [
    "foreign-drop: ip6 mine forward",
    {
      ...webWith({ subnets: ["10.1.1.0/24", "fd00:1::/64"] }),
      ...settingsWith(["ipv6.conf.all.forwarding", 1]),
      rules: { chains: [{ ...policy, family: "ip6" }], rules: [] },
    },
  ],
  [
    "firewalld-drop: tsn-+",
    { ...settingsWith(["bridge.bridge-nf-call-iptables", 0]), rules: firewalldRules("accept", "reject") },
  ],
  ["ufw-drop: tsn-+", { ...settingsWith(["bridge.bridge-nf-call-iptables", 0]), rules: ufwRules("drop", "accept") }],
  ["host-closed: firewalld", { rules: firewalldRules("reject", "accept") }],
  ["host-closed: ufw", { rules: ufwRules("accept", "drop") }],
  ["foreign-drop-some: inet mine forward handle 5", { rules: rule(toWeb, port, { drop: null }) }],
  [
    "bridged-drop: inet mine forward handle 5",
    { rules: rule({ match: { op: "==", left: { meta: { key: "iifname" } }, right: "tsn-1" } }, toWeb, { drop: null }) },
  ],
  [
    "legacy-drop: iptables-legacy FORWARD",
    { legacy: [{ family: 4, forwardPolicy: "DROP", acceptsMark: () => false }] },
  ],
  ["conntrack-full: net.netfilter.nf_conntrack_max", settingsWith(["netfilter.nf_conntrack_count", 91])],
  ["kernel-lacks: bridge VLAN filtering", { missing: ["bridge VLAN filtering"] }],
  ["subnet-overlaps-route: web", { routes: [...SOUND.routes, { dst: "10.1.0.0/23", dev: "wg0" }] }],
  ["switch-missing: tsn-1", { links: SOUND.links.filter(({ ifname }) => ifname !== "tsn-1") }],
  ["link-missing: box-2", { links: SOUND.links.filter(({ ifname }) => ifname !== "tsv2") }],
  ["uplink-missing: up0", uplink],
  ["uplink-down: up0", { ...uplink, ...linksWith("up0", { flags: [] }) }],
  ["uplink-no-carrier: up0", { ...uplink, ...linksWith("up0", { flags: ["UP", "NO-CARRIER"] }) }],
  [
    "uplink-address: up0",
    { ...uplink, ...linksWith("up0", { addr_info: [{ local: "192.0.2.9", prefixlen: 24, scope: "global" }] }) },
  ],
  ["mtu-beyond-uplink: up0", { ...uplink, ...linksWith("up0", { mtu: 1400 }) }],
  ["mtu-beyond-route: eth0", linksWith("eth0", { mtu: 1400 })],
  ["tunnel-no-route: 192.0.2.11", { tunnels: [{ networkId: WEB, link: "tsx1", kind: "vxlan", peer: "192.0.2.11" }] }],
  ["tunnel-mtu: 192.0.2.11", { tunnels: [{ ...firstOf(SOUND.tunnels), route: { dev: "eth0", mtu: 1549 } }] }],
  ["ovs-away: ovsdb-server", { ovs: { ...SOUND.ovs, fault: "connection refused", bridges: [] } }],
  ["ovs-silent: tsn-2", { ovs: { ...SOUND.ovs, silent: ["tsn-2"] } }],
  ["ovs-switch-missing: tsn-2", { ovs: { ...SOUND.ovs, bridges: [] } }],
  ["ovs-port-error: nosuch0", { ovs: { ...SOUND.ovs, interfaces: [row("nosuch0", { error: "No such device" })] } }],
  ["container-address-missing: box-2", insideWith({ addr_info: [] })],
  ["container-mac-differs: box-2", insideWith({ address: "02:00:00:00:00:99" })],
  ["container-mtu-differs: box-2", insideWith({ mtu: 1300 })],
  ["container-link-down: box-2", insideWith({ flags: [], addr_info: [] })],
  [
    "duplicate-address: 10.1.1.3",
    insideWith({ addr_info: [2, 3].map((n) => ({ local: `10.1.1.${n}`, prefixlen: 24, scope: "global" })) }),
  ],
  [
    "duplicate-mac: 02:42:0a:01:01:03",
    { ...webWith({ endpoints: [endpoint(2, { mac: "02:42:0a:01:01:03" }), endpoint(3)] }), containers: [] },
  ],
  ["link-orphaned: tsv9", { links: [...SOUND.links, link("tsv9", { ifalias: `tsnet:endpoint:${endpointId(9)}` })] }],
  ["switch-orphaned: tsn-9", { links: [...SOUND.links, link("tsn-9", { ifalias: `tsnet:network:${STRAY}` })] }],
  [
    "ovs-orphaned: stray0",
    {
      ovs: {
        ...SOUND.ovs,
        bridges: [...SOUND.ovs.bridges, row("stray0", { external_ids: { "tsnet-network": STRAY } })],
      },
    },
  ],
];

function engineNetworks(other: { id: string; name: string }): Partial<FactValues> {
  const { networks } = SOUND.engine;
  return { engine: { ...SOUND.engine, networks: [...networks, { ...firstOf(networks), ...other }] } };
}

/** An endpoint whose link's other end is on the host. */
function unused(): Partial<FactValues> {
  const { container: _container, ...rest } = endpoint(2);
  const links = SOUND.links.map(({ link_netnsid, ...other }) =>
    other.ifname === "tsv2" ? other : { ...other, link_netnsid: link_netnsid ?? 0 },
  );
  return { ...webWith({ endpoints: [rest, endpoint(3)] }), links };
}

function diskWith(change: Partial<typeof ROOMY>): Partial<FactValues> {
  return { health: { ...SOUND.health, disk: { ...ROOMY, ...change } } };
}

/** Where an answer to the first container would go. */
function wayBack(back: string): Partial<FactValues> {
  return { waysBack: [{ network: "web", link: "tsn-1", source: "10.1.1.2", back }] };
}

/** What is left of such rules where everything else is one zone. */
function firewalldRules(input: "accept" | "reject", forward: "accept" | "reject"): FactValues["rules"] {
  const own = { family: "inet", table: "firewalld" };
  const end = (verdict: string) => [verdict === "accept" ? { accept: null } : { reject: { type: "icmpx" } }];
  return {
    chains: [
      { ...own, name: "filter_INPUT", hook: "input", policy: "accept" },
      { ...own, name: "filter_FORWARD", hook: "forward", policy: "accept" },
    ],
    rules: [
      { ...own, chain: "filter_INPUT", handle: 1, expr: end(input) },
      { ...own, chain: "filter_FORWARD", handle: 2, expr: [toWeb, ...end(forward)] },
    ],
  };
}

function ufwRules(forward: "accept" | "drop", input: "accept" | "drop"): FactValues["rules"] {
  const own = { family: "ip", table: "filter" };
  return {
    chains: [
      { ...own, name: "INPUT", hook: "input", policy: input },
      { ...own, name: "FORWARD", hook: "forward", policy: "accept" },
      { ...own, name: "ufw-user-input" },
      { ...own, name: "ufw-reject-forward" },
    ],
    rules: [
      { ...own, chain: "FORWARD", handle: 3, expr: [{ jump: { target: "ufw-reject-forward" } }] },
      ...(forward === "accept" ? [] : [{ ...own, chain: "ufw-reject-forward", handle: 4, expr: [toWeb, REJECT] }]),
    ],
  };
}

const ATTACHED = {
  owner: { kind: "container", id: "c3", name: "box-3" },
  ifName: "eth1",
  hasDefaultRoute: false,
  routes: [],
  isOnce: false,
} as const;

describe("the checks of tsnet doctor", () => {
  it("find nothing on a sound host", () => {
    expect(examine(readingsOf(SOUND))).toEqual({ findings: [], notLookedAt: [] });
  });

  it.each(FAULTS)("name %s and nothing else", (finding, change) => {
    expect(named(factsWith(change))).toEqual([finding]);
  });

  it("name a damaged record, and call nothing nobody's beside it", () => {
    const stray = link("tsn-9", { ifalias: `tsnet:network:${STRAY}` });
    const facts = factsWith({
      ...tsnetWith({ damage: ["the record of network 1 is damaged"] }),
      links: [...SOUND.links, stray],
    });

    expect(named(facts)).toEqual(["record-damaged: records"]);
    const { notLookedAt } = examine(readingsOf(facts));
    expect(notLookedAt.map(({ id }) => id)).toEqual([
      "address-leaked",
      "link-orphaned",
      "switch-orphaned",
      "ovs-orphaned",
    ]);
  });

  it("all have a fault that is planted here, and ids and meanings of their own", () => {
    const ids = CHECKS.map(({ id }) => id);
    const planted = new Set([...FAULTS.map(([finding]) => finding.split(":")[0]), "record-damaged", "foreign-drop"]);

    expect(ids.filter((id) => !planted.has(id))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => !/^[a-z0-9]+(-[a-z0-9]+)+$/.test(id))).toEqual([]);
  });

  it("have those detached for whom a network is kept that is being removed, which Docker does not know any more", () => {
    const owners = [
      { kind: "container", id: "c3", name: "box-3" },
      { kind: "netns", id: "/run/netns/my lab", name: "/run/netns/my lab" },
      { kind: "pid", id: "4711", name: "pid 4711" },
    ] as const;
    const { container: _container, ...nobodys } = endpoint(4);
    const endpoints = owners.map((owner, at) => {
      return { ...(at === 0 ? endpoint(3) : nobodys), attachment: { ...ATTACHED, owner } };
    });
    const kept = network({ name: WEB.slice(0, 12), state: "removing", endpoints });

    const findings = examine(readingsOf(factsWith(tsnetWith({ networks: [kept] })))).findings;

    const mends = findings.flatMap(({ id, mend }) => (id === "network-unfinished" ? [mend] : []));
    expect(mends.join().split(" && ")).toEqual([
      `tsnet detach box-3 ${WEB.slice(0, 12)}`,
      `tsnet detach --netns '/run/netns/my lab' ${WEB.slice(0, 12)}`,
      `tsnet detach --pid 4711 ${WEB.slice(0, 12)}`,
    ]);
  });

  it("name two faults that are there at once, also in one container", () => {
    const facts = factsWith({
      ...insideWith({ mtu: 1300, address: "02:00:00:00:00:99" }),
      ...settingsWith(["ipv4.ip_forward", 0]),
    });

    expect(named(facts)).toEqual([
      "forwarding-off: net.ipv4.ip_forward",
      "container-mac-differs: box-2",
      "container-mtu-differs: box-2",
    ]);
  });

  it.each([
    [
      "an auxiliary address of the network",
      { networks: SOUND.engine.networks.map((each) => ({ ...each, auxAddresses: ["10.1.1.9"] })) },
    ],
    [
      "an address that a stopped container asked for",
      {
        places: [
          { ...firstOf(SOUND.engine.places), addresses: [], fixedAddresses: ["10.1.1.9"] },
          ...SOUND.engine.places.slice(1),
        ],
      },
    ],
    [
      "an address of a container of another driver",
      { places: [...SOUND.engine.places, { ...firstOf(SOUND.engine.places), addresses: ["10.1.1.9"] }] },
    ],
  ])("do not call %s leaked", (_what, change) => {
    const pool = firstOf(SOUND.pools.pools);
    const pools = {
      ...SOUND.pools,
      pools: [{ ...pool, addresses: [...pool.addresses, { address: "10.1.1.9", use: "endpoint" as const }] }],
    };

    expect(named(factsWith({ pools, engine: { ...SOUND.engine, ...change } }))).toEqual([]);
  });

  it.each([
    [
      "what was attached to a container that has stopped has no link",
      {
        ...webWith({ endpoints: [endpoint(2), endpoint(3, { attachment: ATTACHED })] }),
        links: SOUND.links.filter(({ ifname }) => ifname !== "tsv3"),
        containers: SOUND.containers.filter(({ name }) => name !== "box-3"),
      },
      [],
    ],
    [
      "an internal network needs no forwarding",
      { ...webWith({ isInternal: true }), ...settingsWith(["ipv4.ip_forward", 0]) },
      ["forwarding-off: net.ipv4.ip_forward"],
    ],
    [
      "a network without the host on it may have the subnet of a route",
      { ...webWith({ mode: "l2" }), routes: [...SOUND.routes, { dst: "10.1.1.0/24", dev: "eth0" }] },
      [],
    ],
    [
      "a small disk is not full because it is small",
      diskWith({ freeBytes: 40 * 2 ** 20, totalBytes: 64 * 2 ** 20 }),
      [],
    ],
    ["a disk without a limit of inodes has enough", diskWith({ freeInodes: 0, totalInodes: 0 }), []],
    ["a way back by the same link is no other one", wayBack("tsn-1"), []],
    ["the same address in two VLANs of a switch is no duplicate", twoVlans(), []],
    [
      "a plugin that is enabled needs no socket of its own",
      {
        files: { ...SOUND.files, driverFiles: [] },
        engine: { ...SOUND.engine, plugins: [{ name: "tsnet-plugin:latest", isEnabled: true }] },
      },
      [],
    ],
    [
      "a link that is a port of a used switch is no orphan",
      { links: [...SOUND.links, link("tsx1", { master: "tsn-1", ifalias: `tsnet:network:${STRAY}` })] },
      [],
    ],
    [
      "iptables-legacy with a rule for tsnet's mark drops nothing",
      {
        legacy: [
          { family: 4 as const, forwardPolicy: "DROP" as const, acceptsMark: (mark: number) => mark === 0x2000_0000 },
        ],
      },
      [],
    ],
  ])("know that %s", (_what, change, expected) => {
    expect(named(factsWith(change))).toEqual(expected);
  });

  it("say for what Open vSwitch cannot be asked where its programs are missing, and blame it for nothing", () => {
    const facts = factsWith({
      lacking: ["ovs-vsctl", "ovs-ofctl"],
      ovs: { ...SOUND.ovs, fault: "not found", bridges: [] },
    });
    const { findings, notLookedAt } = examine(readingsOf(facts));

    expect(findings.map(({ id, object, mend }) => [id, object, mend])).toEqual([
      ["program-missing", "ovs-vsctl", "apt-get install openvswitch-switch"],
      ["program-missing", "ovs-ofctl", "apt-get install openvswitch-switch"],
    ]);
    expect(notLookedAt).toEqual([
      { id: "ovs-away", why: "ovs-vsctl is not on this host" },
      { id: "ovs-silent", why: "ovs-ofctl is not on this host" },
    ]);
  });

  it("that lack a fact are listed with the reason, and the others run", () => {
    const { findings, notLookedAt } = examine(
      readingsOf(factsWith(settingsWith(["ipv4.ip_forward", 0])), { rules: "nft: not found" }),
    );

    expect(findings.map(({ id }) => id)).toEqual(["forwarding-off"]);
    expect(notLookedAt).toEqual(
      ["foreign-drop", "foreign-drop-some", "firewalld-drop", "ufw-drop", "host-closed", "bridged-drop"].map((id) => ({
        id,
        why: "nft: not found",
      })),
    );
  });

  it("count what is found in two looks only", () => {
    const first = examine(readingsOf(factsWith(insideWith({ mtu: 1300 }))));
    const second = examine(readingsOf(factsWith({ ...insideWith({ mtu: 1300 }), missing: ["a fast disk"] })));

    expect(confirm(first, second).findings.map(({ id }) => id)).toEqual(["container-mtu-differs"]);
  });
});

function twoVlans(): Partial<FactValues> {
  const both = [2, 3].map((n) => {
    const one = endpoint(n, { vlan: n * 100 });
    const addr_info = [{ local: "10.1.1.2", prefixlen: 24, scope: "global" }];
    return {
      name: `box-${n}`,
      network: network(),
      endpoint: { ...one, addresses: ["10.1.1.2/24"] },
      links: [inside(n, { addr_info })],
    };
  });
  return { containers: both };
}

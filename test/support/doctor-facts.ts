// A sound host as `tsnet doctor` sees it, made up: one network of each backend with a container each. Tests spoil parts of it.
import type { NamedEndpoint, NamedNetwork } from "../../src/cli/catalog.ts";
import type { FactName, FactValues, Facts } from "../../src/cli/doctor/facts.ts";
import type { HostLink } from "../../src/cli/host-links.ts";
import type { OvsRow } from "../../src/cli/doctor/ovs-facts.ts";
import { VERSION } from "../../src/version.ts";
import { endpointId, networkId } from "./cnm-builder.ts";

export const WEB = networkId(1);
export const FLOOR = networkId(2);

/** A disk with room, read and written. */
export const ROOMY = {
  directory: "/var/lib/tsnet",
  freeBytes: 50 * 2 ** 30,
  totalBytes: 100 * 2 ** 30,
  freeInodes: 1_000_000,
  totalInodes: 2_000_000,
  isReadOnly: false,
};

/** A link as ip(8) shows it. @param change - what is other than of a link that is up. */
export function link(ifname: string, change: Partial<HostLink> = {}): HostLink {
  return { ifname, mtu: 1500, flags: ["UP", "LOWER_UP"], address: "02:00:00:00:00:01", addr_info: [], ...change };
}

export function row(name: string, change: Partial<OvsRow> = {}): OvsRow {
  return { name, type: "", error: "", external_ids: {}, options: {}, ...change };
}

export function endpoint(n: number, change: Partial<NamedEndpoint> = {}): NamedEndpoint {
  return {
    id: endpointId(n),
    state: "joined",
    addresses: [`10.1.1.${n}/24`],
    mac: `02:42:0a:01:01:0${n}`,
    mtu: 1500,
    hostLink: `tsv${n}`,
    ports: [],
    container: { id: `c${n}`, name: `box-${n}` },
    ...change,
  };
}

export function network(change: Partial<NamedNetwork> = {}): NamedNetwork {
  return {
    id: WEB,
    name: "web",
    state: "ready",
    mode: "nat",
    isInternal: false,
    backend: "bridge",
    switch: "tsn-1",
    mtu: 1500,
    ifPrefix: "eth",
    subnets: ["10.1.1.0/24"],
    icc: true,
    antispoof: true,
    endpoints: [endpoint(2), endpoint(3)],
    ...change,
  };
}

/** The container's own links. */
export function inside(n: number, change: Partial<HostLink> = {}): HostLink {
  const addr_info = [{ local: `10.1.1.${n}`, prefixlen: 24, scope: "global" }];
  return link("eth0", { address: `02:42:0a:01:01:0${n}`, addr_info, ...change });
}

/** The facts of a sound host. @param change - what is other than sound. */
export function factsWith(change: Partial<FactValues> = {}): FactValues {
  const web = network();
  const floor = network({
    id: FLOOR,
    name: "floor",
    backend: "ovs",
    switch: "tsn-2",
    subnets: ["10.1.2.0/24"],
    endpoints: [],
  });
  const place = (n: number) => ({
    networkId: WEB,
    endpointId: endpointId(n),
    container: { id: `c${n}`, name: `box-${n}` },
    addresses: [`10.1.1.${n}`],
    fixedAddresses: [],
  });
  const ofEngine = { driver: "tsnet", ipamDriver: "tsnet", auxAddresses: [] };
  return {
    faults: {},
    tsnet: { version: VERSION, damage: [], networks: [web, floor] },
    health: { status: "ok", version: VERSION, disk: ROOMY },
    pools: {
      version: VERSION,
      isComplete: true,
      pools: [
        {
          id: "pool",
          addressSpace: "tsnet",
          segment: "",
          subnet: "10.1.1.0/24",
          used: 3,
          free: "251",
          addresses: [
            { address: "10.1.1.1", use: "gateway" },
            { address: "10.1.1.2", use: "endpoint" },
            { address: "10.1.1.3", use: "endpoint" },
          ],
        },
      ],
    },
    engine: {
      networks: [
        { ...ofEngine, id: WEB, name: "web", subnets: ["10.1.1.0/24"] },
        { ...ofEngine, id: FLOOR, name: "floor", subnets: ["10.1.2.0/24"] },
        { ...ofEngine, id: "b".repeat(64), name: "bridge", driver: "bridge", subnets: ["172.17.0.0/16"] },
      ],
      places: [place(2), place(3)],
      plugins: [],
    },
    links: [
      link("eth0"),
      link("tsn-1", { ifalias: `tsnet:network:${WEB}` }),
      link("tsg2", { ifalias: `tsnet:network:${FLOOR}` }),
      link("tsv2", { ifalias: `tsnet:endpoint:${endpointId(2)}`, master: "tsn-1", link_netnsid: 0 }),
      link("tsv3", { ifalias: `tsnet:endpoint:${endpointId(3)}`, master: "tsn-1", link_netnsid: 1 }),
    ],
    routes: [
      { dst: "default", dev: "eth0" },
      { dst: "192.0.2.0/24", dev: "eth0" },
      { dst: "10.1.1.0/24", dev: "tsn-1" },
      { dst: "10.1.2.0/24", dev: "tsg2" },
    ],
    files: {
      settings: new Map([
        ["ipv4.ip_forward", 1],
        ["ipv6.conf.all.forwarding", 0],
        ["bridge.bridge-nf-call-iptables", 1],
        ["netfilter.nf_conntrack_count", 10],
        ["netfilter.nf_conntrack_max", 100],
      ]),
      driverFiles: ["/run/docker/plugins/tsnet.sock"],
      strictLinks: new Set(),
      programs: new Set([
        "ip",
        "bridge",
        "nft",
        "nsenter",
        "unshare",
        "sysctl",
        "ovs-vsctl",
        "ovs-ofctl",
        "ovs-appctl",
        "apt-get",
      ]),
    },
    missing: [],
    lacking: [],
    waysBack: [],
    rules: { chains: [], rules: [] },
    legacy: [],
    ovs: {
      bridges: [row("tsn-2", { external_ids: { "tsnet-network": FLOOR } })],
      ports: [row("tsg2", { external_ids: { "tsnet-network": FLOOR } })],
      interfaces: [row("tsg2", { type: "internal" })],
      silent: [],
    },
    tunnels: [{ networkId: WEB, link: "tsx1", kind: "vxlan", peer: "192.0.2.11", route: { dev: "eth0", mtu: 1550 } }],
    containers: [2, 3].map((n) => ({ name: `box-${n}`, network: web, endpoint: endpoint(n), links: [inside(n)] })),
    ...change,
  };
}

/** The same as they come from the readers. @param why - of the facts that could not be read. */
export function readingsOf(values: FactValues, why: Partial<Record<FactName, string>> = {}): Facts {
  const entries = Object.entries(values).map(([name, value]) => [name, { value }]);
  const missing = Object.entries(why).map(([name, reason]) => [name, { why: reason }]);
  return Object.fromEntries([...entries, ...missing]) as Facts; // every fact is in `values`
}

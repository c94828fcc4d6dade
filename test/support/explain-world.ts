// A host as `tsnet explain` sees it, as plain data in which a test plants faults:
//
//   outside 192.0.2.1 --- eth0 192.0.2.10  host  blue0 10.1.0.1 --- tsva a 10.1.0.2, publishes 8080 to 80
//                                                               --- tsvb b 10.1.0.3
//                                               green0 10.2.0.1 --- tsvc c 10.2.0.2
//                         eth1 uplink of lan0, VLAN 10: e 10.3.0.2; VLAN 20: f 10.3.0.3     (Open vSwitch, mode l2)
//   192.0.2.20 === tsx1 tunnel of wide0 --- tsvd d 10.4.0.2, gateway 10.4.0.1
import type { NamedNetwork } from "../../src/cli/catalog.ts";
import { contains, parseAddress, parseSubnet } from "../../src/cidr.ts";
import type { Container, Facts } from "../../src/cli/explain/facts.ts";
import type { Trace } from "../../src/cli/explain/hop.ts";
import { type Host, type Link, type Machine, type Neighbour, linkWith } from "../../src/cli/explain/machine.ts";
import { type Sender, explainPath } from "../../src/cli/explain/path.ts";
import type { Json } from "../../src/cli/rule-expression.ts";
import { Ruleset } from "../../src/cli/explain/ruleset.ts";
import type { FdbEntry, OvsPort, PortVlan } from "../../src/cli/explain/switching.ts";
import type { EndpointId } from "../../src/cnm/endpoint.ts";
import type { NetworkId } from "../../src/cnm/network.ts";
import type { ListeningSocket } from "../../src/host/listening-sockets.ts";
import { LINK_GROUP } from "../../src/link-group.ts";

/** The same without `readonly`, for who plants faults. */
export type Draft<Type> = Type extends string | number | boolean | undefined
  ? Type
  : Type extends readonly (infer Item)[]
    ? Draft<Item>[]
    : Type extends object
      ? { -readonly [Key in keyof Type]: Draft<Type[Key]> }
      : Type;

/** One route; the longest prefix wins. */
export interface PlannedRoute {
  to: string;
  link: string;
  via?: string;
  source?: string;
}

/** A machine. */
export interface PlannedMachine {
  links: Draft<Link>[];
  neighbours: Draft<Neighbour>[];
  rules: Json[];
  sockets: Draft<ListeningSocket>[];
  routes: PlannedRoute[];
}

/** All of it. */
export interface World {
  networks: Draft<NamedNetwork>[];
  host: PlannedMachine & { forwards: Record<string, boolean>; strict: string[]; callsRules: boolean };
  fdb: Draft<FdbEntry>[];
  vlans: Record<string, Draft<PortVlan>[]>;
  ovs: Draft<OvsPort>[] | string;
  /** What a switch of Open vSwitch answers; a frame goes out by every port unless a test says otherwise. */
  traceFlow: Facts["traceFlow"];
  containers: Record<string, PlannedMachine & { isRunning: boolean }>;
}

const MACS = { a: 2, b: 3, c: 4, d: 5, e: 6, f: 7 } as const;
type Name = keyof typeof MACS;

const macOf = (name: Name) => `02:42:00:00:00:0${MACS[name]}`;

/** The host where everything is in order. */
export function makeWorld(): World {
  const containers = Object.fromEntries(
    (
      [
        ["a", "10.1.0.2", "10.1.0.1"],
        ["b", "10.1.0.3", "10.1.0.1"],
        ["c", "10.2.0.2", "10.2.0.1"],
        ["d", "10.4.0.2", "10.4.0.1"],
        ["e", "10.3.0.2", "10.3.0.1"],
        ["f", "10.3.0.3", "10.3.0.1"],
      ] as const
    ).map(([name, address, gateway]) => [name, containerOf(name, address, gateway)]),
  );
  const port = (name: Name, master?: string) => {
    const onBridge = master === undefined ? {} : { master, portState: "forwarding" };
    return linkOf(`tsv${name}`, 20 + MACS[name], [], { kind: "veth", group: LINK_GROUP, ...onBridge });
  };
  const bridge = (name: string, index: number, address: string) => {
    return linkOf(name, index, [[address, 24]], {
      kind: "bridge",
      group: LINK_GROUP,
      hasVlans: false,
      callsRules: false,
    });
  };
  return {
    networks: [
      networkOf("blue", "blue0", "10.1.0.0/24", ["a", "10.1.0.2"], ["b", "10.1.0.3"]),
      networkOf("green", "green0", "10.2.0.0/24", ["c", "10.2.0.2"]),
      networkOf("wide", "wide0", "10.4.0.0/24", ["d", "10.4.0.2"]),
      { ...networkOf("ten", "lan0", "10.3.0.0/24", ["e", "10.3.0.2"]), ...lan(10) },
      { ...networkOf("twenty", "lan0", "10.3.0.0/24", ["f", "10.3.0.3"]), ...lan(20) },
    ].map((network) => ({
      ...network,
      endpoints: network.endpoints.map((each) => ({
        ...each,
        ...(network.vlan !== undefined && { vlan: network.vlan }),
      })),
    })),
    host: {
      links: [
        linkOf("lo", 1, [["127.0.0.1", 8]], {}),
        linkOf("eth0", 2, [["192.0.2.10", 24]], { mtu: 1550 }),
        linkOf("eth1", 3, [], {}),
        bridge("blue0", 4, "10.1.0.1"),
        bridge("green0", 5, "10.2.0.1"),
        bridge("wide0", 6, "10.4.0.1"),
        port("a", "blue0"),
        port("b", "blue0"),
        port("c", "green0"),
        port("d", "wide0"),
        port("e"),
        port("f"),
        linkOf("tsx1", 40, [], { kind: "vxlan", master: "wide0", group: LINK_GROUP }),
      ],
      neighbours: [],
      rules: rulesOfHost(),
      sockets: [22, 8080].map((number) => ({ protocol: "tcp", address: "0.0.0.0", port: number })),
      routes: [
        { to: "10.1.0.0/24", link: "blue0", source: "10.1.0.1" },
        { to: "10.2.0.0/24", link: "green0", source: "10.2.0.1" },
        { to: "10.4.0.0/24", link: "wide0", source: "10.4.0.1" },
        { to: "192.0.2.0/24", link: "eth0", source: "192.0.2.10" },
        { to: "0.0.0.0/0", link: "eth0", via: "192.0.2.1", source: "192.0.2.10" },
      ],
      forwards: {},
      strict: [],
      callsRules: true,
    },
    fdb: [
      { mac: macOf("a"), link: "tsva", master: "blue0", state: "static" },
      { mac: macOf("b"), link: "tsvb", master: "blue0", state: "static" },
      { mac: macOf("c"), link: "tsvc", master: "green0", state: "static" },
      { mac: macOf("d"), link: "tsvd", master: "wide0", state: "static" },
      { mac: "00:00:00:00:00:00", link: "tsx1", remote: "192.0.2.20", state: "permanent" },
    ],
    vlans: {},
    ovs: [
      { name: "tsve", bridge: "lan0", tag: 10, kind: "", isUserspace: true, remotes: [] },
      { name: "tsvf", bridge: "lan0", tag: 20, kind: "", isUserspace: true, remotes: [] },
      { name: "eth1", bridge: "lan0", kind: "", isUserspace: true, remotes: [] },
    ],
    traceFlow: async () => "Datapath actions: tsve,tsvf,eth1,lan0",
    containers,
  };
}

/** What explain says in that world. @param to - address, or container. */
export async function explainIn(world: World, from: string, to: string, port?: number): Promise<Trace> {
  const facts = factsOf(world);
  const found = world.networks.flatMap(({ endpoints }) => endpoints).find(({ container }) => container?.name === to);
  const address = found?.addresses[0]?.split("/")[0] ?? to;
  const sender: Sender =
    from === "host" || from === "outside"
      ? { kind: from }
      : { kind: "container", container: containerIn(world, facts, from) };
  return await explainPath(facts, {
    from: sender,
    to: address,
    protocol: port === undefined ? "icmp" : "tcp",
    ...(port !== undefined && { port }),
  });
}

/** A drop in a chain of somebody else's. */
export function foreignDrop(family: string, hook: string, match: Json): Json[] {
  const place = { family, table: "own" };
  return [
    { chain: { ...place, name: hook, type: "filter", hook, prio: 0, policy: "accept" } },
    { rule: { ...place, chain: hook, handle: 7, expr: [{ match }, { drop: null }] } },
  ];
}

/** The link of that name. */
export function linkIn({ links }: PlannedMachine, name: string): Draft<Link> {
  const found = links.find((link) => link.name === name);
  if (found === undefined) throw new Error(`no link ${name}`);
  return found;
}

/** The container of that name. */
export function machineOf(world: World, name: Name): World["containers"][string] {
  const found = world.containers[name];
  if (found === undefined) throw new Error(`no container ${name}`);
  return found;
}

/** The network of that name. */
export function networkIn(world: World, name: string): World["networks"][number] {
  const found = world.networks.find((network) => network.name === name);
  if (found === undefined) throw new Error(`no network ${name}`);
  return found;
}

function factsOf(world: World): Facts {
  const { host, fdb, vlans, ovs, networks } = world;
  const seen: Host = {
    ...machineFrom(host),
    isForwarding: (_family, link) => host.forwards[link] ?? true,
    reversePathFilter: (link) => (host.strict.includes(link) ? 1 : 0),
    bridgesCallRules: () => host.callsRules,
  };
  const facts: Facts = {
    networks,
    host: seen,
    switching: { fdb, vlans: new Map(Object.entries(vlans)), ovs },
    traceFlow: world.traceFlow,
    openContainer: async ({ container }) =>
      container === undefined ? undefined : containerIn(world, facts, container.name),
  };
  return facts;
}

function containerIn(world: World, { networks }: Pick<Facts, "networks">, name: string): Container {
  const planned = world.containers[name];
  if (planned === undefined) throw new Error(`no container ${name}`);
  const places = networks.flatMap((network) =>
    network.endpoints.filter(({ container }) => container?.name === name).map((endpoint) => ({ network, endpoint })),
  );
  return { name, enter: `in ${name}:`, places, ...(planned.isRunning && { machine: machineFrom(planned) }) };
}

function machineFrom({ links, neighbours, rules, sockets, routes }: PlannedMachine): Machine {
  const isUsable = (name: string) => links.find((link) => link.name === name)?.isUp === true;
  return {
    links,
    neighbours,
    rules: new Ruleset(rules),
    sockets,
    findRoute: async ({ to }) => {
      if (linkWith({ links }, to) !== undefined) return { link: "lo", source: to, isLocal: true };
      const fitting = routes.filter(
        (route) => isUsable(route.link) && contains(parseSubnet(route.to), parseAddress(to)),
      );
      const [best] = fitting.toSorted((one, other) => Number(other.to.split("/")[1]) - Number(one.to.split("/")[1]));
      if (best === undefined) return "network is unreachable";
      const { link, via, source } = best;
      return { link, isLocal: false, ...(via !== undefined && { via }), ...(source !== undefined && { source }) };
    },
  };
}

function containerOf(name: Name, address: string, gateway: string): World["containers"][string] {
  const eth0 = linkOf("eth0", 2, [[address, 24]], { kind: "veth", mac: macOf(name), peerIndex: 20 + MACS[name] });
  return {
    isRunning: true,
    links: [linkOf("lo", 1, [["127.0.0.1", 8]], {}), eth0],
    neighbours: [],
    rules: [],
    sockets: [{ protocol: "tcp", address: "0.0.0.0", port: 80 }],
    routes: [
      { to: address.replace(/\d+$/, "0/24"), link: "eth0", source: address },
      { to: "0.0.0.0/0", link: "eth0", via: gateway, source: address },
    ],
  };
}

function linkOf(
  name: string,
  index: number,
  addresses: readonly (readonly [string, number])[],
  more: Partial<Draft<Link>>,
): Draft<Link> {
  return {
    name,
    index,
    mac: `02:00:00:00:00:${index.toString(16).padStart(2, "0")}`,
    mtu: 1500,
    isUp: true,
    hasCarrier: true,
    group: 0,
    addresses: addresses.map(([address, prefixLength]) => ({ address, prefixLength })),
    kind: "",
    ...more,
  };
}

function networkOf(
  name: string,
  switchName: string,
  subnet: string,
  ...endpoints: readonly (readonly [Name, string])[]
): World["networks"][number] {
  return {
    id: name as NetworkId, // of the right form nowhere needed here
    name,
    state: "ready",
    mode: "nat",
    isInternal: false,
    backend: "bridge",
    switch: switchName,
    mtu: 1500,
    subnets: [subnet],
    icc: true,
    antispoof: true,
    ifPrefix: "eth",
    endpoints: endpoints.map(([container, address]) => ({
      id: container as EndpointId, // as above
      state: "joined",
      addresses: [`${address}/24`],
      mac: macOf(container),
      mtu: 1500,
      hostLink: `tsv${container}`,
      ports: container === "a" ? [{ protocol: "tcp", hostAddress: "", hostPort: 8080, containerPort: 80 }] : [],
      container: { id: container, name: container },
    })),
  };
}

function lan(vlan: number) {
  return { mode: "l2", backend: "ovs", vlan, parent: "eth1" } as const;
}

const BLUE = { concat: ["blue0", { prefix: { addr: "10.1.0.0", len: 24 } }] };
const GREEN = { concat: ["green0", { prefix: { addr: "10.2.0.0", len: 24 } }] };
const meta = (key: string) => ({ meta: { key } });
const ip = (field: string) => ({ payload: { protocol: "ip", field } });
const is = (left: unknown, right: unknown) => ({ match: { op: "==", left, right } });

/** The main lines of tsnet's own tables (`nat/table-inet.ts`), and a policy like the engine's. */
function rulesOfHost(): Json[] {
  const place = { family: "inet", table: "tsnet" };
  const chain = (name: string, type: string, hook: string, prio: number) => ({
    chain: { ...place, name, type, hook, prio, policy: "accept" },
  });
  let handle = 0;
  const rule = (name: string, ...expr: readonly Json[]) => ({
    rule: { ...place, chain: name, handle: ++handle, expr },
  });
  const out = { concat: [meta("oifname"), ip("daddr")] };
  const from = { concat: [meta("iifname"), ip("saddr")] };
  const admit = { goto: { target: "admit" } };
  const published = { concat: [meta("l4proto"), { payload: { protocol: "th", field: "dport" } }] };
  const bit = 0x2000_0000;
  return [
    chain("translate", "nat", "prerouting", -100),
    chain("forward", "filter", "forward", -10),
    chain("leave", "nat", "postrouting", 100),
    { chain: { ...place, name: "admit" } },
    { chain: { ...place, name: "publish" } },
    { set: { ...place, name: "pools4", elem: [BLUE, GREEN] } },
    {
      set: { ...place, name: "bridged", elem: ["blue0", "green0", "wide0"].map((name) => ({ concat: [name, name] })) },
    },
    { set: { ...place, name: "published4", elem: [{ concat: ["blue0", "10.1.0.2", "tcp", 80] }] } },
    { map: { ...place, name: "any4", elem: [[{ concat: ["tcp", 8080] }, { concat: ["10.1.0.2", 80] }]] } },
    rule("translate", is({ fib: { result: "type", flags: ["daddr"] } }, "local"), { jump: { target: "publish" } }),
    rule("publish", { dnat: { family: "ip", addr: { map: { key: published, data: "@any4" } } } }),
    rule("forward", is({ concat: [meta("iifname"), meta("oifname")] }, "@bridged"), admit),
    rule(
      "forward",
      is({ concat: [...out.concat, ...published.concat] }, "@published4"),
      { match: { op: "in", left: { ct: { key: "status" } }, right: "dnat" } },
      admit,
    ),
    rule("forward", is(out, "@pools4"), { drop: null }),
    rule("forward", is(from, "@pools4"), admit),
    rule("admit", { mangle: { key: meta("mark"), value: { "|": [meta("mark"), bit] } } }, { accept: null }),
    rule("leave", is(from, "@pools4"), { masquerade: null }),
    {
      chain: {
        family: "ip",
        table: "filter",
        name: "FORWARD",
        type: "filter",
        hook: "forward",
        prio: 0,
        policy: "drop",
      },
    },
    {
      rule: {
        family: "ip",
        table: "filter",
        chain: "FORWARD",
        handle: 90,
        expr: [is({ "&": [meta("mark"), bit] }, bit), { accept: null }],
      },
    },
  ];
}

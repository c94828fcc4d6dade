// A host with networks on one switch and a listener at every place where a frame of theirs could come out:
//
//   containers a1, a2, b1, ...    a namespace each, in which the endpoint's free end is `eth0`
//   uplink                        a neighbour namespace at the other end of the switch's uplink
//   gateway 100, ...              the host's own link into a VLAN
//
// `send` sends one frame from one of them and tells where it came out and with which tags. That it came out nowhere else is
// known by other frames: the sender's next one has arrived by then, and one from elsewhere at each of the places.
import type { Endpoint } from "../../src/cnm/endpoint.ts";
import type { Network } from "../../src/cnm/network.ts";
import { hostLinkName } from "../../src/cnm/names.ts";
import type { PortVlans } from "../../src/vlan.ts";
import { endpoint, ifName, network, networkId } from "./cnm-builder.ts";
import { FrameSocket } from "./frame-capture.ts";
import { NetNamespace } from "./namespace.ts";
import { shell } from "./packet-lab.ts";
import { PATIENCE, type VlanHost } from "./vlan-host.ts";
import { type ProbeWords, type Sender, formatTags, macOf, probe, tagsOf } from "./vlan-probe.ts";
import { waitUntil } from "./wait-until.ts";

export const SWITCH = ifName("vsw0");
export const PARENT = ifName("up0");
const UPLINK: Sender = { mac: "02:00:00:00:fe:01", address: "192.0.2.1" };
/** What MAC addresses of containers (cnm-builder.ts) and neighbours begin with. */
const OF_TESTS = ["02:42:0a:01:", "02:00:00:00:fe:"];
/** Stands for the untagged network inside the switch. */
const UNTAGGED = 0;
const LIMIT_MS = 3000 * PATIENCE;
const RESEND_MS = 100 * PATIENCE;

/** Where a frame came out, and its tags there as `formatTags` says them. Twice at one place: `100, 100`. */
export type Sightings = Readonly<Record<string, string>>;

/** A place where frames come out. */
export interface Station extends Sender {
  readonly name: string;
  readonly socket: FrameSocket;
  readonly namespace: NetNamespace;
  /** What may come out there. */
  readonly wire: () => Wire;
  readonly isGateway?: boolean;
}

/** How a container is placed. */
export interface Place {
  /** Some of the network's; default: all of them. */
  readonly vlans?: PortVlans;
  /** `10.9.0.1/24`; default: one of the network's number. */
  readonly address?: string;
  /** Default: one of its own. */
  readonly namespace?: NetNamespace;
}

/** A container's. */
export interface Container extends Station {
  readonly network: Network;
  readonly endpoint: Endpoint;
}

/** All of it. Disposing of it takes it down, the host as well. */
export class VlanStage implements AsyncDisposable {
  readonly host: VlanHost;
  readonly neighbour: NetNamespace;
  /** In the order in which they came. */
  networks: readonly Network[] = [];
  readonly #stations = new Map<string, Station>();
  readonly #strangers = new Set<string>();
  readonly #gatewayMacs = new Set<string>();
  readonly #stack: AsyncDisposableStack;

  private constructor(host: VlanHost, neighbour: NetNamespace, stack: AsyncDisposableStack) {
    [this.host, this.neighbour, this.#stack] = [host, neighbour, stack];
  }

  /** With the cable for the uplink, and no network yet. */
  static async up(makeHost: () => Promise<VlanHost>): Promise<VlanStage> {
    await using stack = new AsyncDisposableStack();
    const host = stack.use(await makeHost());
    const neighbour = stack.use(await NetNamespace.create("neighbour"));
    await shell(host.namespace, [
      `ip link add ${PARENT} type veth peer name lan0 netns ${neighbour.name}`,
      `sysctl -qw net.ipv6.conf.${PARENT}.disable_ipv6=1`, // the host itself says nothing on this wire
      `ip link set ${PARENT} up`,
    ]);
    await shell(neighbour, ["sysctl -qw net.ipv6.conf.lan0.disable_ipv6=1", "ip link set lan0 up"]);
    const stage = new VlanStage(host, neighbour, stack.move());
    const socket = FrameSocket.open(neighbour, "lan0");
    stage.#add({ ...UPLINK, name: "uplink", socket, namespace: neighbour, wire: () => stage.#uplinkWire() });
    return stage;
  }

  /** A network on the stage's switch, with the uplink unless `more` says otherwise; not made yet. */
  plan(n: number, vlans: PortVlans, more: Partial<Network> = {}): Network {
    const { backend, datapathType } = this.host;
    const fixed = { backend, datapathType, switchName: SWITCH, vlans, hostLink: hostLinkName(backend, SWITCH, vlans) };
    const uplink = { parent: PARENT, isAddressMoved: false };
    return network(n, { ...fixed, uplink, isGuarded: vlans.trunk === undefined, mode: "l2", ...more });
  }

  /** Makes a network as tsnet does (cnm/driver.ts), and listens at its gateway if the host has one. */
  async make(wanted: Network): Promise<void> {
    const { datapath, firewall } = this.host;
    await datapath.check(wanted, this.networks);
    await firewall.check(wanted);
    await datapath.ensureNetwork(wanted, this.networks);
    this.networks = [...this.networks, wanted];
    await this.#applyRules();
    if (!wanted.isHostOnSwitch) return;
    const name = `gateway ${wanted.vlans.vlan ?? "untagged"}`;
    const { namespace } = this.host;
    // Not promiscuous: a bridge that is hands the host every frame that nobody has asked for.
    const socket = FrameSocket.open(namespace, wanted.hostLink, { isPromiscuous: false });
    const address = wanted.pools[0]?.gateway ?? "";
    const mac = (await this.macsOfHost()).get(wanted.hostLink) ?? "";
    const wire = () => new Map([[wanted.vlans.vlan ?? UNTAGGED, []]]);
    this.#add({ name, socket, namespace, wire, mac, address, isGateway: true });
  }

  /** Removes a network whose containers have gone. */
  async unmake(unwanted: Network): Promise<void> {
    this.#drop(`gateway ${unwanted.vlans.vlan ?? "untagged"}`);
    this.networks = this.networks.filter(({ id }) => id !== unwanted.id);
    await this.host.datapath.removeNetwork(unwanted, this.networks);
    await this.#applyRules();
  }

  /** A container on a network, as the engine makes it of the free end. @param n - 1 to 9: which of the network's. */
  async attach(name: string, to: Network, n: number, place: Place = {}): Promise<Container> {
    const on = [1, 2, 3, 4, 5, 6, 7, 8, 9].find((each) => networkId(each) === to.id) ?? 0;
    const { vlans = to.vlans, address } = place;
    const attached = endpoint(on * 10 + n, on, { vlans, ...(address !== undefined && { address }) });
    const others = this.networks.filter(({ id }) => id !== to.id);
    await this.host.firewall.ensureEndpoint({ network: to, endpoint: attached, ports: [] });
    const free = await this.host.datapath.attach(to, attached, others);
    const namespace = place.namespace ?? (await this.machine(name));
    await shell(this.host.namespace, [
      `ip link set ${free} netns ${namespace.name}`,
      `ip -n ${namespace.name} link set ${free} name eth0 address ${attached.mac} up`,
    ]);
    const [bare = ""] = attached.address?.split("/") ?? [];
    const socket = FrameSocket.open(namespace, "eth0");
    const station = { name, socket, namespace, wire: () => wireOf(vlans), mac: attached.mac, address: bare };
    const container = { ...station, network: to, endpoint: attached };
    this.#add(container);
    return container;
  }

  /** A namespace for containers that outlives them. Its links send what the test sends, and nothing else. */
  async machine(name: string): Promise<NetNamespace> {
    const namespace = this.#stack.use(await NetNamespace.create(name.replaceAll(" ", "-")));
    await shell(namespace, ["sysctl -qw net.ipv6.conf.default.disable_ipv6=1"]);
    return namespace;
  }

  /** Puts a container's port back into the switch that has lost it. */
  async putBack(name: string): Promise<void> {
    const { network, endpoint } = this.#container(name);
    await this.host.datapath.reattach(network, endpoint);
  }

  /** Takes a container away. */
  async detach(name: string): Promise<void> {
    const { network, endpoint } = this.#container(name);
    await this.host.datapath.detach(endpoint);
    await this.host.firewall.removeEndpoint({ network, endpoint, ports: [] });
    this.#drop(name);
  }

  /** @throws Error for a name that is not there. */
  station(name: string): Station {
    const found = this.#stations.get(name);
    if (found === undefined) throw new Error(`nobody is called ${name}`);
    return found;
  }

  /** Sends a frame that the sender's own stack could have sent, and waits until it has come out wherever it does. */
  async send(from: string, words: ProbeWords = {}): Promise<Sightings> {
    this.begin();
    const trace = this.cast(from, words);
    await this.settle(this.station(from));
    return this.sightings(trace);
  }

  /** Sends it and does not wait. @returns what no other frame contains. */
  cast(from: string, words: ProbeWords = {}): Buffer {
    const sender = this.station(from);
    const { frame, trace } = probe(sender, words);
    sender.socket.send(frame);
    return trace;
  }

  /** Forgets what was heard, but for tags that do not belong where they came out. */
  begin(): void {
    for (const { name, socket, wire } of this.#stations.values()) {
      const permitted = new Set([...wire().values()].map(formatTags));
      for (const frame of socket.heard()) {
        const tags = tagsOf(frame);
        const from = macOf(frame);
        const isKnown = OF_TESTS.some((start) => from.startsWith(start)) || this.#gatewayMacs.has(from);
        if (isKnown && permitted.has(formatTags(tags.slice(0, 1)))) continue;
        this.#strangers.add(`${name}: ${formatTags(tags)} from ${from}`);
      }
      socket.forget();
    }
  }

  /** Where frames with this in them came out since `begin`. */
  sightings(trace: Buffer): Sightings {
    const found = [...this.#stations.values()].flatMap(({ name, socket }) => {
      const frames = socket.heard().filter((frame) => frame.includes(trace));
      return frames.length === 0 ? [] : [[name, frames.map((frame) => formatTags(tagsOf(frame))).join(", ")] as const];
    });
    return Object.fromEntries(found);
  }

  /**
   * What was heard since the last call and does not belong where it came out: a frame with a tag that is not of that place,
   * or one that none of the containers, gateways and neighbours has sent: `a1: 100 from 02:42:0a:01:02:0c`.
   */
  strangers(): readonly string[] {
    this.begin();
    const found = [...this.#strangers].sort();
    this.#strangers.clear();
    return found;
  }

  /** Waits until what was sent before has come out. @param sender - of what was sent. */
  async settle(sender?: Station): Promise<void> {
    const uplinkOrPeer = (of: Station) => [...this.#stations.values()].find((other) => this.#canCall(other, of));
    const first = sender === undefined ? undefined : uplinkOrPeer(sender);
    if (sender !== undefined && first !== undefined) await this.#hears(first, sender);
    const calls = [...this.#stations.values()].flatMap((listener) => {
      const caller = uplinkOrPeer(listener);
      return caller === undefined ? [] : [this.#hears(listener, caller)];
    });
    await Promise.all(calls);
  }

  #container(name: string): Container {
    const found = this.#containers().find((each) => each.name === name);
    if (found === undefined) throw new Error(`no container is called ${name}`);
    return found;
  }

  #containers(): readonly Container[] {
    return [...this.#stations.values()].flatMap((each) => ("endpoint" in each ? [each as Container] : [])); // they alone have one
  }

  async #applyRules(): Promise<void> {
    const endpoints = this.#containers().map(({ network: of, endpoint: one }) => ({
      network: of,
      endpoint: one,
      ports: [],
    }));
    await this.host.firewall.apply({ networks: this.networks, endpoints });
  }

  #canCall(caller: Station, listener: Station): boolean {
    return caller !== listener && caller.isGateway !== true && this.#common(caller, listener) !== undefined;
  }

  /** Waits until one station hears a frame of another one. */
  async #hears(listener: Station, caller: Station): Promise<void> {
    const vid = this.#common(caller, listener);
    const { frame, trace } = probe(caller, { tags: caller.wire().get(vid ?? UNTAGGED) ?? [] });
    let nextAt = 0;
    const isHeard = () => {
      if (Date.now() >= nextAt) {
        caller.socket.send(frame);
        nextAt = Date.now() + RESEND_MS;
      }
      return listener.socket.count(trace) > 0;
    };
    await waitUntil(`${listener.name} to hear ${caller.name}`, isHeard, { limitMs: LIMIT_MS, intervalMs: 1 });
  }

  #common(one: Station, other: Station): number | undefined {
    const others = other.wire();
    return [...one.wire().keys()].find((vid) => others.has(vid));
  }

  /** What the uplink carries, as the networks stand. */
  #uplinkWire(): Wire {
    const users = this.networks.filter(({ uplink }) => uplink !== undefined);
    const vids = users.flatMap(({ vlans }) => [...wireOf(vlans).keys()]);
    return new Map(vids.map((vid) => [vid, vid === UNTAGGED ? [] : [vid]]));
  }

  /** The MAC addresses of the host's links, by their names. */
  async macsOfHost(): Promise<ReadonlyMap<string, string>> {
    const links = await this.host.namespace.json<{ ifname: string; address: string }[]>([
      "ip",
      "-json",
      "link",
      "show",
    ]);
    return new Map(links.map(({ ifname, address }) => [ifname, address]));
  }

  #add(station: Station): void {
    if (station.isGateway === true) this.#gatewayMacs.add(station.mac);
    this.#stations.set(station.name, station);
  }

  #drop(name: string): void {
    this.#stations.get(name)?.socket[Symbol.dispose]();
    this.#stations.delete(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#stations.keys()) this.#drop(name);
    await this.#stack.disposeAsync();
  }
}

/** The tags at a place by the VLAN inside the switch. */
type Wire = ReadonlyMap<number, readonly number[]>;

function wireOf({ vlan, trunk }: PortVlans): Wire {
  const plain = vlan === undefined && trunk !== undefined ? [] : [[vlan ?? UNTAGGED, []] as const];
  return new Map<number, readonly number[]>([...plain, ...(trunk ?? []).map((id) => [id, [id]] as const)]);
}

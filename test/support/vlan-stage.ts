// A host with networks on one switch and a listener at every place where a frame of theirs could come out:
//
//   containers a1, a2, b1, ...    the endpoints' free ends, in a namespace for all of them (none has an address, and no frame
//                                 goes from one to another), or in one of its own as `eth0`
//   uplink                        a neighbour namespace at the other end of the switch's uplink
//   gateway 100, ...              the host's own link into a VLAN
import type { Endpoint } from "../../src/cnm/endpoint.ts";
import type { GuardedEndpoint } from "../../src/cnm/firewall.ts";
import type { Network } from "../../src/cnm/network.ts";
import { hostLinkName } from "../../src/cnm/names.ts";
import type { PortVlans } from "../../src/vlan.ts";
import { endpoint, ifName, network, networkId } from "./cnm-builder.ts";
import { FrameSocket } from "./frame-capture.ts";
import { NetNamespace } from "./namespace.ts";
import { shell } from "./packet-lab.ts";
import type { VlanHost } from "./vlan-host.ts";
import type { Sender } from "./vlan-probe.ts";
import { type Station, UNTAGGED, VlanStations, type Wire, wireOf } from "./vlan-stations.ts";

export const SWITCH = ifName("vsw0");
export const PARENT = ifName("up0");
const UPLINK: Sender = { mac: "02:00:00:00:fe:01", address: "192.0.2.1" };

/** How a container is placed. */
export interface Place {
  /** Some of the network's; default: all of them. */
  readonly vlans?: PortVlans;
  /** `10.9.0.1/24`; default: one of the network's number. */
  readonly address?: string;
  /** One of its own; default: that of all others. */
  readonly namespace?: NetNamespace;
}

/** A container's. */
export interface Container extends Station {
  readonly ifName: string;
  readonly network: Network;
  readonly endpoint: Endpoint;
}

/** All of it. Disposing of it takes it down, the host as well. */
export class VlanStage implements AsyncDisposable {
  readonly host: VlanHost;
  readonly neighbour: NetNamespace;
  /** In the order in which they came. */
  networks: readonly Network[] = [];
  readonly #stations = new VlanStations();
  /** The namespace of all containers that have none of their own. */
  #crowd?: NetNamespace;
  #containersMade = 0;
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
    stage.#stations.add({ ...UPLINK, name: "uplink", socket, namespace: neighbour, wire: () => stage.#uplinkWire() });
    return stage;
  }

  /** A network on the stage's switch, with the uplink unless `more` says otherwise; not made yet. */
  plan(n: number, vlans: PortVlans, more: Partial<Network> = {}): Network {
    const { backend, datapathType } = this.host;
    const fixed = { backend, datapathType, switchName: SWITCH, vlans, hostLink: hostLinkName(backend, SWITCH, vlans) };
    const uplink = { parent: PARENT, isAddressMoved: false };
    return network(n, { ...fixed, uplink, isGuarded: vlans.trunk === undefined, mode: "l2", ...more });
  }

  /**
   * Makes networks one after another as tsnet does (cnm/driver.ts), but for the rules, which are made once for all of them, and
   * listens at the gateways that the host has.
   */
  async make(...wanted: readonly Network[]): Promise<void> {
    const { datapath, firewall } = this.host;
    for (const each of wanted) {
      await datapath.check(each, this.networks);
      await firewall.check(each);
      await datapath.ensureNetwork(each, this.networks);
      this.networks = [...this.networks, each];
      if (each.backend === "bridge") this.#stations.know(each.switchMac); // it joins a group of switches (RFC 4286) by itself
    }
    await this.#applyRules();
    for (const each of wanted) await this.#listenAtGateway(each);
  }

  /** Gives a network with all its containers other VLANs as tsnet does (cnm/change-network.ts). */
  async change(from: Network, to: Network): Promise<void> {
    const { datapath } = this.host;
    const others = this.networks.filter(({ id }) => id !== from.id);
    this.begin(); // what was heard until now was heard by what was right until now
    this.networks = [...others, to];
    for (const container of this.#containers().filter(({ network: { id } }) => id === from.id)) {
      const { name, ifName: link, namespace, endpoint: former } = container;
      this.#stations.drop(name);
      const socket = FrameSocket.open(namespace, link);
      const wire = () => wireOf(to.vlans);
      const changed = { ...container, socket, wire, network: to, endpoint: { ...former, vlans: to.vlans } };
      this.#stations.add(changed);
    }
    this.#stations.drop(`gateway ${from.vlans.vlan ?? "untagged"}`);
    await this.#applyRules();
    await datapath.removeNetwork(from, this.networks);
    await datapath.ensureNetwork(to, others);
    const own = this.#containers().filter(({ network: { id } }) => id === to.id);
    for (const container of own) await datapath.reattach(to, container.endpoint);
    await this.#listenAtGateway(to);
  }

  async #listenAtGateway(wanted: Network): Promise<void> {
    if (!wanted.isHostOnSwitch) return;
    const name = `gateway ${wanted.vlans.vlan ?? "untagged"}`;
    const { namespace } = this.host;
    // Not promiscuous: a bridge that is hands the host every frame that nobody has asked for.
    const socket = FrameSocket.open(namespace, wanted.hostLink, { isPromiscuous: false });
    const address = wanted.pools[0]?.gateway ?? "";
    const mac = (await this.macsOfHost()).get(wanted.hostLink) ?? "";
    const wire = () => new Map([[wanted.vlans.vlan ?? UNTAGGED, []]]);
    // A bridge hears also what VLAN links above it take.
    const isBridge = wanted.hostLink === wanted.switchName;
    this.#stations.add({ name, socket, namespace, wire, mac, address, isGateway: true, isDeafToTags: isBridge });
  }

  /** Removes a network whose containers have gone. */
  async unmake(unwanted: Network): Promise<void> {
    this.begin(); // what was heard until now was heard by what was right until now
    this.#stations.drop(`gateway ${unwanted.vlans.vlan ?? "untagged"}`);
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
    const namespace = place.namespace ?? (this.#crowd ??= await this.machine("containers"));
    const link = place.namespace === undefined ? `c${++this.#containersMade}` : "eth0";
    const inNamespace = ["netns", namespace.name, "name", link, "address", attached.mac, "up"];
    await this.host.namespace.exec(["ip", "link", "set", free, ...inNamespace]);
    const [bare = ""] = attached.address?.split("/") ?? [];
    const socket = FrameSocket.open(namespace, link);
    const station = {
      name,
      socket,
      namespace,
      ifName: link,
      wire: () => wireOf(vlans),
      mac: attached.mac,
      address: bare,
    };
    const container = { ...station, network: to, endpoint: attached };
    this.#stations.add(container);
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
    const container = this.#container(name);
    await this.host.datapath.reattach(container.network, container.endpoint);
  }

  /** Takes a container away. */
  async detach(name: string): Promise<void> {
    const guarded = guardedOf(this.#container(name));
    await this.host.datapath.detach(guarded.endpoint);
    await this.host.firewall.removeEndpoint(guarded);
    this.#stations.drop(name);
  }

  station: VlanStations["get"] = (name) => this.#stations.get(name);
  send: VlanStations["send"] = (...args) => this.#stations.send(...args);
  cast: VlanStations["cast"] = (...args) => this.#stations.cast(...args);
  begin: VlanStations["begin"] = () => this.#stations.begin();
  sightings: VlanStations["sightings"] = (trace) => this.#stations.sightings(trace);
  strangers: VlanStations["strangers"] = () => this.#stations.strangers();
  settle: VlanStations["settle"] = (sender) => this.#stations.settle(sender);

  #container(name: string): Container {
    const found = this.#containers().find((each) => each.name === name);
    if (found === undefined) throw new Error(`no container is called ${name}`);
    return found;
  }

  #containers(): readonly Container[] {
    return this.#stations.all().flatMap((each) => ("endpoint" in each ? [each as Container] : [])); // they alone have one
  }

  async #applyRules(): Promise<void> {
    const endpoints = this.#containers().map(guardedOf);
    await this.host.firewall.apply({ networks: this.networks, endpoints });
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

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stations[Symbol.dispose]();
    await this.#stack.disposeAsync();
  }
}

/** As the rules know it. */
function guardedOf(container: Container): GuardedEndpoint {
  return { network: container.network, endpoint: container.endpoint, ports: [] };
}

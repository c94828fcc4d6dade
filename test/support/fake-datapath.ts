// A switch that is only remembered. It polices the order of calls as libnetwork's firewaller stub does, counts what it
// changes, and can be told at which change to fail, having made it or not.
import { isDeepStrictEqual } from "node:util";
import type {
  Datapath,
  FoundSwitch,
  HostLinks,
  HostRoute,
  Inventory,
  PresentSettings,
} from "../../src/cnm/datapath.ts";
import type { Endpoint } from "../../src/cnm/endpoint.ts";
import type { Backend, IfName, Network, SwitchSettings } from "../../src/cnm/network.ts";
import { TsnetError } from "../../src/errors.ts";
import { type PortVlans, allVlans } from "../../src/vlan.ts";

/** One link of the host that is remembered. */
export interface FakeLink {
  readonly kind: "switch" | "port" | "sandbox" | "host" | "other";
  /** Of a switch, a port, and the host's link into a network. */
  readonly backend?: Backend;
  /** Like an interface index: another link under the same name has another one. */
  readonly identity: number;
  /** `network:ID` or `endpoint:ID`; "half" for a link of ours that a crash left without its mark. */
  mark?: string;
  mac?: string;
  mtu?: number;
  isUp?: boolean;
  /** Of a port: whether its other end is in a container. */
  isAway?: boolean;
  /** Of a port, an uplink, and the host's link into a network. */
  switchName?: string;
  /** What it carries; of an uplink `trunk` may be empty. */
  vlans?: PortVlans;
  /** Of an uplink: whether untagged frames pass. */
  isUntagged?: boolean;
  /** Of a port in a switch. `mac`: the only one from which and for which it passes unicast frames. */
  guard?: { readonly isIsolated: boolean; readonly mac?: string };
  isHairpin?: boolean;
  /** Of a switch, `10.1.1.1/24`. */
  readonly addresses: Set<string>;
}

let identities = 0;

/** A datapath in memory. */
export class FakeDatapath implements Datapath, HostLinks {
  readonly kind: Backend;
  readonly links: Map<string, FakeLink>;
  /** The calls in their order, such as `attach 1234`. */
  readonly calls: string[] = [];
  /** By address; `undefined`: there is no way. */
  readonly routes = new Map<string, HostRoute | undefined>();
  /** Of switches, by their names: what was ever named stays. */
  readonly settings = new Map<string, SwitchSettings>();
  /** How many changes were made. */
  writeCount = 0;
  /** Awaited at the start of each call, by its name. */
  onCall: (call: string) => Promise<void> | void = () => {};
  #failure: { at: number; when: "before" | "after" } | undefined;

  /** @param host - whose links these are as well: a host has switches of both kinds. */
  constructor(kind: Backend = "bridge", host?: FakeDatapath) {
    this.kind = kind;
    this.links = host?.links ?? new Map<string, FakeLink>();
  }

  /** Makes the n-th change from now fail, 1 being the next one; `after`: the change is made all the same. */
  failWrite(n: number, when: "before" | "after" = "before"): void {
    this.#failure = { at: this.writeCount + n, when };
  }

  /** All changes work again. */
  heal(): void {
    this.#failure = undefined;
  }

  /** Puts a link there that is not tsnet's, unless it gets a mark. */
  plant(name: string, link: Partial<FakeLink> & Pick<FakeLink, "kind">): void {
    const backend = link.kind === "switch" ? { backend: this.kind } : {};
    this.links.set(name, { identity: ++identities, isUp: true, addresses: new Set(), ...backend, ...link });
  }

  /** All that there is, for comparisons. */
  snapshot(): Record<string, unknown> {
    const names = [...this.links.keys()].sort();
    const copies = names.map((name) => {
      const link = this.links.get(name);
      return [name, { ...link, addresses: [...(link?.addresses ?? [])].sort() }] as const;
    });
    return Object.fromEntries(copies);
  }

  async inspectSwitch(name: IfName): Promise<FoundSwitch> {
    await this.#enter("inspectSwitch", name);
    const link = this.links.get(name);
    if (link === undefined) return { state: "absent" };
    this.#requireSwitch(name, link);
    const networkId = markOf(link, "network");
    return networkId === undefined
      ? { state: "foreign", addresses: [...link.addresses] }
      : { state: "ours", networkId };
  }

  async isNameTaken(name: IfName): Promise<boolean> {
    await this.#enter("isNameTaken", name);
    return this.links.has(name);
  }

  async names(): Promise<ReadonlySet<string>> {
    await this.#enter("names", "");
    return new Set(this.links.keys());
  }

  async namesAway(): Promise<ReadonlySet<string>> {
    await this.#enter("namesAway", "");
    return new Set([...this.links].flatMap(([name, { isAway = false }]) => (isAway ? [name] : [])));
  }

  async mtuOf(name: IfName): Promise<number | undefined> {
    const link = this.links.get(name);
    return link && (link.mtu ?? 1500);
  }

  /** As planted: `routes` has the addresses to which there is another way than the default one. */
  async routeTo(address: string): Promise<HostRoute | undefined> {
    if (this.routes.has(address)) return this.routes.get(address);
    return { source: address.includes(":") ? "2001:db8::99" : "192.0.2.99", mtu: 1500, link: "eth0", isOwn: false };
  }

  async check({ id, uplink, switchName }: Network, _others: readonly Network[]): Promise<void> {
    await this.#enter("check", id);
    const master = uplink && this.links.get(uplink.parent)?.switchName;
    if (master === undefined || master === switchName) return;
    throw new TsnetError("conflict", `link ${uplink?.parent} is a port of ${master} already`);
  }

  async ensureNetwork(network: Network, others: readonly Network[]): Promise<boolean> {
    await this.#enter("ensureNetwork", network.id);
    const before = this.writeCount;
    this.#ensureNetwork(network, others);
    return this.writeCount > before;
  }

  async readSettings({ id, switchName, switchSettings }: Network): Promise<PresentSettings> {
    await this.#enter("readSettings", id);
    const there = Object.entries(this.settings.get(switchName) ?? {});
    const none = Object.keys(switchSettings).map((key) => [key, null] as const);
    return Object.fromEntries([...none, ...there.filter(([key]) => key in switchSettings)]);
  }

  async restoreSettings({ id, switchName }: Network, settings: PresentSettings): Promise<void> {
    await this.#enter("restoreSettings", id);
    const entries = Object.entries({ ...this.settings.get(switchName), ...settings });
    this.settings.set(switchName, Object.fromEntries(entries.filter(([, value]) => value !== null)));
  }

  async removeNetwork(network: Network, others: readonly Network[]): Promise<void> {
    await this.#enter("removeNetwork", network.id);
    const link = this.links.get(network.switchName);
    if (link === undefined) return;
    const isOurs = markOf(link, "network") !== undefined || link.mark === "half";
    if (network.isSwitchOurs && !isOurs) return;
    this.#ensureUplink(network, others);
    const isHostLinkNeeded = others.some((other) => other.isHostOnSwitch && other.hostLink === network.hostLink);
    const hostLink = this.links.get(network.hostLink);
    if (hostLink?.kind === "host" && !isHostLinkNeeded) this.#write(() => this.links.delete(network.hostLink));
    if (network.isSwitchOurs && others.length === 0) {
      const ports = [...this.links.values()].filter(({ switchName }) => switchName === network.switchName);
      if (ports.length > 0) throw new TsnetError("internal", `fake: ${network.switchName} still has ports`);
      return this.#write(() => this.links.delete(network.switchName));
    }
    for (const { text, bare } of hostLink === undefined || !network.isHostOnSwitch ? [] : gatewaysOf(network)) {
      if (hostLink?.addresses.has(text) === true && !network.keptAddresses.includes(bare))
        this.#write(() => hostLink.addresses.delete(text));
    }
  }

  async removeStraySwitch(networkId: string, inUse: ReadonlySet<IfName>): Promise<void> {
    await this.#enter("removeStraySwitch", networkId);
    for (const [name, link] of this.links) {
      const isStray = this.#isOwnKind(link) && markOf(link, "network") === networkId;
      const ports = [...this.links.values()].filter(({ switchName }) => switchName === name);
      if (ports.some((port) => markOf(port, "endpoint") !== undefined)) continue;
      if (isStray && !inUse.has((link.switchName ?? name) as IfName))
        // only read
        this.#write(() => this.links.delete(name));
    }
  }

  async attach(network: Network, endpoint: Endpoint, others: readonly Network[]): Promise<IfName> {
    await this.#enter("attach", endpoint.endpointId);
    this.#detach(endpoint);
    this.#requireSwitchFor(network, endpoint, others);
    const { hostIfName, sandboxIfName, mac, mtu, vlans } = endpoint;
    const { switchName } = network;
    for (const name of [hostIfName, sandboxIfName]) {
      if (this.links.has(name)) throw new TsnetError("host", `add veth ${hostIfName}: File exists (EEXIST)`);
    }
    this.#write(() => {
      const port = { kind: "port", backend: this.kind, mark: "half", switchName, vlans, mtu, isUp: false } as const;
      this.plant(hostIfName, port);
      this.plant(sandboxIfName, { kind: "sandbox", mac, mtu, isUp: false });
    });
    const port = this.links.get(hostIfName) ?? {};
    const mark = `endpoint:${endpoint.endpointId}`;
    this.#write(() => Object.assign(port, { mark, isUp: true, guard: guardOf(network, endpoint) }));
    return sandboxIfName;
  }

  async reattach(network: Network, endpoint: Endpoint, isHairpin?: boolean): Promise<boolean> {
    await this.#enter("reattach", endpoint.endpointId);
    const before = this.writeCount;
    this.#reattach(network, endpoint, isHairpin);
    return this.writeCount > before;
  }

  #reattach(network: Network, endpoint: Endpoint, isHairpin?: boolean): void {
    const port = this.links.get(endpoint.hostIfName);
    if (port === undefined || !this.#isPortOf(port, endpoint)) return;
    this.#requireSwitchFor(network, endpoint, []);
    const { switchName } = network;
    const { vlans, mtu } = endpoint;
    const guard = guardOf(network, endpoint);
    const isInPlace = port.switchName === switchName;
    const isHairpinRight = isHairpin === undefined || isHairpin === (port.isHairpin ?? false);
    const isRight = isDeepStrictEqual([port.isUp, port.guard, port.vlans, port.mtu], [true, guard, vlans, mtu]);
    if (isInPlace && isRight && isHairpinRight) return;
    this.#write(() => {
      if (!isInPlace) delete port.isHairpin; // the switch took it in as a new one
      Object.assign(port, { switchName, isUp: true, guard, vlans, mtu }, isHairpin !== undefined && { isHairpin });
    });
  }

  async ensureHairpin(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">, isOn: boolean): Promise<void> {
    await this.#enter("ensureHairpin", endpoint.endpointId);
    const port = this.links.get(endpoint.hostIfName);
    if (port?.switchName === undefined || !this.#isPortOf(port, endpoint)) return;
    if ((port.isHairpin ?? false) !== isOn) this.#write(() => Object.assign(port, { isHairpin: isOn }));
  }

  async announce(_network: Network, { endpointId }: Endpoint): Promise<void> {
    await this.#enter("announce", endpointId);
  }

  async detach(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">): Promise<void> {
    await this.#enter("detach", endpoint.endpointId);
    this.#detach(endpoint);
  }

  async inventory(): Promise<Inventory> {
    await this.#enter("inventory", "");
    const marked = (purpose: "network" | "endpoint") =>
      [...this.links].flatMap(([name, link]) => {
        const id = this.#isOwnKind(link) ? markOf(link, purpose) : undefined;
        return id === undefined || link.kind === "host" ? [] : [{ id, ifName: name as IfName }]; // the test's own word
      });
    return {
      switches: marked("network").map(({ id, ifName }) => ({ networkId: id, ifName })),
      ports: marked("endpoint").map(({ id, ifName }) => ({ endpointId: id, ifName })),
    };
  }

  /** As when somebody types `ip link del`: a switch lets its ports go, a port takes its other end along. */
  unplug(name: string): void {
    const link = this.links.get(name);
    this.links.delete(name);
    for (const [portName, port] of this.links) {
      if (port.switchName !== name) continue;
      if (port.kind === "host") this.links.delete(portName);
      else delete port.switchName;
    }
    if (link?.kind === "port") this.links.delete(name.replace("tsv", "tsc"));
  }

  async #enter(call: string, id: string): Promise<void> {
    this.calls.push(`${call} ${id.slice(0, 12)}`.trim());
    await this.onCall(call);
    await new Promise((resolve) => setImmediate(resolve));
  }

  #isOwnKind({ backend }: FakeLink): boolean {
    return backend === this.kind;
  }

  #isPortOf(link: FakeLink, { endpointId }: { readonly endpointId: string }): boolean {
    const isMarked = link.mark === "half" || markOf(link, "endpoint") === endpointId;
    return link.kind === "port" && this.#isOwnKind(link) && isMarked;
  }

  #ensureNetwork(network: Network, others: readonly Network[]): void {
    const found = this.links.get(network.switchName);
    if (found !== undefined) this.#requireSwitch(network.switchName, found);
    if (found === undefined && !network.isSwitchOurs) {
      throw new TsnetError("host", `bridge ${network.switchName} does not exist any more`);
    }
    const { switchMac: mac, mtu } = network;
    if (found === undefined) {
      this.#write(() => this.plant(network.switchName, { kind: "switch", mark: "half", mac, mtu, isUp: false }));
    }
    const link = this.links.get(network.switchName);
    if (link === undefined) throw new TsnetError("internal", "fake: the switch is gone");
    if (network.isSwitchOurs && markOf(link, "network") === undefined) {
      if (link.mark !== "half") {
        throw new TsnetError("conflict", `bridge ${network.switchName} exists and was not made by tsnet`);
      }
      this.#write(() => Object.assign(link, { mark: `network:${network.id}` }));
    }
    if (network.isSwitchOurs && link.mtu !== mtu) this.#write(() => Object.assign(link, { mtu }));
    this.settings.set(network.switchName, { ...this.settings.get(network.switchName), ...network.switchSettings });
    if (network.isHostOnSwitch) this.#ensureHost(network);
    this.#ensureUplink(network, [network, ...others]);
    if (network.isSwitchOurs && link.isUp !== true) this.#write(() => Object.assign(link, { isUp: true }));
  }

  /** The host's link with the gateway addresses. */
  #ensureHost(network: Network): void {
    const { id, hostLink, switchName, vlans, mtu, switchMac: mac } = network;
    if (!this.links.has(hostLink)) {
      const { vlan } = vlans;
      const carried = vlan === undefined ? {} : { vlan };
      const made = { backend: this.kind, mark: `network:${id}`, switchName, vlans: carried, mac, mtu } as const;
      this.#write(() => this.plant(hostLink, { kind: "host", ...made }));
    }
    const link = this.links.get(hostLink);
    if (link?.kind === "host" && link.isUp !== true) this.#write(() => Object.assign(link, { isUp: true }));
    for (const { text } of gatewaysOf(network)) {
      if (link?.addresses.has(text) === false) this.#write(() => link.addresses.add(text));
    }
  }

  /** @param users - the networks of the switch that may use the uplink. */
  #ensureUplink({ uplink, switchName }: Network, users: readonly Network[]): void {
    const link = uplink && this.links.get(uplink.parent);
    if (uplink === undefined || link === undefined) return;
    const lists = users.flatMap((user) => (user.uplink?.parent === uplink.parent ? [allVlans(user.vlans)] : []));
    if (lists.length === 0) {
      if (link.switchName !== switchName) return;
      return this.#write(() => {
        for (const key of ["switchName", "vlans", "isUntagged"] as const) delete link[key];
      });
    }
    const trunk = [...new Set(lists.flat())].sort((a, b) => a - b);
    const wanted = { switchName, vlans: { trunk }, isUntagged: lists.some((ids) => ids.length === 0) };
    const { vlans, isUntagged } = link;
    const present = { switchName: link.switchName, vlans, isUntagged };
    if (!isDeepStrictEqual(present, wanted)) this.#write(() => Object.assign(link, wanted));
  }

  #requireSwitchFor(network: Network, { mac }: Endpoint, others: readonly Network[]): void {
    if (!this.links.has(network.switchName)) this.#ensureNetwork(network, others);
    if (![network.switchName, network.hostLink].some((name) => this.links.get(name)?.mac === mac)) return;
    throw new TsnetError("conflict", `MAC address ${mac} is that of bridge ${network.switchName}`);
  }

  #detach(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">): void {
    const link = this.links.get(endpoint.hostIfName);
    if (link !== undefined && this.#isPortOf(link, endpoint)) this.#write(() => this.unplug(endpoint.hostIfName));
  }

  #requireSwitch(name: string, link: FakeLink): void {
    if (link.kind === "switch" && this.#isOwnKind(link)) return;
    const wanted = this.kind === "bridge" ? "Linux bridge" : "switch of Open vSwitch";
    throw new TsnetError("conflict", `link ${name} is no ${wanted} (it is ${link.kind})`);
  }

  #write(change: () => unknown): void {
    this.writeCount += 1;
    const isFailing = this.writeCount === this.#failure?.at;
    if (!isFailing || this.#failure?.when === "after") change();
    if (isFailing) throw new TsnetError("host", `fake: change ${this.writeCount} failed`);
  }
}

function markOf(link: FakeLink, purpose: string): string | undefined {
  return link.mark?.startsWith(`${purpose}:`) ? link.mark.slice(purpose.length + 1) : undefined;
}

function guardOf(network: Network, { mac }: Endpoint): NonNullable<FakeLink["guard"]> {
  return { isIsolated: !network.isIccAllowed, ...(network.isGuarded && { mac }) };
}

function gatewaysOf(network: Network): { text: string; bare: string }[] {
  return network.pools.flatMap(({ subnet, gateway }) =>
    gateway === undefined ? [] : [{ text: `${gateway}/${subnet.split("/")[1]}`, bare: gateway }],
  );
}

// A switch that is only remembered. It polices the order of calls as libnetwork's firewaller stub does, counts what it
// changes, and can be told at which change to fail, having made it or not.
import { isDeepStrictEqual } from "node:util";
import type { Datapath, FoundSwitch, HostLinks, Inventory } from "../../src/cnm/datapath.ts";
import type { Endpoint } from "../../src/cnm/endpoint.ts";
import type { Backend, IfName, Network } from "../../src/cnm/network.ts";
import { TsnetError } from "../../src/errors.ts";

/** One link of the host that is remembered. */
export interface FakeLink {
  readonly kind: "switch" | "port" | "sandbox" | "other";
  /** Like an interface index: another link under the same name has another one. */
  readonly identity: number;
  /** `network:ID` or `endpoint:ID`; "half" for a link of ours that a crash left without its mark. */
  mark?: string;
  mac?: string;
  mtu?: number;
  isUp?: boolean;
  /** Of a port. */
  switchName?: string;
  /** Of a port in a switch. `mac`: the only one from which and for which it passes unicast frames. */
  guard?: { readonly isIsolated: boolean; readonly mac?: string };
  isHairpin?: boolean;
  /** Of a switch, `10.1.1.1/24`. */
  readonly addresses: Set<string>;
}

/** A datapath in memory. */
export class FakeDatapath implements Datapath, HostLinks {
  readonly kind: Backend;
  readonly links = new Map<string, FakeLink>();
  /** The calls in their order, such as `attach 1234`. */
  readonly calls: string[] = [];
  /** How many changes were made. */
  writeCount = 0;
  /** Awaited at the start of each call, by its name. */
  onCall: (call: string) => Promise<void> | void = () => {};
  #failure: { at: number; when: "before" | "after" } | undefined;
  #identities = 0;

  constructor(kind: Backend = "bridge") {
    this.kind = kind;
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
    this.links.set(name, { identity: ++this.#identities, isUp: true, addresses: new Set(), ...link });
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

  async mtuOf(name: IfName): Promise<number | undefined> {
    const link = this.links.get(name);
    return link && (link.mtu ?? 1500);
  }

  async check(network: Network): Promise<void> {
    await this.#enter("check", network.id);
  }

  async ensureNetwork(network: Network, _others: readonly Network[]): Promise<void> {
    await this.#enter("ensureNetwork", network.id);
    this.#ensureNetwork(network);
  }

  async removeNetwork(network: Network, others: readonly Network[]): Promise<void> {
    await this.#enter("removeNetwork", network.id);
    const link = this.links.get(network.switchName);
    if (link === undefined) return;
    const isOurs = markOf(link, "network") !== undefined || link.mark === "half";
    if (network.isSwitchOurs && isOurs && others.length === 0) {
      const ports = [...this.links.values()].filter(({ switchName }) => switchName === network.switchName);
      if (ports.length > 0) throw new TsnetError("internal", `fake: ${network.switchName} still has ports`);
      return this.#write(() => this.links.delete(network.switchName));
    }
    if (network.isSwitchOurs && !isOurs) return;
    for (const { text, bare } of gatewaysOf(network)) {
      if (link.addresses.has(text) && !network.keptAddresses.includes(bare))
        this.#write(() => link.addresses.delete(text));
    }
  }

  async removeStraySwitch(networkId: string, inUse: ReadonlySet<IfName>): Promise<void> {
    await this.#enter("removeStraySwitch", networkId);
    for (const [name, link] of this.links) {
      const isStray = markOf(link, "network") === networkId && !inUse.has(name as IfName); // only read
      if (isStray) this.#write(() => this.links.delete(name));
    }
  }

  async attach(network: Network, endpoint: Endpoint, _others: readonly Network[]): Promise<IfName> {
    await this.#enter("attach", endpoint.endpointId);
    this.#detach(endpoint);
    this.#requireSwitchFor(network, endpoint);
    const { hostIfName, sandboxIfName, mac, mtu } = endpoint;
    for (const name of [hostIfName, sandboxIfName]) {
      if (this.links.has(name)) throw new TsnetError("host", `add veth ${hostIfName}: File exists (EEXIST)`);
    }
    this.#write(() => {
      this.plant(hostIfName, { kind: "port", switchName: network.switchName, mark: "half", mtu, isUp: false });
      this.plant(sandboxIfName, { kind: "sandbox", mac, mtu, isUp: false });
    });
    const port = this.links.get(hostIfName) ?? {};
    const mark = `endpoint:${endpoint.endpointId}`;
    this.#write(() => Object.assign(port, { mark, isUp: true, guard: guardOf(network, endpoint) }));
    return sandboxIfName;
  }

  async reattach(network: Network, endpoint: Endpoint): Promise<void> {
    await this.#enter("reattach", endpoint.endpointId);
    const port = this.links.get(endpoint.hostIfName);
    if (port === undefined || !isPortOf(port, endpoint)) return;
    this.#requireSwitchFor(network, endpoint);
    const { switchName } = network;
    const guard = guardOf(network, endpoint);
    const isInPlace = port.switchName === switchName;
    if (isInPlace && port.isUp === true && isDeepStrictEqual(port.guard, guard)) return;
    this.#write(() => {
      if (!isInPlace) delete port.isHairpin; // the switch took it in as a new one
      Object.assign(port, { switchName, isUp: true, guard });
    });
  }

  async ensureHairpin(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">, isOn: boolean): Promise<void> {
    await this.#enter("ensureHairpin", endpoint.endpointId);
    const port = this.links.get(endpoint.hostIfName);
    if (port?.switchName === undefined || !isPortOf(port, endpoint)) return;
    if ((port.isHairpin ?? false) !== isOn) this.#write(() => Object.assign(port, { isHairpin: isOn }));
  }

  async detach(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">): Promise<void> {
    await this.#enter("detach", endpoint.endpointId);
    this.#detach(endpoint);
  }

  async inventory(): Promise<Inventory> {
    await this.#enter("inventory", "");
    const marked = (purpose: "network" | "endpoint") =>
      [...this.links].flatMap(([name, link]) => {
        const id = markOf(link, purpose);
        return id === undefined ? [] : [{ id, ifName: name as IfName }]; // the test's own word
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
    for (const port of this.links.values()) if (port.switchName === name) delete port.switchName;
    if (link?.kind === "port") this.links.delete(name.replace("tsv", "tsc"));
  }

  async #enter(call: string, id: string): Promise<void> {
    this.calls.push(`${call} ${id.slice(0, 12)}`.trim());
    await this.onCall(call);
    await new Promise((resolve) => setImmediate(resolve));
  }

  #ensureNetwork(network: Network): void {
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
    for (const { text } of network.isHostOnSwitch ? gatewaysOf(network) : []) {
      if (!link.addresses.has(text)) this.#write(() => link.addresses.add(text));
    }
    if (network.isSwitchOurs && link.isUp !== true) this.#write(() => Object.assign(link, { isUp: true }));
  }

  #requireSwitchFor(network: Network, { mac }: Endpoint): void {
    if (!this.links.has(network.switchName)) this.#ensureNetwork(network);
    if (this.links.get(network.switchName)?.mac !== mac) return;
    throw new TsnetError("conflict", `MAC address ${mac} is that of bridge ${network.switchName}`);
  }

  #detach(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">): void {
    const link = this.links.get(endpoint.hostIfName);
    if (link !== undefined && isPortOf(link, endpoint)) this.#write(() => this.unplug(endpoint.hostIfName));
  }

  #requireSwitch(name: string, link: FakeLink): void {
    if (link.kind !== "switch")
      throw new TsnetError("conflict", `link ${name} is no Linux bridge (it is ${link.kind})`);
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

function isPortOf(link: FakeLink, endpoint: { readonly endpointId: string }): boolean {
  return link.kind === "port" && (link.mark === "half" || markOf(link, "endpoint") === endpoint.endpointId);
}

function guardOf(network: Network, { mac }: Endpoint): NonNullable<FakeLink["guard"]> {
  return { isIsolated: !network.isIccAllowed, ...(network.isGuarded && { mac }) };
}

function gatewaysOf(network: Network): { text: string; bare: string }[] {
  return network.pools.flatMap(({ subnet, gateway }) =>
    gateway === undefined ? [] : [{ text: `${gateway}/${subnet.split("/")[1]}`, bare: gateway }],
  );
}

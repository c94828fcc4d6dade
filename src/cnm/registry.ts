// The networks and endpoints that tsnet knows: in memory for reading, in the records for good. A record is written
// before the host is changed and removed after the host is clean, so that a crash always leaves a trace.
import { TsnetError } from "../errors.ts";
import type { RecordStore } from "../state/record-store.ts";
import type { Attachment } from "./attachment.ts";
import { Damage } from "./damage.ts";
import type { Endpoint, EndpointId, EndpointRef } from "./endpoint.ts";
import type { FirewallState } from "./firewall.ts";
import type { IfName, Network, NetworkId } from "./network.ts";
import { completeEndpoint, completeNetwork } from "./old-records.ts";
import type { PortBinding, PublishedPort } from "./ports.ts";

/** `creating`: no answer was given yet. `removing`: must go, whatever happens. */
export type NetworkState = "creating" | "ready" | "removing";

/** `created`: the engine knows it. `joined`: its port is made, or being made. `removing`: must go. */
export type EndpointState = "created" | "joined" | "removing";

/** A network as it is recorded. */
export interface NetworkRecord {
  readonly network: Network;
  readonly state: NetworkState;
  /** As it was before a change that is not finished: what it had of the host besides must go. */
  readonly former?: Network;
}

/** An endpoint as it is recorded. */
export interface EndpointRecord {
  readonly endpoint: Endpoint;
  readonly state: EndpointState;
  /** Where it was joined. */
  readonly sandboxKey?: string;
  /** What was asked to be published; without `ports` it is published when the endpoint joins. */
  readonly bindings?: readonly PortBinding[];
  /** What is published, numbers chosen; absent for nothing. */
  readonly ports?: readonly PublishedPort[];
  /** Of an endpoint that the operator's command made, and not the engine. */
  readonly attachment?: Attachment;
}

/** Everything that tsnet has a record of. */
export class Registry {
  /** What of the records cannot be read. */
  readonly damage: Damage;
  readonly #records: RecordStore;
  readonly #networks = new Map<NetworkId, NetworkRecord>();
  readonly #endpoints = new Map<EndpointId, EndpointRecord>();
  /** Endpoints that were known before this start and not spoken of since. */
  readonly #ofFormerLife = new Set<EndpointId>();
  /** What is known to be `removing` here only, since that could not be recorded. */
  readonly #unwritten = new Set<string>();

  constructor(records: RecordStore) {
    this.#records = records;
    this.damage = new Damage(records);
  }

  /** Reads all records. Called once, before anything else. One that makes no sense counts as damaged. */
  load(): void {
    for (const [id, body] of this.#records.list("network")) {
      if (!isRecord(body, "network")) this.damage.add("network", id, body);
      else this.#networks.set(id as NetworkId, completeNetwork(body as unknown as NetworkRecord)); // written by putNetwork
    }
    for (const [id, body] of this.#records.list("endpoint")) {
      if (isRecord(body, "endpoint")) {
        this.#endpoints.set(id as EndpointId, completeEndpoint(body as unknown as EndpointRecord)); // written by putEndpoint
        this.#ofFormerLife.add(id as EndpointId);
      } else this.damage.add("endpoint", id, body);
    }
  }

  networks(): readonly NetworkRecord[] {
    return [...this.#networks.values()];
  }

  /** The networks whose switches must be there: all but those that are being removed. */
  live(): readonly Network[] {
    return this.networks().flatMap(({ network, state }) => (state === "removing" ? [] : [network]));
  }

  /**
   * What the rules must be for: the networks and their joined endpoints with what they publish. A network that cannot be
   * removed yet keeps its rules for the containers that are still in it.
   */
  firewallState(): FirewallState {
    const joined = this.endpoints().filter(({ state }) => state === "joined");
    const inUse = new Set(joined.map(({ endpoint }) => endpoint.networkId));
    const hasRules = ({ network, state }: NetworkRecord) => state !== "removing" || inUse.has(network.id);
    const networks = this.networks().flatMap((record) => (hasRules(record) ? [record.network] : []));
    const networkOf = new Map(networks.map((network) => [network.id, network]));
    const endpoints = joined.flatMap(({ endpoint, ports = [] }) => {
      const network = networkOf.get(endpoint.networkId);
      return network === undefined ? [] : [{ network, endpoint, ports }];
    });
    return { networks, endpoints, ...(this.damage.isPartial && { isPartial: true }) };
  }

  endpoints(): readonly EndpointRecord[] {
    return [...this.#endpoints.values()];
  }

  /** Whether it was known before this start, and nothing of it has changed since. */
  isOfFormerLife(id: EndpointId): boolean {
    return this.#ofFormerLife.has(id);
  }

  findNetwork(id: NetworkId): NetworkRecord | undefined {
    return this.#networks.get(id);
  }

  findEndpoint(id: EndpointId): EndpointRecord | undefined {
    return this.#endpoints.get(id);
  }

  /** @throws TsnetError `not-found`, also while the network is being removed or is not complete yet; `host` for a damaged record. */
  requireNetwork(id: NetworkId): Network {
    const record = this.#networks.get(id);
    if (record?.state === "ready") return record.network;
    this.damage.requireReadable("network", id);
    if (record === undefined) this.damage.requireComplete();
    const why =
      record === undefined ? "tsnet has no record of it; remove and recreate the network" : `it is ${record.state}`;
    throw new TsnetError("not-found", `network ${short(id)}: ${why}`);
  }

  /** @throws TsnetError `not-found`, also while the endpoint is being removed. */
  requireEndpoint({ networkId, endpointId }: EndpointRef): EndpointRecord {
    const known = this.#endpoints.get(endpointId);
    if (known !== undefined && known.endpoint.networkId === networkId && known.state !== "removing") return known;
    this.damage.requireReadable("endpoint", endpointId);
    if (known === undefined) this.damage.requireComplete();
    throw new TsnetError("not-found", `network ${short(networkId)} has no endpoint ${short(endpointId)}`);
  }

  /** Whether the endpoint is kept though no namespace has its link: that is made again when the owner comes back. */
  isKept({ endpoint, state, attachment }: EndpointRecord): boolean {
    if (attachment === undefined || attachment.isOnce || state === "removing") return false;
    return this.#networks.get(endpoint.networkId)?.state === "ready";
  }

  endpointsOf(id: NetworkId): readonly EndpointRecord[] {
    return this.endpoints().filter(({ endpoint }) => endpoint.networkId === id);
  }

  /** The networks that have that subnet from that address space. */
  networksWith(addressSpace: string, subnet: string): readonly Network[] {
    const isOwner = (network: Network) =>
      network.addressSpace === addressSpace && network.pools.some((pool) => pool.subnet === subnet);
    return this.networks().flatMap(({ network }) => (isOwner(network) ? [network] : []));
  }

  /** The networks that use a switch, those in creation and removal included. */
  networksOn(switchName: IfName): readonly Network[] {
    return this.networks().flatMap(({ network }) => (network.switchName === switchName ? [network] : []));
  }

  /** The other networks on the same switch, those in creation and removal included. */
  sharersOf({ id, switchName }: Network): readonly Network[] {
    return this.networksOn(switchName).filter((other) => other.id !== id);
  }

  /** The switches of all networks, those in creation and removal included. */
  switchesInUse = (): ReadonlySet<IfName> => new Set(this.networks().map(({ network }) => network.switchName));

  /**
   * Known at once, durable when the promise resolves. When it rejects, what was known before is known again, but for
   * `removing`: that stands, so that the removal is tried again, and is recorded when it is put once more.
   */
  async putNetwork(network: Network, state: NetworkState): Promise<void> {
    const former = state === "removing" ? this.#networks.get(network.id)?.former : undefined; // else it is finished
    const record = { network, state, ...(former !== undefined && { former }) };
    await this.#put("network", this.#networks, network.id, record);
  }

  /**
   * A network and endpoints of it, all of which are known, in one step: known at once, durable when the promise resolves. When
   * it rejects, what was known before is known again.
   */
  async putChange(change: NetworkRecord, endpoints: readonly EndpointRecord[]): Promise<void> {
    const { id } = change.network;
    const before = this.#networks.get(id);
    const formers = endpoints.flatMap(({ endpoint }) => this.#endpoints.get(endpoint.endpointId) ?? []);
    this.#know(change, endpoints);
    const puts = endpoints.map(
      (body) => ({ op: "put", kind: "endpoint", id: body.endpoint.endpointId, body }) as const,
    );
    await this.#records
      .commit([{ op: "put", kind: "network", id, body: change }, ...puts], "change")
      .catch((failure) => {
        if (before !== undefined) this.#know(before, formers);
        throw failure;
      });
  }

  #know(record: NetworkRecord, endpoints: readonly EndpointRecord[]): void {
    this.#networks.set(record.network.id, record);
    for (const each of endpoints) this.#endpoints.set(each.endpoint.endpointId, each);
  }

  async putEndpoint(record: EndpointRecord): Promise<void> {
    this.#ofFormerLife.delete(record.endpoint.endpointId);
    await this.#put("endpoint", this.#endpoints, record.endpoint.endpointId, record);
  }

  async removeNetwork(id: NetworkId): Promise<void> {
    await this.#records.commit([{ op: "remove", kind: "network", id }], "removal");
    this.#networks.delete(id);
    this.#unwritten.delete(id);
  }

  async removeEndpoint(id: EndpointId): Promise<void> {
    await this.#records.commit([{ op: "remove", kind: "endpoint", id }], "removal");
    this.#endpoints.delete(id);
    this.#unwritten.delete(id);
  }

  async #put<Id extends string, Body extends NetworkRecord | EndpointRecord>(
    kind: "network" | "endpoint",
    known: Map<Id, Body>,
    id: Id,
    body: Body,
  ): Promise<void> {
    const previous = known.get(id);
    if (previous?.state === "removing" && body.state === "removing" && !this.#unwritten.has(id)) return;
    known.set(id, body);
    const isLess = body.state === "removing" || (body.state === "created" && previous !== undefined);
    try {
      await this.#records.commit([{ op: "put", kind, id, body }], isLess ? "removal" : "change");
      this.#unwritten.delete(id);
    } catch (failure) {
      if (body.state === "removing") {
        this.#unwritten.add(id);
        throw failure;
      }
      if (previous === undefined) known.delete(id);
      else known.set(id, previous);
      throw failure;
    }
  }
}

/** The first 12 digits of an id, as the engine prints them. */
export function short(id: string): string {
  return id.slice(0, 12);
}

function isRecord(body: unknown, part: "network" | "endpoint"): body is Readonly<Record<string, unknown>> {
  return typeof body === "object" && body !== null && part in body && "state" in body;
}

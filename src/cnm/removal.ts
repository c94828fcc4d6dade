// Taking networks and endpoints away: by the engine's verbs, as the undo of a failed creation, and when recovery
// finishes what was interrupted. The record of what is in use says `removing` before the host is touched; it goes last.
import { TsnetError } from "../errors.ts";
import { runAll } from "../undo.ts";
import type { Datapath } from "./datapath.ts";
import type { Endpoint } from "./endpoint.ts";
import { endpointNames } from "./names.ts";
import type { Network, NetworkId } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import { type EndpointRecord, short } from "./registry.ts";

type Steps = Parameters<typeof runAll>[1];

/** Removes what the registry knows, from the host and from the records. */
export class Removal {
  readonly #parts: CnmParts;

  constructor(parts: CnmParts) {
    this.#parts = parts;
  }

  /**
   * Removes a network without endpoints. The caller holds the lock of all networks.
   *
   * @throws TsnetError `host` when something is left; then the record stays, as `removing`.
   */
  async network(network: Network): Promise<void> {
    const { registry, datapaths, firewall } = this.#parts;
    const record = registry.findNetwork(network.id);
    if (record === undefined) return; // not even recorded, so nothing was made
    this.#refuseShared(network);
    const { former } = record; // of a change that was interrupted
    const remove = (each: Network) => datapaths[network.backend].removeNetwork(each, registry.sharersOf(network));
    await runAll(`network ${short(network.id)} cannot be removed`, [
      () => registry.putNetwork(network, "removing"),
      ...(former === undefined ? [] : [() => remove(former)]),
      () => remove(network),
      async () => void (await firewall.apply(registry.firewallState())),
    ]);
    await registry.removeNetwork(network.id);
  }

  /** What a network that cannot be read may need goes after that one. */
  #refuseShared(network: Network): void {
    const { damage } = this.#parts.registry;
    if (!damage.mayShare(network)) return;
    const who = damage.idsOf("network").map(short).join(", ") || "one that cannot be read";
    const why = `network ${who}, whose record is damaged, may be on switch ${network.switchName}; it goes after that one`;
    throw new TsnetError("conflict", `network ${short(network.id)} cannot be removed now: ${why}`);
  }

  /**
   * Removes an endpoint: withdraws its ports, then takes its link, then its place in the rules. The caller holds its lock.
   *
   * @throws TsnetError `host` when something is left; then the record stays, as `removing`.
   */
  async endpoint(endpoint: Pick<Endpoint, "endpointId">): Promise<void> {
    const { registry, firewall } = this.#parts;
    const record = registry.findEndpoint(endpoint.endpointId);
    const network = record && registry.findNetwork(record.endpoint.networkId)?.network;
    const isInRules = record !== undefined && record.state !== "created";
    if (!isInRules || network === undefined) return this.endpointWithoutRules(endpoint);
    const guarded = { network, endpoint: record.endpoint, ports: [] };
    const { ports = [] } = record;
    const withdraw = ports.length === 0 ? [] : [() => firewall.ensureEndpoint(guarded, ports)];
    await this.#removeEndpoint(record, withdraw, [() => firewall.removeEndpoint(guarded)]);
  }

  /** Removes an endpoint that has no place in the rules, or will have none when they are applied next. */
  async endpointWithoutRules({ endpointId }: Pick<Endpoint, "endpointId">): Promise<void> {
    const record = this.#parts.registry.findEndpoint(endpointId);
    if (record !== undefined) await this.#removeEndpoint(record, [], []);
  }

  /** Removes an endpoint whose link has gone with the host's last life; of one that is kept the record stays. */
  async vanished({ endpoint, attachment, ...rest }: EndpointRecord): Promise<void> {
    const { registry } = this.#parts;
    if (attachment === undefined || !registry.isKept({ endpoint, attachment, ...rest }))
      return this.endpointWithoutRules(endpoint);
    await registry.putEndpoint({ endpoint, state: "created", attachment });
  }

  async #removeEndpoint(record: EndpointRecord, before: Steps, after: Steps): Promise<void> {
    const { registry, datapaths, ports } = this.#parts;
    const { endpoint } = record;
    const backend = registry.findNetwork(endpoint.networkId)?.network.backend;
    const detach = (datapath: Datapath) => datapath.detach(endpoint);
    const what = `endpoint ${short(endpoint.endpointId)} cannot be removed`;
    const mark = () => registry.putEndpoint({ ...record, state: "removing" });
    const unplug = () => (backend === undefined ? this.#onEach(what, detach) : detach(datapaths[backend]));
    const host = [() => ports.release(endpoint.endpointId), unplug];
    const forget = async () => {
      await registry.removeEndpoint(endpoint.endpointId);
      await this.#releaseOwn(record);
    };
    if (record.state !== "created") {
      await runAll(what, [mark, ...before, ...host, ...after]);
      return forget();
    }
    // After Leave nothing is left but the link of one that failed. A crash before the record goes leaves an endpoint that is found to be nobody's.
    try {
      await runAll(what, host);
      await forget();
    } catch (failure) {
      await mark().catch(() => {}); // in memory it is marked all the same
      throw failure;
    }
  }

  /** Addresses that the engine knows nothing of. One that cannot be released now is found to be nobody's at the next start. */
  async #releaseOwn({ endpoint, attachment }: EndpointRecord): Promise<void> {
    const { registry, releaseAddresses } = this.#parts;
    const { networkId, endpointId, given, ...now } = endpoint;
    const network = registry.findNetwork(networkId)?.network;
    const own = (["address", "addressIpv6"] as const).flatMap((key) => {
      const ofEngine = attachment === undefined ? (given?.[key] ?? now[key]) : undefined;
      return now[key] === ofEngine ? [] : [[key, now[key]] as const];
    });
    if (network === undefined || own.length === 0) return;
    await releaseAddresses(network, { endpointId, ...Object.fromEntries(own) }).catch(() => {});
  }

  /** Removes a network without a record, or with one that cannot be read, by the marks of its links. */
  async unknownNetwork(networkId: NetworkId): Promise<void> {
    const { registry, locks } = this.#parts;
    const isDamaged = registry.damage.has("network", networkId);
    for (const { endpoint } of isDamaged ? registry.endpointsOf(networkId) : [])
      await locks.endpoint(endpoint, () => this.endpointWithoutRules(endpoint));
    await this.#strayNetwork(networkId);
    if (isDamaged) await this.#forgetDamage("network", networkId);
  }

  /** Removes an endpoint without a record, or with one that cannot be read. The caller holds its lock. */
  async unknownEndpoint(ref: Pick<Endpoint, "endpointId">): Promise<void> {
    await this.strayEndpoint(ref);
    if (this.#parts.registry.damage.has("endpoint", ref.endpointId))
      await this.#forgetDamage("endpoint", ref.endpointId);
  }

  /** With the last damage goes what the rules held only because nobody could say whose it is. */
  async #forgetDamage(kind: "network" | "endpoint", id: string): Promise<void> {
    const { registry, firewall } = this.#parts;
    await registry.damage.remove(kind, id);
    if (!registry.damage.isPartial) await firewall.apply(registry.firewallState());
  }

  async #strayNetwork(networkId: NetworkId): Promise<void> {
    const inUse = this.#parts.registry.switchesInUse();
    await this.#onEach(`network ${short(networkId)} cannot be removed`, (datapath) =>
      datapath.removeStraySwitch(networkId, inUse),
    );
  }

  /** Removes the links of an endpoint without a record, by their marks. The caller holds its lock. */
  async strayEndpoint({ endpointId }: Pick<Endpoint, "endpointId">): Promise<void> {
    for (const { host: hostIfName } of endpointNames(endpointId)) {
      await this.#onEach(`endpoint ${short(endpointId)} cannot be removed`, (datapath) =>
        datapath.detach({ endpointId, hostIfName }),
      );
    }
  }

  /** For what no record says where it is. A kind of switch that is away keeps nobody from removing what is not on it. */
  async #onEach(what: string, task: (datapath: Datapath) => Promise<void>): Promise<void> {
    const steps = Object.values(this.#parts.datapaths).map((datapath) => async () => {
      await task(datapath).catch((failure: unknown) => {
        if (!(failure instanceof TsnetError) || failure.code !== "unavailable") throw failure;
      });
    });
    await runAll(what, steps);
  }

  /** Removes an endpoint that the engine forgot, with its addresses as far as no other has them. The caller holds its lock. */
  async lostEndpoint(endpoint: Endpoint): Promise<void> {
    const { registry, releaseAddresses } = this.#parts;
    const network = registry.findNetwork(endpoint.networkId)?.network;
    const { address, addressIpv6, ...rest } = { ...endpoint, ...endpoint.given }; // what it got besides goes with it
    const others = registry
      .endpointsOf(endpoint.networkId)
      .filter((other) => other.endpoint.endpointId !== endpoint.endpointId);
    const isFree = (text: string) =>
      others.every((other) => other.endpoint.address !== text && other.endpoint.addressIpv6 !== text);
    const lost = {
      ...rest,
      ...(address !== undefined && isFree(address) && { address }),
      ...(addressIpv6 !== undefined && isFree(addressIpv6) && { addressIpv6 }),
    };
    const isEngines = registry.findEndpoint(endpoint.endpointId)?.attachment === undefined; // else they go with the record
    if (network !== undefined && isEngines) await releaseAddresses(network, lost);
    await this.endpoint(endpoint);
  }

  /** Removes a network that the engine forgot, with what is left of its endpoints. The caller holds the lock of all networks. */
  async lostNetwork(networkId: NetworkId): Promise<void> {
    const { registry, locks } = this.#parts;
    const known = registry.findNetwork(networkId);
    if (known === undefined) return;
    for (const { endpoint } of registry.endpointsOf(networkId))
      await locks.endpoint(endpoint, () => this.endpoint(endpoint));
    await this.network(known.network);
  }

  /** Removes a network that only waited for its last endpoint. */
  async finishNetworkOf(networkId: NetworkId): Promise<void> {
    const { registry, locks } = this.#parts;
    if (registry.findNetwork(networkId)?.state !== "removing") return;
    await locks.networks(async () => {
      const known = registry.findNetwork(networkId);
      if (known?.state === "removing" && registry.endpointsOf(networkId).length === 0)
        await this.network(known.network);
    });
  }
}

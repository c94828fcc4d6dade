// Publishing the ports of one endpoint, step by step. The sockets come first: they choose the numbers and say whether
// the ports are free, and they end with the process, so that a crash before the record leaves nothing behind. Then the
// record, then the rules. Withdrawing begins with the record: what it does not name, recovery takes out of the rules.
import { TsnetError } from "../errors.ts";
import { type Undo, withUndo } from "../undo.ts";
import { bindingOf, collides, isSameBindings } from "./bindings.ts";
import type { Endpoint, EndpointId } from "./endpoint.ts";
import type { GuardedEndpoint } from "./firewall.ts";
import type { Network } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import type { PortBinding, PublishedPort, RelayTarget } from "./ports.ts";
import { type EndpointRecord, short } from "./registry.ts";

/** Whether ports of the host lead to the network's endpoints. In mode routed they are open at their own addresses. */
export function usesHostPorts(network: Network): boolean {
  return network.mode === "nat" && !network.isInternal;
}

/** Whether frames leave by the port by which they came: by option, or when the endpoint may ask for its own published port. */
export function needsHairpin(network: Network, { ports }: Pick<EndpointRecord, "ports">): boolean {
  return network.switchSettings.hairpin === true || (usesHostPorts(network) && ports !== undefined);
}

/**
 * Whether the network's endpoints publish their ports when they join. The engine asks endpoints with a gateway to publish
 * and no others (cnm-protocol.md 2.9).
 */
export function publishesAtJoin(network: Network): boolean {
  return network.isHostOnSwitch && !network.isInternal && !network.hasDefaultRoute;
}

/** Publishes and withdraws. The caller of each method that changes something holds the endpoint's lock. */
export class Publishing {
  readonly #parts: CnmParts;

  constructor(parts: CnmParts) {
    this.#parts = parts;
  }

  /**
   * Publishes these bindings, at least one, in place of what the endpoint had. If it has them already nothing is done,
   * and numbers that were chosen stay.
   *
   * @throws TsnetError `conflict` for a port that is taken, `unsupported`, `host`; then everything is as before.
   */
  async replace(record: EndpointRecord, bindings: readonly PortBinding[], signal: AbortSignal): Promise<void> {
    const { registry, firewall, datapaths, ports: holder } = this.#parts;
    const { endpoint, ports: former = [] } = record;
    const network = registry.requireNetwork(endpoint.networkId);
    if (former.length > 0 && isSameBindings(bindings, record.bindings ?? [])) return;
    await withUndo(async (undo) => {
      if (former.length > 0) undo.add(async () => void (await this.#hold(network, endpoint, former.map(bindingOf))));
      await holder.release(endpoint.endpointId);
      const ports = await this.hold(network, endpoint, bindings, undo);
      // Undone after the record: what applies all rules in between goes by the record.
      undo.add(() => firewall.ensureEndpoint({ network, endpoint, ports: former }, ports));
      undo.add(() => registry.putEndpoint(record));
      await registry.putEndpoint({ ...record, bindings, ports });
      await firewall.ensureEndpoint({ network, endpoint, ports }, former);
      if (usesHostPorts(network)) {
        const datapath = datapaths[network.backend];
        undo.add(() => datapath.ensureHairpin(endpoint, needsHairpin(network, record)));
        await datapath.ensureHairpin(endpoint, true);
      }
      signal.throwIfAborted();
    });
  }

  /** Withdraws what a joined endpoint publishes. @throws TsnetError `host`; then the ports are published still. */
  async withdraw(record: EndpointRecord): Promise<void> {
    const { firewall, datapaths } = this.#parts;
    const { endpoint, ports: former = [] } = record;
    if (former.length === 0) return;
    const network = this.#networkOf(record);
    const kept = { ...sandboxOf(record), ...bindingsToKeep(network, record), ...attachmentOf(record) };
    const next: EndpointRecord = { endpoint, state: record.state, ...kept };
    await this.#retreat(record, next, {
      change: () => firewall.ensureEndpoint({ network, endpoint, ports: [] }, former),
      restore: () => firewall.ensureEndpoint({ network, endpoint, ports: former }, []),
    });
    if (usesHostPorts(network)) await datapaths[network.backend].ensureHairpin(endpoint, needsHairpin(network, next));
  }

  /** Takes from a joined endpoint what it publishes and its place in the rules. Its link stays. */
  async leave(record: EndpointRecord): Promise<void> {
    const { firewall } = this.#parts;
    const { endpoint, ports = [] } = record;
    const network = this.#networkOf(record);
    const kept = { ...bindingsToKeep(network, record), ...attachmentOf(record) };
    const next = { endpoint, state: "created", ...kept } as const;
    const guarded = { network, endpoint, ports };
    await this.#retreat(record, next, {
      change: () => firewall.removeEndpoint(guarded),
      restore: () => firewall.ensureEndpoint(guarded),
    });
  }

  /** First the record, then the rules, and when both have succeeded the sockets. */
  async #retreat(
    record: EndpointRecord,
    next: EndpointRecord,
    rules: { readonly change: () => Promise<void>; readonly restore: () => Promise<void> },
  ): Promise<void> {
    const { registry, ports: holder } = this.#parts;
    await withUndo(async (undo) => {
      undo.add(rules.restore); // after the record as well
      undo.add(() => registry.putEndpoint(record));
      await registry.putEndpoint(next);
      await rules.change();
    });
    await holder.release(record.endpoint.endpointId);
  }

  /**
   * Reserves the ports, all or none.
   *
   * @returns what is published by it, numbers chosen.
   */
  async hold(
    network: Network,
    endpoint: Endpoint,
    bindings: readonly PortBinding[],
    undo: Undo,
  ): Promise<readonly PublishedPort[]> {
    undo.add(() => this.#parts.ports.release(endpoint.endpointId));
    const ports = await this.#hold(network, endpoint, bindings);
    this.#refuseRecorded(endpoint.endpointId, ports);
    return ports;
  }

  async #hold(
    network: Network,
    endpoint: Endpoint,
    bindings: readonly PortBinding[],
  ): Promise<readonly PublishedPort[]> {
    if (!usesHostPorts(network)) return bindings.map(asPort);
    return this.#parts.ports.hold(endpoint.endpointId, bindings, relayTarget(endpoint));
  }

  /** Ports of other endpoints that could not be held again after a restart are theirs all the same: the rules say so. */
  #refuseRecorded(endpointId: EndpointId, ports: readonly PublishedPort[]): void {
    for (const other of this.#parts.registry.endpoints()) {
      if (other.endpoint.endpointId === endpointId) continue;
      const taken = ports.find((port) => port.hostPort > 0 && other.ports?.some((theirs) => collides(port, theirs)));
      if (taken === undefined) continue;
      const what = `${taken.protocol} port ${taken.hostPort} of ${taken.hostAddress || "all addresses"}`;
      throw new TsnetError("conflict", `${what} is published by endpoint ${short(other.endpoint.endpointId)}`);
    }
  }

  /** The endpoint, if it publishes ports of the host that are not reserved, as after a start. */
  findUnheld(endpointId: EndpointId): GuardedEndpoint | undefined {
    const { registry, ports: holder } = this.#parts;
    const record = registry.findEndpoint(endpointId);
    const network = record && registry.findNetwork(record.endpoint.networkId)?.network;
    if (record?.state !== "joined" || record.ports === undefined || network === undefined) return undefined;
    const isHeld = !usesHostPorts(network) || holder.heldBy(endpointId).length > 0;
    return isHeld ? undefined : { network, endpoint: record.endpoint, ports: record.ports };
  }

  /** Reserves what an endpoint publishes, if that is not reserved. @throws TsnetError `conflict` if it is taken by now. */
  async holdAgain(endpointId: EndpointId): Promise<void> {
    const unheld = this.findUnheld(endpointId);
    if (unheld !== undefined) await this.#hold(unheld.network, unheld.endpoint, unheld.ports.map(bindingOf));
  }

  /** Has what is published of an endpoint lead to the addresses that it has now. @throws TsnetError; then it leads where it led. */
  async relayTo(network: Network, former: Endpoint, { endpoint, ports = [] }: EndpointRecord): Promise<void> {
    const { ports: holder } = this.#parts;
    if (holder.heldBy(endpoint.endpointId).length === 0) return;
    const bindings = ports.map(bindingOf);
    await withUndo(async (undo) => {
      undo.add(async () => void (await this.#hold(network, former, bindings)));
      await holder.release(endpoint.endpointId);
      await this.#hold(network, endpoint, bindings);
    });
  }

  #networkOf({ endpoint }: EndpointRecord): Network {
    const known = this.#parts.registry.findNetwork(endpoint.networkId);
    if (known !== undefined) return known.network;
    throw new TsnetError("internal", `the network of endpoint ${short(endpoint.endpointId)} has no record`);
  }
}

/** A port that needs none of the host: the number, if any, is the one that was asked for. */
function asPort({ protocol, containerPort, hostAddress, hostPort }: PortBinding): PublishedPort {
  return { protocol, containerPort, hostAddress, hostPort };
}

function sandboxOf({ sandboxKey }: EndpointRecord): Pick<EndpointRecord, "sandboxKey"> {
  return sandboxKey === undefined ? {} : { sandboxKey };
}

function attachmentOf({ attachment }: EndpointRecord): Pick<EndpointRecord, "attachment"> {
  return attachment === undefined ? {} : { attachment };
}

/** What was asked for is forgotten with its end, unless it is published again when the endpoint joins again. */
function bindingsToKeep(network: Network, { bindings }: EndpointRecord): Pick<EndpointRecord, "bindings"> {
  return bindings !== undefined && publishesAtJoin(network) ? { bindings } : {};
}

/** The addresses without their prefix lengths. */
function relayTarget({ address, addressIpv6 }: Endpoint): RelayTarget {
  const [bare] = address?.split("/") ?? [];
  const [bareIpv6] = addressIpv6?.split("/") ?? [];
  return { ...(bare !== undefined && { address: bare }), ...(bareIpv6 !== undefined && { addressIpv6: bareIpv6 }) };
}

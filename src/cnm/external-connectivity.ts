// Which endpoint of a container publishes its ports, and when. The engine says it of endpoints with a gateway, by
// ProgramExternalConnectivity and RevokeExternalConnectivity (cnm-protocol.md 2.9), one at a time. Of endpoints without
// one it says nothing: those publish what came with CreateEndpoint when they join, unless another endpoint in the same
// sandbox does, and stand back as soon as the engine names one. tsnet knows no containers, only sandboxes.
import { TsnetError, inContext } from "../errors.ts";
import { type Undo, withUndo } from "../undo.ts";
import { planBindings } from "./bindings.ts";
import type { EndpointRef } from "./endpoint.ts";
import type { Network, NetworkMode } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import type { PortBinding, PublishedPort } from "./ports.ts";
import { Publishing, publishesAtJoin } from "./publishing.ts";
import { type EndpointRecord, short } from "./registry.ts";
import { Removal } from "./removal.ts";
import type { CreateEndpoint, ProgramExternalConnectivity } from "./requests.ts";

const WITHOUT_PORTS = {
  l2: "mode l2 has no address of the host to publish them on, its endpoints are reached at their own",
  isolated: "nothing gets into a network of mode isolated",
} as const satisfies Partial<Record<NetworkMode, string>>;

/** The verbs about published ports, and what Join has to do with them. */
export class ExternalConnectivity {
  readonly #parts: CnmParts;
  readonly #publishing: Publishing;
  readonly #removal: Removal;

  constructor(parts: CnmParts) {
    this.#parts = parts;
    this.#publishing = new Publishing(parts);
    this.#removal = new Removal(parts);
  }

  /** `ProgramExternalConnectivity`: publishes in place of what was published. Nothing is done for `--internal`. */
  async program(request: ProgramExternalConnectivity, signal: AbortSignal): Promise<void> {
    if (request.portMap.length === 0) return this.revoke(request);
    const network = this.#parts.registry.requireNetwork(request.networkId);
    if (network.isInternal) return;
    const task = async (undo: Undo) => {
      const bindings = this.#plan(request, network);
      if (!publishesAtJoin(network)) await this.#standBack(request, undo);
      const publish = async () => {
        const record = this.#requireJoined(request);
        if (bindings.length === 0) return this.#publishing.withdraw(record);
        return this.#publishing.replace(record, bindings, signal);
      };
      await this.withoutDead(() => this.#parts.locks.endpoint(request, publish));
    };
    await withUndo(task).catch((failure: unknown) => {
      throw inContext(`ports of endpoint ${short(request.endpointId)} cannot be published`, failure);
    });
  }

  #plan(request: ProgramExternalConnectivity, network: Network): readonly PortBinding[] {
    const { portMap, isHostIpv6Elsewhere = false } = request;
    refuseMode(network);
    const { endpoint } = this.#requireJoined(request);
    return planBindings(portMap, { network, endpoint, isHostIpv6Elsewhere });
  }

  #requireJoined(ref: EndpointRef): EndpointRecord {
    const record = this.#parts.registry.requireEndpoint(ref);
    if (record.state === "joined") return record;
    throw new TsnetError("conflict", "it has not joined a sandbox");
  }

  /** `RevokeExternalConnectivity`: withdraws. An endpoint that publishes nothing, or is not known, is no failure. */
  async revoke(ref: EndpointRef): Promise<void> {
    await this.#parts.locks.endpoint(ref, async () => {
      const record = this.#parts.registry.findEndpoint(ref.endpointId);
      if (record?.state !== "joined") return;
      await this.#publishing.withdraw(record).catch((failure: unknown) => {
        throw inContext(`ports of endpoint ${short(ref.endpointId)} cannot be withdrawn`, failure);
      });
    });
  }

  /** What `CreateEndpoint` has to keep for `Join`. @throws TsnetError `invalid` with all faults. */
  planForJoin(request: CreateEndpoint, network: Network): readonly PortBinding[] {
    const { portMap = [] } = request;
    return publishesAtJoin(network) ? planBindings(portMap, { network, endpoint: request }) : [];
  }

  /** Reserves what an endpoint publishes when it joins that sandbox; nothing for most. The caller holds its lock. */
  async holdForJoin(
    network: Network,
    { endpoint, bindings = [] }: EndpointRecord,
    sandboxKey: string,
    undo: Undo,
  ): Promise<readonly PublishedPort[]> {
    if (bindings.length === 0 || this.#publishersIn(sandboxKey).length > 0) return [];
    return this.#publishing.hold(network, endpoint, bindings, undo).catch((failure: unknown) => {
      throw inContext(`ports of endpoint ${short(endpoint.endpointId)} cannot be published`, failure);
    });
  }

  /** Endpoints of the same sandbox that publish of their own accord withdraw their ports. */
  async #standBack({ endpointId }: EndpointRef, undo: Undo): Promise<void> {
    const { registry, locks } = this.#parts;
    const sandboxKey = registry.findEndpoint(endpointId)?.sandboxKey;
    for (const { endpoint } of sandboxKey === undefined ? [] : this.#publishersIn(sandboxKey)) {
      if (endpoint.endpointId === endpointId) continue;
      await locks.endpoint(endpoint, async () => {
        const record = registry.findEndpoint(endpoint.endpointId);
        const network = registry.findNetwork(endpoint.networkId)?.network;
        if (record?.state !== "joined" || network === undefined || !publishesAtJoin(network)) return;
        undo.add(() => this.#publishAgain(record));
        await this.#publishing.withdraw(record);
      });
    }
  }

  async #publishAgain({ endpoint, bindings = [] }: EndpointRecord): Promise<void> {
    await this.#parts.locks.endpoint(endpoint, async () => {
      const record = this.#parts.registry.findEndpoint(endpoint.endpointId);
      if (record?.state === "joined") await this.#publishing.replace(record, bindings, new AbortController().signal);
    });
  }

  #publishersIn(sandboxKey: string): readonly EndpointRecord[] {
    const isPublisher = ({ state, ports, sandboxKey: key }: EndpointRecord) =>
      state === "joined" && ports !== undefined && key === sandboxKey;
    return this.#parts.registry.endpoints().filter(isPublisher);
  }

  /**
   * Runs a task that may find a port taken. If it is, the task is run once more when there were endpoints with ports
   * that are dead: the engine never told their end, as when tsnet was away. The caller holds no endpoint's lock.
   */
  async withoutDead<T>(task: () => Promise<T>): Promise<T> {
    const publishers = this.#parts.registry.endpoints().filter(({ ports }) => ports !== undefined);
    try {
      return await task();
    } catch (failure) {
      const isTaken = failure instanceof TsnetError && failure.code === "conflict";
      if (!isTaken || !(await this.#removeDead(publishers))) throw failure;
      return task();
    }
  }

  /** @returns whether there were any, also if they have withdrawn their ports by now. */
  async #removeDead(publishers: readonly EndpointRecord[]): Promise<boolean> {
    const { registry, links, locks } = this.#parts;
    let wereAny = false;
    for (const { endpoint } of publishers) {
      if (await links.isNameTaken(endpoint.hostIfName)) continue;
      await locks.endpoint(endpoint, async () => {
        if (await links.isNameTaken(endpoint.hostIfName)) return; // a Join may have been under way
        wereAny = true;
        const isPublishing = registry.findEndpoint(endpoint.endpointId)?.ports !== undefined;
        if (isPublishing) await this.#removal.endpoint(endpoint); // else it has just left
      });
    }
    return wereAny;
  }
}

function refuseMode({ mode }: Network): void {
  if (mode !== "l2" && mode !== "isolated") return;
  const hint = "they are published in the modes nat and routed; run it without -p and -P";
  throw new TsnetError("unsupported", `${WITHOUT_PORTS[mode]}; ${hint}`);
}

// The NetworkDriver verbs: what happens, in which order. Every verb that makes something checks first, writes its
// record, changes the host, and takes all of it back if a step fails. Every verb that removes something goes on after
// a failure, and what it could not finish keeps its record and is finished by `reconcile.ts`. The verbs of networks are
// here, those of endpoints in `endpoint-verbs.ts`, those of published ports in `external-connectivity.ts`.
import { isDeepStrictEqual } from "node:util";
import { TsnetError } from "../errors.ts";
import { withUndo } from "../undo.ts";
import { createdNetwork } from "./created-network.ts";
import { dryRunAnswer, isDryRun, rehearse } from "./dry-run.ts";
import type { EndpointRef } from "./endpoint.ts";
import { EndpointVerbs } from "./endpoint-verbs.ts";
import { ExternalConnectivity } from "./external-connectivity.ts";
import { isOutOfUse } from "./lost-endpoints.ts";
import { isAbandoned } from "./lost-networks.ts";
import type { Network, NetworkId, PlannedNetwork } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import type { PoolKeeper } from "./pool-keeper.ts";
import { placeNetwork } from "./placement.ts";
import { planNetwork, planOptions } from "./plan.ts";
import { modeOf } from "./plan-switch.ts";
import { requirePossible } from "./possible.ts";
import { short } from "./registry.ts";
import { Removal } from "./removal.ts";
import type * as verbs from "./requests.ts";
import { statusOf, statusOfEndpoint } from "./status.ts";
import { doSubnetsMeet, refuseOverlap } from "./switch-sharing.ts";

/** The verbs on one host. */
export class Cnm implements verbs.CnmDriver {
  readonly #parts: CnmParts;
  readonly #removal: Removal;
  readonly #endpoints: EndpointVerbs;
  readonly #external: ExternalConnectivity;

  constructor(parts: CnmParts) {
    this.#parts = parts;
    this.#removal = new Removal(parts);
    this.#endpoints = new EndpointVerbs(parts);
    this.#external = new ExternalConnectivity(parts);
  }

  checkGatewayAllocation(request: verbs.NetworkOptions): { skipIpv4: boolean; skipIpv6: boolean } {
    const isUnused = modeOf(planOptions(request)) === "isolated";
    return { skipIpv4: isUnused, skipIpv6: isUnused };
  }

  async createNetwork(request: verbs.CreateNetwork, signal: AbortSignal): Promise<void> {
    const { registry, locks, pools } = this.#parts;
    const planned = planNetwork(request);
    const { addressSpace } = planned;
    await locks.networks(async () => {
      const known = registry.findNetwork(planned.id);
      if (known !== undefined) return this.#repeatNetwork(known.network, planned);
      try {
        if (isDryRun(request)) throw dryRunAnswer(await rehearse(planned, this.#parts));
        await this.#makeNetwork(planned, signal);
        for (const { subnet } of planned.pools) pools.claim(addressSpace, subnet);
      } catch (failure) {
        for (const { subnet } of planned.pools) pools.refuse(addressSpace, subnet);
        throw failure;
      }
    });
  }

  async #makeNetwork(planned: PlannedNetwork, signal: AbortSignal): Promise<void> {
    const { registry, datapaths, firewall } = this.#parts;
    registry.damage.requireReadable("network", planned.id);
    registry.damage.requireComplete();
    const poolIds = poolIdsOf(planned, this.#parts.pools);
    await this.#removeAbandoned(planned);
    refuseOverlap(
      planned,
      registry.networks().map(({ network: other }) => other),
    );
    const network = { ...(await placeNetwork(planned, this.#parts)), ...(poolIds !== undefined && { poolIds }) };
    await requirePossible(network, this.#parts);
    await withUndo(async (undo) => {
      undo.add(() => this.#removal.network(network));
      await registry.putNetwork(network, "creating");
      await firewall.apply(registry.firewallState()); // first: what the host says on a new switch goes by them
      await datapaths[network.backend].ensureNetwork(network, registry.sharersOf(network));
      await registry.putNetwork(network, "ready");
      signal.throwIfAborted();
    });
  }

  /** Networks that the engine has no more must not keep their subnets from the next one. */
  async #removeAbandoned(planned: PlannedNetwork): Promise<void> {
    for (const { network, state } of this.#parts.registry.networks()) {
      if (state !== "ready" || !doSubnetsMeet(planned, network)) continue;
      if (await isAbandoned(network, this.#parts)) await this.#removal.lostNetwork(network.id);
    }
  }

  async #repeatNetwork(known: Network, planned: PlannedNetwork): Promise<void> {
    const { registry, datapaths, firewall } = this.#parts;
    const { auxAddresses: _aux, ...wanted } = planned; // not in every record
    if (!isDeepStrictEqual(createdNetwork(known), wanted))
      throw new TsnetError("conflict", `network ${short(known.id)} exists already, with other options`);
    registry.requireNetwork(known.id);
    await firewall.apply(registry.firewallState());
    await datapaths[known.backend].ensureNetwork(known, registry.sharersOf(known));
  }

  async deleteNetwork(networkId: NetworkId): Promise<void> {
    const { registry, links, locks } = this.#parts;
    await locks.networks(async () => {
      const known = registry.findNetwork(networkId);
      if (known === undefined) return this.#removal.unknownNetwork(networkId);
      await registry.putNetwork(known.network, "removing");
      await this.#releasePools(known.network);
      for (const { endpoint, state } of registry.endpointsOf(networkId)) {
        const isOver = state !== "joined" || (await isOutOfUse(links, endpoint));
        if (isOver) await locks.endpoint(endpoint, () => this.#removal.endpoint(endpoint));
      }
      const left = registry.endpointsOf(networkId);
      if (left.length > 0) {
        const attached = left.flatMap(({ attachment }) => attachment?.owner.name ?? []);
        const advice = attached.length > 0 ? `; \`tsnet detach\` takes ${attached.join(", ")} off` : "";
        const why = `${left.length} of its endpoints are joined; it goes with the last of them${advice}`;
        throw new TsnetError("conflict", `network ${short(networkId)} cannot be removed now: ${why}`);
      }
      await this.#removal.network(known.network);
    });
  }

  /** The engine has given the pools back before. What is there of them still was given back while tsnet was away. */
  async #releasePools({ addressSpace, pools }: Network): Promise<void> {
    for (const { subnet } of pools) await this.#parts.pools.release(addressSpace, subnet);
  }

  async createEndpoint(request: verbs.CreateEndpoint, signal: AbortSignal): Promise<{ mac?: string }> {
    return this.#endpoints.create(request, signal);
  }

  async deleteEndpoint(ref: EndpointRef): Promise<void> {
    await this.#endpoints.delete(ref);
  }

  async join(request: verbs.Join, signal: AbortSignal): Promise<verbs.JoinResult> {
    return this.#endpoints.join(request, signal);
  }

  async leave(ref: EndpointRef): Promise<void> {
    await this.#endpoints.leave(ref);
  }

  async programExternalConnectivity(request: verbs.ProgramExternalConnectivity, signal: AbortSignal): Promise<void> {
    await this.#external.program(request, signal);
  }

  async revokeExternalConnectivity(ref: EndpointRef): Promise<void> {
    await this.#external.revoke(ref);
  }

  describeEndpoint({ endpointId }: EndpointRef): verbs.EndpointStatus | undefined {
    const record = this.#parts.registry.findEndpoint(endpointId);
    return record && statusOfEndpoint(record);
  }

  describe(maxEntries?: number): verbs.CnmStatus {
    return statusOf(this.#parts.registry, maxEntries);
  }
}

function poolIdsOf({ addressSpace, pools }: PlannedNetwork, keeper: PoolKeeper): Network["poolIds"] {
  const known = pools.flatMap(({ subnet }) => {
    const id = keeper.idForNew(addressSpace, subnet);
    return id === undefined ? [] : [[subnet, id] as const];
  });
  return known.length === 0 ? undefined : Object.fromEntries(known);
}

// The verbs of one endpoint: what happens, in which order. An endpoint is recorded by CreateEndpoint; Join makes its
// place in the rules, then its link, so that no frame passes a port that has no rules; Leave takes both, also the end that
// the container has: the engine would take longer to move that out than the kernel takes to delete it, and does without.
import { isDeepStrictEqual } from "node:util";
import { TsnetError, inContext } from "../errors.ts";
import { withUndo } from "../undo.ts";
import type { Attachment } from "./attachment.ts";
import { callOwner } from "./attachment-address.ts";
import type { Endpoint, EndpointRef } from "./endpoint.ts";
import { ExternalConnectivity } from "./external-connectivity.ts";
import { joinResult } from "./join-result.ts";
import { endpointNames } from "./names.ts";
import type { Network } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import { planEndpoint } from "./plan-endpoint.ts";
import { Publishing, needsHairpin } from "./publishing.ts";
import { type EndpointRecord, short } from "./registry.ts";
import { Removal } from "./removal.ts";
import type * as verbs from "./requests.ts";
import { refuseSharedMac } from "./shared-mac.ts";

/** CreateEndpoint, DeleteEndpoint, Join, Leave. */
export class EndpointVerbs {
  readonly #parts: CnmParts;
  readonly #removal: Removal;
  readonly #publishing: Publishing;
  readonly #external: ExternalConnectivity;

  constructor(parts: CnmParts) {
    this.#parts = parts;
    this.#removal = new Removal(parts);
    this.#publishing = new Publishing(parts);
    this.#external = new ExternalConnectivity(parts);
  }

  /** @returns the MAC that tsnet chose; absent when the request had one. @param attachment - of one that is not the engine's. */
  async create(request: verbs.CreateEndpoint, signal: AbortSignal, attachment?: Attachment): Promise<{ mac?: string }> {
    const { registry, locks } = this.#parts;
    await this.#makeWay(request);
    return locks.endpoint(request, async () => {
      const network = registry.requireNetwork(request.networkId);
      registry.damage.requireReadable("endpoint", request.endpointId);
      const planned = planEndpoint(request, network);
      const answer = request.mac === undefined ? { mac: planned.mac } : {};
      const known = registry.findEndpoint(request.endpointId)?.endpoint;
      if (known !== undefined) {
        if (isSame(planned, known)) return answer;
        throw new TsnetError("conflict", `endpoint ${short(request.endpointId)} exists already, with other properties`);
      }
      registry.damage.requireComplete();
      const bindings = this.#external.planForJoin(request, network);
      const names = await this.#freeNames(request);
      // While names were looked for the network may have gone or changed, and another endpoint may have got the MAC.
      const present = registry.requireNetwork(request.networkId);
      const endpoint = { ...planEndpoint(request, present), ...names };
      this.#refuseTaken(endpoint, attachment !== undefined);
      refuseSharedMac(endpoint, present, registry);
      await withUndo(async (undo) => {
        undo.add(() => this.#removal.endpoint(endpoint));
        const more = { ...(bindings.length > 0 && { bindings }), ...(attachment !== undefined && { attachment }) };
        await registry.putEndpoint({ endpoint, state: "created", ...more });
        signal.throwIfAborted();
      });
      return answer;
    });
  }

  /** Before the endpoint's own lock: who holds one waits for no other, since a network's change waits for all of them. */
  async #makeWay(request: verbs.CreateEndpoint): Promise<void> {
    const { registry } = this.#parts;
    if (registry.findEndpoint(request.endpointId) !== undefined) return;
    const network = registry.requireNetwork(request.networkId);
    registry.damage.requireReadable("endpoint", request.endpointId);
    const planned = planEndpoint(request, network);
    registry.damage.requireComplete();
    this.#external.planForJoin(request, network);
    await this.#forgetDead(planned, network);
  }

  /**
   * An endpoint whose end the engine never told, as when tsnet was away, must not keep its MAC from the next one: its link
   * is gone, or it never had one, tsnet was away since, and its address was given out again.
   */
  async #forgetDead({ mac, address }: Pick<Endpoint, "mac" | "address">, network: Network): Promise<void> {
    const { registry, links, locks } = this.#parts;
    const holders = registry.endpointsOf(network.id).filter(({ endpoint }) => endpoint.mac === mac);
    for (const { endpoint } of holders.filter((holder) => !registry.isKept(holder))) {
      await locks.endpoint(endpoint, async () => {
        const { endpointId } = endpoint;
        const state = registry.findEndpoint(endpointId)?.state;
        const given = endpoint.given?.address ?? endpoint.address;
        const isReplaced = registry.isOfFormerLife(endpointId) && address !== undefined && given === address;
        const isDead = (state === "joined" || isReplaced) && !(await links.isNameTaken(endpoint.hostIfName));
        if (isDead) await this.#removal.endpoint(endpoint); // its address is the new one's by now
      });
    }
  }

  /**
   * The engine and its IPAM do not know which addresses attachments have, nor which ones endpoints got since.
   *
   * @param isAttachment - of the new one.
   */
  #refuseTaken(
    { networkId, address, addressIpv6 }: Pick<Endpoint, "networkId" | "address" | "addressIpv6">,
    isAttachment: boolean,
  ): void {
    for (const record of this.#parts.registry.endpointsOf(networkId)) {
      const { endpoint, attachment } = record;
      if (attachment === undefined && endpoint.given === undefined && !isAttachment) continue;
      const own = [endpoint.address, endpoint.addressIpv6];
      const shared = [address, addressIpv6].find((text) => text !== undefined && own.includes(text));
      if (shared === undefined) continue;
      const ofAttachment = "`tsnet detach` frees it; --ip-range of `docker network create` keeps Docker from it";
      const advice = attachment === undefined ? "`tsnet set` gave it to it" : ofAttachment;
      throw new TsnetError("conflict", `address ${shared} is in use by ${callOwner(record)}; ${advice}`);
    }
  }

  async #freeNames({ endpointId }: EndpointRef): Promise<Pick<Endpoint, "hostIfName" | "sandboxIfName">> {
    const { links } = this.#parts;
    for (const { host, sandbox } of endpointNames(endpointId)) {
      const taken = [await links.isNameTaken(host), await links.isNameTaken(sandbox)];
      if (!taken.includes(true)) return { hostIfName: host, sandboxIfName: sandbox };
    }
    throw new TsnetError("conflict", `every name for the links of endpoint ${short(endpointId)} is taken on this host`);
  }

  async delete(ref: EndpointRef): Promise<void> {
    const { registry, locks } = this.#parts;
    await locks.endpoint(ref, async () => {
      const known = registry.findEndpoint(ref.endpointId);
      await (known === undefined ? this.#removal.unknownEndpoint(ref) : this.#removal.endpoint(known.endpoint));
    });
    await this.#removal.finishNetworkOf(ref.networkId);
  }

  async join(request: verbs.Join, signal: AbortSignal): Promise<verbs.JoinResult> {
    const { registry, locks } = this.#parts;
    const task = async () => {
      const network = registry.requireNetwork(request.networkId);
      const known = registry.requireEndpoint(request);
      if (known.state === "joined" && known.sandboxKey !== request.sandboxKey) {
        const where = `it is joined to ${known.sandboxKey}`;
        throw new TsnetError(
          "conflict",
          `endpoint ${short(request.endpointId)} cannot join ${request.sandboxKey}: ${where}`,
        );
      }
      const free = await this.#asFree(known);
      if (free !== undefined) await this.#join(network, free, request.sandboxKey, signal);
      return joinResult(network, known.endpoint);
    };
    return this.#external.withoutDead(() => locks.endpoint(request, task));
  }

  /** Of a joined endpoint whose link is gone nothing is in use any more, and the caller is about to look for the link. */
  async #asFree(known: EndpointRecord): Promise<EndpointRecord | undefined> {
    const { registry, links } = this.#parts;
    if (known.state !== "joined") return known;
    if (await links.isNameTaken(known.endpoint.hostIfName)) return undefined;
    await this.#publishing.leave(known);
    return registry.requireEndpoint(known.endpoint);
  }

  async #join(network: Network, known: EndpointRecord, sandboxKey: string, signal: AbortSignal): Promise<void> {
    const { registry, datapaths, firewall } = this.#parts;
    const datapath = datapaths[network.backend];
    const { endpoint } = known;
    await withUndo(async (undo) => {
      const ports = await this.#external.holdForJoin(network, known, sandboxKey, undo);
      const joined = { ...known, state: "joined", sandboxKey, ...(ports.length > 0 && { ports }) } as const;
      const guarded = { network, endpoint, ports };
      // Undone after the record: what applies all rules in between goes by the record.
      undo.add(() => firewall.removeEndpoint(guarded));
      undo.add(() => registry.putEndpoint(known));
      await registry.putEndpoint(joined);
      await firewall.ensureEndpoint(guarded);
      undo.add(() => datapath.detach(endpoint));
      await datapath.attach(network, endpoint, registry.sharersOf(network)).catch((failure: unknown) => {
        throw inContext(`endpoint ${short(endpoint.endpointId)} cannot join network ${short(network.id)}`, failure);
      });
      if (needsHairpin(network, joined)) await datapath.ensureHairpin(endpoint, true);
      if (network.tunnel !== undefined) await datapath.announce(network, endpoint);
      signal.throwIfAborted();
    });
  }

  async leave(ref: EndpointRef): Promise<void> {
    await this.#parts.locks.endpoint(ref, async () => {
      const { registry, datapaths } = this.#parts;
      const known = registry.findEndpoint(ref.endpointId);
      const backend = known && registry.findNetwork(known.endpoint.networkId)?.network.backend;
      if (known?.state !== "joined" || backend === undefined) return;
      await this.#publishing.leave(known);
      await datapaths[backend].detach(known.endpoint);
    });
  }
}

function isSame(planned: object, known: Endpoint): boolean {
  return Object.entries(planned).every(([key, value]) => isDeepStrictEqual(Reflect.get(known, key), value));
}

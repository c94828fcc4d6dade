// The NetworkDriver verbs: what happens, in which order. Every verb that makes something checks first, writes its
// record, changes the host, and takes all of it back if a step fails. Every verb that removes something goes on after
// a failure, and what it could not finish keeps its record and is finished by `reconcile.ts`.
import { contains, parseAddress, parseAddressWithLength, parseSubnet, subnetOf } from "../cidr.ts";
import { TsnetError, inContext } from "../errors.ts";
import { withUndo } from "../undo.ts";
import type { Datapath } from "./datapath.ts";
import type { Endpoint, EndpointRef } from "./endpoint.ts";
import type { Firewall } from "./firewall.ts";
import { isOutOfUse } from "./lost-endpoints.ts";
import { endpointNames, switchNames } from "./names.ts";
import type { IfName, Network, NetworkId } from "./network.ts";
import type { CnmLocks, CnmParts } from "./parts.ts";
import { placeNetwork } from "./placement.ts";
import { type PlannedNetwork, planEndpoint, planNetwork, planOptions, refuseOverlap } from "./plan.ts";
import { type EndpointRecord, type Registry, short } from "./registry.ts";
import { Removal } from "./removal.ts";
import type * as verbs from "./requests.ts";

/** The verbs on one host. */
export class Cnm implements verbs.CnmDriver {
  readonly #registry: Registry;
  readonly #datapath: Datapath;
  readonly #firewall: Firewall;
  readonly #locks: CnmLocks;
  readonly #removal: Removal;

  constructor(parts: CnmParts) {
    this.#registry = parts.registry;
    this.#datapath = parts.datapath;
    this.#firewall = parts.firewall;
    this.#locks = parts.locks;
    this.#removal = new Removal(parts);
  }

  checkGatewayAllocation(request: verbs.NetworkOptions): { skipIpv4: boolean; skipIpv6: boolean } {
    const isUnused = planOptions(request).mode === "isolated";
    return { skipIpv4: isUnused, skipIpv6: isUnused };
  }

  async createNetwork(request: verbs.CreateNetwork, signal: AbortSignal): Promise<void> {
    const { planned, settings } = planNetwork(request);
    await this.#locks.networks(async () => {
      const known = this.#registry.findNetwork(planned.id);
      if (known !== undefined) return this.#repeatNetwork(known.network, planned, settings.bridge);
      refuseOverlap(
        planned,
        this.#registry.networks().map(({ network }) => network),
      );
      const network = await placeNetwork(planned, settings.bridge, this.#registry, this.#datapath);
      await this.#firewall.check(network);
      await withUndo(async (undo) => {
        undo.add(() => this.#removal.network(network));
        await this.#registry.putNetwork(network, "creating");
        await this.#datapath.ensureNetwork(network);
        await this.#firewall.apply(this.#registry.live());
        await this.#registry.putNetwork(network, "ready");
        signal.throwIfAborted();
      });
    });
  }

  async #repeatNetwork(known: Network, planned: PlannedNetwork, bridge: IfName | undefined): Promise<void> {
    const isElsewhere = !(bridge === undefined ? switchNames(known.id) : [bridge]).includes(known.switchName);
    const differs = Object.entries(planned).some(
      ([key, value]) => JSON.stringify(value) !== JSON.stringify(Reflect.get(known, key)),
    );
    if (differs || isElsewhere)
      throw new TsnetError("conflict", `network ${short(known.id)} exists already, with other options`);
    this.#registry.requireNetwork(known.id);
    await this.#datapath.ensureNetwork(known);
    await this.#firewall.apply(this.#registry.live());
  }

  async deleteNetwork(networkId: NetworkId): Promise<void> {
    await this.#locks.networks(async () => {
      const known = this.#registry.findNetwork(networkId);
      if (known === undefined) return this.#datapath.removeStraySwitch(networkId, this.#registry.switchesInUse());
      await this.#registry.putNetwork(known.network, "removing");
      const endpoints = this.#registry.endpointsOf(networkId);
      for (const { endpoint, state } of endpoints) {
        const isOver = state !== "joined" || (await isOutOfUse(this.#datapath, endpoint));
        if (isOver) await this.#locks.endpoint(endpoint, () => this.#removal.endpoint(endpoint));
      }
      const joined = this.#registry.endpointsOf(networkId).length;
      if (joined > 0) {
        const why = `${joined} of its endpoints are joined; it goes with the last of them`;
        throw new TsnetError("conflict", `network ${short(networkId)} cannot be removed now: ${why}`);
      }
      await this.#removal.network(known.network);
    });
  }

  async createEndpoint(request: verbs.CreateEndpoint, signal: AbortSignal): Promise<{ mac?: string }> {
    return this.#locks.endpoint(request, async () => {
      const network = this.#registry.requireNetwork(request.networkId);
      const planned = planEndpoint(request, network);
      const answer = request.mac === undefined ? { mac: planned.mac } : {};
      const known = this.#registry.findEndpoint(request.endpointId)?.endpoint;
      if (known !== undefined) {
        if (isSame(planned, known)) return answer;
        throw new TsnetError("conflict", `endpoint ${short(request.endpointId)} exists already, with other properties`);
      }
      await this.#forgetDead(planned, network);
      const endpoint = { ...planned, ...(await this.#freeNames(request)) };
      // While names were looked for the network may have gone, and another endpoint may have got the MAC.
      this.#registry.requireNetwork(request.networkId);
      this.#refuseSharedMac(planned, network);
      await withUndo(async (undo) => {
        undo.add(() => this.#removal.endpoint(endpoint));
        await this.#registry.putEndpoint({ endpoint, state: "created" });
        signal.throwIfAborted();
      });
      return answer;
    });
  }

  /** An endpoint whose end the engine never told, as when tsnet was away, must not keep its MAC from the next one. */
  async #forgetDead({ mac }: { mac: string }, network: Network): Promise<void> {
    const holders = this.#registry.endpointsOf(network.id).filter(({ endpoint }) => endpoint.mac === mac);
    for (const { endpoint } of holders) {
      await this.#locks.endpoint(endpoint, async () => {
        const isJoined = this.#registry.findEndpoint(endpoint.endpointId)?.state === "joined";
        const isDead = isJoined && !(await this.#datapath.isNameTaken(endpoint.hostIfName));
        if (isDead) await this.#removal.endpoint(endpoint); // its address is the new one's by now
      });
    }
  }

  #refuseSharedMac(planned: { mac: string; endpointId: string }, network: Network): void {
    for (const { id } of this.#registry.networksOn(network.switchName)) {
      const other = this.#registry.endpointsOf(id).find(({ endpoint }) => endpoint.mac === planned.mac);
      if (other === undefined) continue;
      const owner = `endpoint ${short(other.endpoint.endpointId)} of network ${short(id)}`;
      throw new TsnetError("conflict", `MAC address ${planned.mac} is in use on ${network.switchName} by ${owner}`);
    }
  }

  async #freeNames({ endpointId }: EndpointRef): Promise<Pick<Endpoint, "hostIfName" | "sandboxIfName">> {
    for (const { host, sandbox } of endpointNames(endpointId)) {
      const taken = [await this.#datapath.isNameTaken(host), await this.#datapath.isNameTaken(sandbox)];
      if (!taken.includes(true)) return { hostIfName: host, sandboxIfName: sandbox };
    }
    throw new TsnetError("conflict", `every name for the links of endpoint ${short(endpointId)} is taken on this host`);
  }

  async deleteEndpoint(ref: EndpointRef): Promise<void> {
    await this.#locks.endpoint(ref, async () => {
      const known = this.#registry.findEndpoint(ref.endpointId);
      if (known !== undefined) return this.#removal.endpoint(known.endpoint);
      for (const { host } of endpointNames(ref.endpointId)) {
        await this.#datapath.detach({ endpointId: ref.endpointId, hostIfName: host });
      }
    });
    await this.#removal.finishNetworkOf(ref.networkId);
  }

  async join(request: verbs.Join, signal: AbortSignal): Promise<verbs.JoinResult> {
    return this.#locks.endpoint(request, async () => {
      const network = this.#registry.requireNetwork(request.networkId);
      const known = this.#requireEndpoint(request);
      if (known.state === "joined" && known.sandboxKey !== request.sandboxKey) {
        const where = `it is joined to ${known.sandboxKey}`;
        throw new TsnetError(
          "conflict",
          `endpoint ${short(request.endpointId)} cannot join ${request.sandboxKey}: ${where}`,
        );
      }
      if (known.state === "joined") return joinResult(network, known.endpoint);
      const { endpoint } = known;
      await withUndo(async (undo) => {
        undo.add(() => this.#registry.putEndpoint({ endpoint, state: "created" }));
        await this.#registry.putEndpoint({ endpoint, state: "joined", sandboxKey: request.sandboxKey });
        undo.add(() => this.#datapath.detach(endpoint));
        await this.#datapath.attach(network, endpoint).catch((failure: unknown) => {
          throw inContext(`endpoint ${short(endpoint.endpointId)} cannot join network ${short(network.id)}`, failure);
        });
        signal.throwIfAborted();
      });
      return joinResult(network, endpoint);
    });
  }

  #requireEndpoint(ref: EndpointRef): EndpointRecord {
    const known = this.#registry.findEndpoint(ref.endpointId);
    if (known !== undefined && known.endpoint.networkId === ref.networkId && known.state !== "removing") return known;
    throw new TsnetError("not-found", `network ${short(ref.networkId)} has no endpoint ${short(ref.endpointId)}`);
  }

  async leave(ref: EndpointRef): Promise<void> {
    await this.#locks.endpoint(ref, async () => {
      const known = this.#registry.findEndpoint(ref.endpointId);
      if (known?.state === "joined") await this.#registry.putEndpoint({ endpoint: known.endpoint, state: "created" });
    });
  }

  /** Publishing ports is not part of tsnet yet: a container that asks for it is refused rather than left unreachable. */
  async programExternalConnectivity(request: verbs.ProgramExternalConnectivity): Promise<void> {
    if (request.portCount === 0) return;
    const what = `ports of endpoint ${short(request.endpointId)} cannot be published`;
    throw new TsnetError(
      "unsupported",
      `${what}: this version of tsnet has no port publishing; run it without -p and -P`,
    );
  }

  async revokeExternalConnectivity(_ref: EndpointRef): Promise<void> {}
}

function isSame(planned: object, known: Endpoint): boolean {
  return Object.entries(planned).every(([key, value]) => Reflect.get(known, key) === value);
}

/** The gateway of each family is that of the subnet in which the endpoint's address lies. */
function joinResult(network: Network, endpoint: Endpoint): verbs.JoinResult {
  const hasGateway = network.hasDefaultRoute && !network.isInternal && network.mode !== "isolated";
  const gateway = hasGateway ? gatewayOf(network, endpoint.address) : undefined;
  const gatewayIpv6 = hasGateway ? gatewayOf(network, endpoint.addressIpv6) : undefined;
  return {
    sourceName: endpoint.sandboxIfName,
    destinationPrefix: network.ifPrefix,
    ...(gateway && { gateway }),
    ...(gatewayIpv6 && { gatewayIpv6 }),
    routes: network.routes.filter(({ via }) => isNextHop(via, endpoint)),
    isGatewayServiceDisabled: gateway === undefined,
  };
}

function gatewayOf(network: Network, address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  const bare = parseAddressWithLength(address).address;
  return network.pools.find(({ subnet }) => contains(parseSubnet(subnet), bare))?.gateway;
}

/** Whether the endpoint can send by that router: it lies in the endpoint's own subnet and is another endpoint. */
function isNextHop(via: string, endpoint: Endpoint): boolean {
  const own = via.includes(":") ? endpoint.addressIpv6 : endpoint.address;
  if (own === undefined) return false;
  const { address, prefixLength } = parseAddressWithLength(own);
  const hop = parseAddress(via);
  return hop.value !== address.value && contains(subnetOf(address, prefixLength), hop);
}

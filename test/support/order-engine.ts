// The engine's part in network 2 of the histories, whose addresses tsnet's IPAM gives out: it asks for pool and addresses before
// the network and the endpoints that get them, and gives them back after these.
import type { Cnm } from "../../src/cnm/driver.ts";
import type { EndpointRef } from "../../src/cnm/endpoint.ts";
import type { NetworkId } from "../../src/cnm/network.ts";
import type { Registry } from "../../src/cnm/registry.ts";
import type { CreateEndpoint, CreateNetwork } from "../../src/cnm/requests.ts";
import type { Ipam } from "../../src/ipam/driver.ts";
import { TsnetError } from "../../src/errors.ts";
import { KeyedLock } from "../../src/keyed-lock.ts";
import type { RecordStore } from "../../src/state/record-store.ts";
import { networkId, pool4 } from "./cnm-builder.ts";
import { poolRequest } from "./ipam-builder.ts";

/** Of the network whose addresses are tsnet's to give. */
export const OWN_NETWORK = 2;

const ID = networkId(OWN_NETWORK);

const SUBNET = "10.1.2.0/24";

/** What tsnet chooses from, apart from all addresses that are asked for by name. */
const RANGE = "10.1.2.128/25";

/** What the engine speaks to, and what it has. */
export interface EngineParts {
  readonly cnm: Cnm;
  readonly ipam: Ipam;
  readonly registry: Registry;
  readonly records: RecordStore;
  /** The addresses that it was given and has not given back. */
  readonly held: Set<string>;
}

/** @returns with the pool that a network of the histories has. */
export function withOwnPool(on: number): Pick<CreateNetwork, "pools"> | undefined {
  return on === OWN_NETWORK ? { pools: [{ ...pool4(on), addressSpace: "tsnet" }] } : undefined;
}

/** As long as one process of tsnet lives. */
export class OrderEngine {
  readonly #parts: EngineParts;
  /** One thing at a time with the pool, and with each address. */
  readonly #locks = new KeyedLock();

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  async createNetwork(request: CreateNetwork, signal: AbortSignal): Promise<void> {
    const { cnm, ipam, registry } = this.#parts;
    if (request.networkId !== ID) return cnm.createNetwork(request, signal);
    await this.#locks.run("pool", async () => {
      const isKnown = registry.findNetwork(ID) !== undefined;
      if (!isKnown && this.#poolId() === undefined) await ipam.requestPool(poolRequest(SUBNET, { range: RANGE }));
      await using _end = { [Symbol.asyncDispose]: () => this.#releasePoolUnlessUsed() };
      await cnm.createNetwork(request, signal);
    });
  }

  async deleteNetwork(id: NetworkId): Promise<void> {
    const { cnm } = this.#parts;
    if (id !== ID) return cnm.deleteNetwork(id);
    await this.#locks.run("pool", async () => {
      await using _end = { [Symbol.asyncDispose]: () => this.#releasePoolUnlessUsed() };
      await cnm.deleteNetwork(id);
    });
  }

  async createEndpoint(request: CreateEndpoint, signal: AbortSignal): Promise<void> {
    const { cnm } = this.#parts;
    const { networkId: id, address } = request;
    if (id !== ID || address === undefined) return void (await cnm.createEndpoint(request, signal));
    await this.#locks.run(address, async () => {
      await this.#requestAddress(address);
      await using _end = { [Symbol.asyncDispose]: () => this.#releaseUnlessUsed(address) };
      await cnm.createEndpoint(request, signal);
    });
  }

  async deleteEndpoint(ref: EndpointRef): Promise<void> {
    const { cnm, registry } = this.#parts;
    const known = registry.findEndpoint(ref.endpointId)?.endpoint;
    await cnm.deleteEndpoint(ref);
    const address = known?.given?.address ?? known?.address;
    if (known?.networkId !== ID || address === undefined) return;
    await this.#locks.run(address, () => this.#releaseUnlessUsed(address));
  }

  /** At the end of all. */
  async releasePool(): Promise<void> {
    await this.#locks.run("pool", () => this.#releasePoolUnlessUsed());
  }

  #poolId(): string | undefined {
    return [...this.#parts.records.list("pool").keys()].find((id) => id.startsWith(SUBNET));
  }

  /** Of a network that goes with its last container the engine has no pool any more. */
  async #releasePoolUnlessUsed(): Promise<void> {
    const state = this.#parts.registry.findNetwork(ID)?.state;
    if (state === "ready") return;
    this.#parts.held.clear();
    const id = this.#poolId();
    if (id !== undefined) await this.#parts.ipam.releasePool(id).catch(ignoreFault);
  }

  async #requestAddress(text: string): Promise<void> {
    const { ipam, registry, held } = this.#parts;
    const poolId = this.#poolId();
    if (poolId === undefined || registry.findNetwork(ID)?.state !== "ready")
      throw new TsnetError("not-found", "the engine has no such network");
    if (held.has(text)) return;
    await ipam.requestAddress({ poolId, isGateway: false, address: bare(text) });
    held.add(text);
  }

  async #releaseUnlessUsed(text: string): Promise<void> {
    const { ipam, registry, held } = this.#parts;
    const given = registry
      .endpointsOf(ID)
      .flatMap(({ endpoint, attachment }) => (attachment ? [] : [endpoint.given?.address ?? endpoint.address]));
    const poolId = this.#poolId();
    if (given.includes(text) || !held.delete(text) || poolId === undefined) return;
    await ipam.releaseAddress(poolId, bare(text)).catch(ignoreFault);
  }
}

/** An address without its prefix length. */
export function bare(text: string): string {
  return text.replace(/\/.*/, "");
}

/** The engine writes it into its log, no more. */
function ignoreFault(failure: unknown): void {
  if (!(failure instanceof TsnetError)) throw failure;
}

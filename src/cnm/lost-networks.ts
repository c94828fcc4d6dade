// Networks whose end the engine never told, as when tsnet was away for a moment. The engine takes a network's pools before
// it makes the network, and gives them back before it removes it (cnm-protocol.md 5.1): a network of tsnet's own IPAM
// whose pools are gone is one that the engine has no more.
import type { HostLinks } from "./datapath.ts";
import { isOutOfUse } from "./lost-endpoints.ts";
import type { Network, NetworkId } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import { type Judgement, Patience } from "./patience.ts";
import type { Registry } from "./registry.ts";

/** Between the two calls of the engine lie milliseconds, or the 15 s for which it asks an absent tsnet. */
const GRACE_MS = 20_000;

type Parts = Pick<CnmParts, "registry" | "links" | "pools">;

/** Whether the engine has given the network's pools back, and no container is on it. */
export async function isAbandoned(network: Network, parts: Parts): Promise<boolean> {
  const { registry, links } = parts;
  if (registry.damage.isAbsenceUnproven) return false;
  const hasLostPool = network.pools.some(({ subnet }) => {
    const others = registry.networks().filter((other) => other.network.id !== network.id && has(other.network, subnet));
    if (others.some((other) => other.network.addressSpace === network.addressSpace)) return false; // whose pool it is cannot be told
    return parts.pools.count(network.addressSpace, subnet) === 0;
  });
  return hasLostPool && !(await isInUse(network.id, registry, links));
}

function has({ pools }: Pick<Network, "pools">, subnet: string): boolean {
  return pools.some((pool) => pool.subnet === subnet);
}

/** Whether a container is on the network. */
export async function isInUse(id: NetworkId, registry: Registry, links: HostLinks): Promise<boolean> {
  for (const { endpoint, state } of registry.endpointsOf(id)) {
    if (state === "joined" && !(await isOutOfUse(links, endpoint))) return true;
  }
  return false;
}

/** Finds networks that have been abandoned for 20 s. */
export class LostNetworks {
  readonly #parts: Parts;
  readonly #patience = new Patience<NetworkId>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Looks at all networks. */
  async look(): Promise<Judgement<NetworkId>> {
    const found = new Map<NetworkId, number>();
    for (const { network, state } of this.#parts.registry.networks()) {
      if (state === "ready" && (await isAbandoned(network, this.#parts))) found.set(network.id, GRACE_MS);
    }
    return this.#patience.judge(found);
  }
}

// Taking networks and endpoints away: by the engine's verbs, as the undo of a failed creation, and when recovery
// finishes what was interrupted. The record says `removing` before the host is touched, and goes last.
import { runAll } from "../undo.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Network, NetworkId } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import { short } from "./registry.ts";

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
    const { registry, datapath, firewall } = this.#parts;
    const state = registry.findNetwork(network.id)?.state;
    if (state === undefined) return; // not even recorded, so nothing was made
    const others = registry.networksOn(network.switchName).filter(({ id }) => id !== network.id);
    await runAll(`network ${short(network.id)} cannot be removed`, [
      () => registry.putNetwork(network, "removing"),
      () => datapath.removeNetwork(network, others),
      async () => void (await firewall.apply(registry.live())),
    ]);
    await registry.removeNetwork(network.id);
  }

  /**
   * Removes an endpoint. The caller holds its lock.
   *
   * @throws TsnetError `host` when something is left; then the record stays, as `removing`.
   */
  async endpoint(endpoint: Endpoint): Promise<void> {
    const { registry, datapath } = this.#parts;
    if (registry.findEndpoint(endpoint.endpointId) === undefined) return;
    await runAll(`endpoint ${short(endpoint.endpointId)} cannot be removed`, [
      () => registry.putEndpoint({ endpoint, state: "removing" }),
      () => datapath.detach(endpoint),
    ]);
    await registry.removeEndpoint(endpoint.endpointId);
  }

  /** Removes an endpoint that the engine forgot, with its addresses. The caller holds its lock. */
  async lostEndpoint(endpoint: Endpoint): Promise<void> {
    const { registry, releaseAddresses } = this.#parts;
    const network = registry.findNetwork(endpoint.networkId)?.network;
    if (network !== undefined) await releaseAddresses(network, endpoint);
    await this.endpoint(endpoint);
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

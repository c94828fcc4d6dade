// Endpoints whose end the engine never told: it asks an absent tsnet for 15 s a call, goes on, and never asks again
// (cnm-protocol.md 1.6). A living endpoint has one end of its link on the host and the other one out of sight, in the
// container. When that is not so for a while, nobody uses it any more.
import type { HostLinks } from "./datapath.ts";
import type { Endpoint, EndpointId } from "./endpoint.ts";
import type { Registry } from "./registry.ts";

/** Longer than it takes the engine from `CreateEndpoint` to the moment when it has moved the link into the container. */
const GRACE_MS = 20_000;

/** Whether no container has the endpoint's link: it was moved back to the host, or is gone. */
export async function isOutOfUse(links: HostLinks, endpoint: Endpoint): Promise<boolean> {
  return !(await links.isNameTaken(endpoint.hostIfName)) || links.isNameTaken(endpoint.sandboxIfName);
}

/** Remembers since when endpoints are out of use. */
export class LostEndpoints {
  readonly #registry: Registry;
  readonly #links: HostLinks;
  #since = new Map<EndpointId, number>();

  constructor(registry: Registry, links: HostLinks) {
    this.#registry = registry;
    this.#links = links;
  }

  /**
   * Looks at all endpoints.
   *
   * @returns those that have been out of use at every look for 20 s, and in how many milliseconds to look again for others.
   */
  async look(): Promise<{ readonly lost: readonly Endpoint[]; readonly againInMs?: number }> {
    const now = performance.now();
    const since = new Map<EndpointId, number>();
    const lost: Endpoint[] = [];
    for (const { endpoint, state } of this.#registry.endpoints()) {
      if (state === "removing" || !(await isOutOfUse(this.#links, endpoint))) continue;
      const first = this.#since.get(endpoint.endpointId) ?? now;
      since.set(endpoint.endpointId, first);
      if (now - first >= GRACE_MS) lost.push(endpoint);
    }
    this.#since = since;
    return { lost, ...(since.size > lost.length && { againInMs: GRACE_MS }) };
  }
}

// Endpoints whose end the engine never told: it asks an absent tsnet for 15 s a call, goes on, and never asks again
// (cnm-protocol.md 1.6). A living endpoint has one end of its link on the host and the other one out of sight, in the
// container. When that is not so for a while, nobody uses it any more.
import type { HostLinks } from "./datapath.ts";
import type { Endpoint, EndpointId } from "./endpoint.ts";
import { type Judgement, Patience } from "./patience.ts";
import type { Registry } from "./registry.ts";

/** For so long the engine asks an absent tsnet, and somewhat longer. */
const GRACE_MS = 20_000;

/**
 * Longer than it takes the engine from `CreateEndpoint` to the moment when it has moved the link into the container, also
 * when hundreds of containers start at once on a small host: that takes minutes. If the engine gives up it says so.
 */
const START_GRACE_MS = 600_000;

/** Whether no container has the endpoint's link: it was moved back to the host, or is gone. */
export async function isOutOfUse(links: HostLinks, endpoint: Endpoint): Promise<boolean> {
  const names = new Set<string>();
  for (const name of [endpoint.hostIfName, endpoint.sandboxIfName]) if (await links.isNameTaken(name)) names.add(name);
  return isOutOfUseAmong(names, endpoint);
}

/** @param names - of the links that there are. */
function isOutOfUseAmong(names: ReadonlySet<string>, { hostIfName, sandboxIfName }: Endpoint): boolean {
  return !names.has(hostIfName) || names.has(sandboxIfName);
}

/** Finds endpoints that have been out of use for a while: 20 s, or 10 minutes if they may be about to start. */
export class LostEndpoints {
  readonly #registry: Registry;
  readonly #links: HostLinks;
  readonly #patience = new Patience<EndpointId>();
  /** Of this start of tsnet's, and not seen in a container yet. Absent before the first look, which is at the former ones. */
  #starting: ReadonlySet<EndpointId> | undefined;
  #known: ReadonlySet<EndpointId> = new Set();

  constructor(registry: Registry, links: HostLinks) {
    this.#registry = registry;
    this.#links = links;
  }

  /** Looks at all endpoints. */
  async look(): Promise<Judgement<EndpointId>> {
    const found = new Map<EndpointId, number>();
    const starting = new Set<EndpointId>();
    const records = this.#registry.endpoints();
    const names = await this.#links.names();
    for (const record of records) {
      const { endpoint, state } = record;
      const { endpointId, hostIfName } = endpoint;
      if (state === "removing" || this.#registry.isKept(record) || !isOutOfUseAmong(names, endpoint)) continue;
      if (this.#mayStart(endpointId)) starting.add(endpointId);
      const isGone = state === "joined" && !names.has(hostIfName);
      found.set(endpointId, starting.has(endpointId) && !isGone ? START_GRACE_MS : GRACE_MS);
    }
    this.#starting = starting;
    this.#known = new Set(records.map(({ endpoint }) => endpoint.endpointId));
    return this.#patience.judge(found);
  }

  #mayStart(endpointId: EndpointId): boolean {
    if (this.#starting === undefined) return false;
    return this.#starting.has(endpointId) || !this.#known.has(endpointId);
  }
}

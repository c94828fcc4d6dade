// SetNetwork, SetEndpoint and Plan of the operator's command, put together.
import { ChangeEndpoint } from "./change-endpoint.ts";
import { ChangeNetwork } from "./change-network.ts";
import type { ChangeVerbs, PlanAnswer, PlanNetwork, SetAnswer, SetEndpoint, SetNetwork } from "./change-requests.ts";
import { planOnly } from "./dry-run.ts";
import type { CnmParts } from "./parts.ts";

/** The verbs on one host. */
export class Changes implements ChangeVerbs {
  readonly #parts: CnmParts;
  readonly #network: ChangeNetwork;
  readonly #endpoint: ChangeEndpoint;

  constructor(parts: CnmParts) {
    this.#parts = parts;
    this.#network = new ChangeNetwork(parts);
    this.#endpoint = new ChangeEndpoint(parts);
  }

  async setNetwork(request: SetNetwork, signal: AbortSignal): Promise<SetAnswer> {
    return this.#network.set(request, signal);
  }

  async setEndpoint(request: SetEndpoint, signal: AbortSignal): Promise<SetAnswer> {
    return this.#endpoint.set(request, signal);
  }

  async plan(request: PlanNetwork): Promise<PlanAnswer> {
    return { steps: await planOnly(request, this.#parts) };
  }
}

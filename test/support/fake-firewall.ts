// A firewall that is only remembered: it keeps the networks and endpoints that have rules, polices that a network is
// checked before it gets rules and that no port of the host leads to two endpoints, and can be told to fail.
import { isDeepStrictEqual } from "node:util";
import type { Firewall, FirewallState, GuardedEndpoint } from "../../src/cnm/firewall.ts";
import type { Network } from "../../src/cnm/network.ts";
import type { PublishedPort } from "../../src/cnm/ports.ts";
import { TsnetError } from "../../src/errors.ts";

type Call = "check" | "apply" | "ensureEndpoint" | "removeEndpoint";

/** A firewall in memory. */
export class FakeFirewall implements Firewall {
  readonly calls: string[] = [];
  /** Networks that have rules, by id. */
  rules: readonly string[] = [];
  /** Endpoints that have elements, and their ports in one word each: `tcp *:8080>80`. */
  elements = new Map<string, readonly string[]>();
  /** What `goesByLinks` says. */
  isByLinks = false;
  /** How often something had to be changed. */
  writeCount = 0;
  /** Networks that may get rules without a check: those of the records, as after a restart. */
  isPolicing = true;
  /** Awaited at the start of each call, by its name. */
  onCall: (call: string) => Promise<void> | void = () => {};
  readonly #checked = new Set<string>();
  #failures: { call: Call; times: number; when: "before" | "after" } | undefined;

  /** Makes the next calls of one kind fail; `after`: the rules are made all the same. */
  fail(call: Call, times = 1, when: "before" | "after" = "before"): void {
    this.#failures = { call, times, when };
  }

  async check(network: Network): Promise<void> {
    await this.#call("check", () => void this.#checked.add(network.id));
  }

  goesByLinks(): boolean {
    return this.isByLinks;
  }

  async apply(state: FirewallState): Promise<boolean> {
    let isChange = false;
    await this.#call("apply", () => {
      for (const { id } of state.networks) {
        if (this.isPolicing && !this.#checked.has(id)) throw new TsnetError("internal", "fake: rules before the check");
      }
      const kept = state.isPartial === true ? { rules: this.rules, elements: this.elements } : undefined;
      const rules = [...new Set([...(kept?.rules ?? []), ...state.networks.map(({ id }) => id)])].sort();
      const own = state.endpoints.map(({ endpoint, ports }) => [endpoint.endpointId, wordsOf(ports)] as const);
      const elements = new Map([...(kept?.elements ?? []), ...own]);
      isChange = !isDeepStrictEqual([rules, elements], [this.rules, this.elements]);
      if (isChange) this.writeCount += 1;
      [this.rules, this.elements] = [rules, elements];
    });
    return isChange;
  }

  async ensureEndpoint({ endpoint, ports }: GuardedEndpoint, former: readonly PublishedPort[] = []): Promise<void> {
    await this.#call("ensureEndpoint", () => {
      const gone = wordsOf(former);
      const kept = (this.elements.get(endpoint.endpointId) ?? []).filter((word) => !gone.includes(word));
      const others = [...this.elements].flatMap(([id, words]) => (id === endpoint.endpointId ? [] : words));
      const hostPart = (word: string) => word.replace(/>.*/, "");
      const taken = wordsOf(ports).find((word) => others.map(hostPart).includes(hostPart(word)));
      if (taken !== undefined && !taken.includes(":0>"))
        throw new TsnetError("internal", `fake: ${taken} leads elsewhere`);
      this.writeCount += 1;
      this.elements.set(endpoint.endpointId, [...new Set([...kept, ...wordsOf(ports)])].sort());
    });
  }

  async removeEndpoint({ endpoint, ports }: GuardedEndpoint): Promise<void> {
    await this.#call("removeEndpoint", () => {
      const left = (this.elements.get(endpoint.endpointId) ?? []).filter((word) => !wordsOf(ports).includes(word));
      if (left.length > 0) throw new TsnetError("internal", `fake: ${left.join()} would be left`);
      if (this.elements.delete(endpoint.endpointId)) this.writeCount += 1;
    });
  }

  async #call(call: Call, change: () => void): Promise<void> {
    this.calls.push(call);
    await this.onCall(call);
    await new Promise((resolve) => setImmediate(resolve));
    const isFailing = this.#failures?.call === call && this.#failures.times-- > 0;
    if (!isFailing || this.#failures?.when === "after") change();
    if (isFailing) throw new TsnetError("host", `fake: ${call} failed`);
  }
}

/** Ports in one word each, sorted. */
export function wordsOf(ports: readonly PublishedPort[]): readonly string[] {
  const word = ({ protocol, hostAddress, hostPort, containerPort }: PublishedPort) =>
    `${protocol} ${hostAddress || "*"}:${hostPort}>${containerPort}`;
  return ports.map(word).sort();
}

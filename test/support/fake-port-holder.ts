// Ports of a host that is only remembered: who holds which, as by listening sockets.
import { collides } from "../../src/cnm/bindings.ts";
import type { EndpointId } from "../../src/cnm/endpoint.ts";
import type { PortBinding, PortHolder, PublishedPort, RelayTarget } from "../../src/cnm/ports.ts";
import { TsnetError } from "../../src/errors.ts";

const FIRST_EPHEMERAL = 49_153;

/** A port holder in memory. */
export class FakePortHolder implements PortHolder {
  readonly calls: string[] = [];
  readonly held = new Map<EndpointId, readonly PublishedPort[]>();
  /** Where the relay of each endpoint leads. */
  readonly targets = new Map<EndpointId, RelayTarget>();
  /** Ports that programs of the host have. */
  readonly ofTheHost: PublishedPort[] = [];
  /** How many times ports were taken or given up. */
  writeCount = 0;
  /** Awaited at the start of each call, by its name. */
  onCall: (call: string) => Promise<void> | void = () => {};
  #failures: { readonly call: string; times: number } | undefined;

  /** Makes the next calls of one kind fail, before they do anything. */
  fail(call: "hold" | "release", times = 1): void {
    this.#failures = { call, times };
  }

  async hold(
    endpointId: EndpointId,
    bindings: readonly PortBinding[],
    target: RelayTarget,
  ): Promise<readonly PublishedPort[]> {
    await this.#enter("hold");
    if (this.held.has(endpointId)) throw new TsnetError("internal", "fake: it holds ports already");
    const ports: PublishedPort[] = [];
    for (const binding of bindings) ports.push(this.#choose(binding, ports));
    this.writeCount += 1;
    this.held.set(endpointId, ports);
    this.targets.set(endpointId, target);
    return ports;
  }

  async release(endpointId: EndpointId): Promise<void> {
    await this.#enter("release");
    if (this.held.delete(endpointId)) this.writeCount += 1;
    this.targets.delete(endpointId);
  }

  heldBy(endpointId: EndpointId): readonly PublishedPort[] {
    return this.held.get(endpointId) ?? [];
  }

  async #enter(call: string): Promise<void> {
    this.calls.push(call);
    await this.onCall(call);
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#failures?.call === call && this.#failures.times-- > 0)
      throw new TsnetError("host", `fake: ${call} failed`);
  }

  #choose({ hostPortEnd, ...binding }: PortBinding, own: readonly PublishedPort[]): PublishedPort {
    const taken = [...own, ...this.ofTheHost, ...[...this.held.values()].flat()];
    const first = binding.hostPort || FIRST_EPHEMERAL;
    const last = binding.hostPort === 0 ? 65_535 : hostPortEnd;
    for (let hostPort = first; hostPort <= last; hostPort++) {
      const port = { ...binding, hostPort };
      if (!taken.some((other) => collides(port, other))) return port;
    }
    const { protocol, hostAddress } = binding;
    throw new TsnetError("conflict", `${protocol} port ${first} of ${hostAddress || "all addresses"} is taken`);
  }
}

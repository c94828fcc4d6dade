// A firewall that is only remembered: it keeps what it was given last, polices that a network is checked before it gets
// rules, and can be told to fail.
import type { Firewall } from "../../src/cnm/firewall.ts";
import type { Network } from "../../src/cnm/network.ts";
import { TsnetError } from "../../src/errors.ts";

/** A firewall in memory. */
export class FakeFirewall implements Firewall {
  readonly calls: string[] = [];
  /** Networks that have rules, by id. */
  rules: readonly string[] = [];
  /** How often something had to be changed. */
  writeCount = 0;
  /** Networks that may get rules without a check: those of the records, as after a restart. */
  isPolicing = true;
  /** Awaited at the start of each call, by its name. */
  onCall: (call: string) => Promise<void> | void = () => {};
  readonly #checked = new Set<string>();
  #failures: { call: string; times: number; when: "before" | "after" } | undefined;

  /** Makes the next calls of `check` or `apply` fail; `after`: the rules are made all the same. */
  fail(call: "check" | "apply", times = 1, when: "before" | "after" = "before"): void {
    this.#failures = { call, times, when };
  }

  async check(network: Network): Promise<void> {
    await this.#enter("check");
    this.#checked.add(network.id);
  }

  async apply(networks: readonly Network[]): Promise<boolean> {
    const isLate = this.#failures?.when === "after";
    if (!isLate) await this.#enter("apply");
    for (const { id } of networks) {
      if (this.isPolicing && !this.#checked.has(id)) throw new TsnetError("internal", "fake: rules before the check");
    }
    const wanted = networks.map(({ id }) => id).sort();
    const isChange = JSON.stringify(wanted) !== JSON.stringify(this.rules);
    if (isChange) this.writeCount += 1;
    this.rules = wanted;
    if (isLate) await this.#enter("apply");
    return isChange;
  }

  async #enter(call: string): Promise<void> {
    this.calls.push(call);
    await this.onCall(call);
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#failures === undefined || this.#failures.call !== call || this.#failures.times === 0) return;
    this.#failures.times -= 1;
    throw new TsnetError("host", `fake: ${call} failed`);
  }
}

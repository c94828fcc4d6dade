// A ping that never stops, to see whether anything is lost while dockerd, tsnet or the firewall are restarted.
import { waitUntil } from "./wait-until.ts";
import type { LabNamespace, LabProcess } from "./lab-namespace.ts";

const INTERVAL_S = "0.05";
let started = 0;

/** One flow of echo requests, 20 a second. */
export class Flow {
  readonly #process: LabProcess;
  readonly #address: string;
  /** Requests before this one went out while the flow began. */
  #first = 0;
  /** How many got no answer until the last count. */
  #lost = 0;

  private constructor(process: LabProcess, address: string) {
    this.#process = process;
    this.#address = address;
  }

  /** Starts it in the network namespace of `pid` and waits for the first answers. */
  static async start(namespace: LabNamespace, pid: number, address: string): Promise<Flow> {
    started += 1;
    const ping = ["busybox", "ping", "-i", INTERVAL_S, address];
    const flow = new Flow(
      await namespace.spawn(`flow-${started}`, ["nsenter", "-t", String(pid), "-n", "--", ...ping]),
      address,
    );
    await flow.#goesOn();
    flow.#first = Math.max(...flow.#answered());
    return flow;
  }

  /** Waits for answers to new requests, then says how many requests since its start and before the last answer got none. */
  async countLost(): Promise<number> {
    await this.#goesOn();
    const last = Math.max(...this.#answered());
    const lost = () => last + 1 - this.#first - this.#countAnswered(this.#first, last);
    // on a busy machine those to later requests overtake an answer
    await waitUntil("answers on their way", () => lost() <= this.#lost, { limitMs: 2000 }).catch(() => {});
    this.#lost = lost();
    return this.#lost;
  }

  async #goesOn(): Promise<void> {
    const before = Math.max(-1, ...this.#answered());
    await waitUntil(`answers from ${this.#address}`, () => Math.max(-1, ...this.#answered()) > before + 2);
  }

  /** How many of these requests were answered. */
  #countAnswered(first: number, last: number): number {
    return new Set(this.#answered().filter((sequence) => sequence >= first && sequence <= last)).size;
  }

  #answered(): number[] {
    return Array.from(this.#process.log().matchAll(/seq=(\d+)/g), ([, sequence]) => Number(sequence));
  }
}

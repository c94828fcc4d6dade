// A ping that never stops, to see whether anything is lost while dockerd, tsnet or the firewall are restarted.
import { waitUntil } from "./wait-until.ts";
import type { LabNamespace, LabProcess } from "./lab-namespace.ts";

const INTERVAL_S = "0.05";
let started = 0;

/** One flow of echo requests, 20 a second. */
export class Flow {
  readonly #process: LabProcess;
  readonly #address: string;

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
    return flow;
  }

  /** Waits for answers to new requests, then says how many requests before the last answer got none. */
  async countLost(): Promise<number> {
    await this.#goesOn();
    const answered = this.#answered();
    return Math.max(...answered) + 1 - new Set(answered).size;
  }

  async #goesOn(): Promise<void> {
    const before = Math.max(-1, ...this.#answered());
    await waitUntil(`answers from ${this.#address}`, () => Math.max(-1, ...this.#answered()) > before + 2);
  }

  #answered(): number[] {
    return Array.from(this.#process.log().matchAll(/seq=(\d+)/g), ([, sequence]) => Number(sequence));
  }
}

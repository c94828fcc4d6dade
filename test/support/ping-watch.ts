// A ping that runs on while something is done to the host: did a running container notice? Sent with busybox from the
// container's own network namespace, so that the engine may be away meanwhile.
import type { LabHost } from "./lab-host.ts";
import type { LabProcess } from "./lab-namespace.ts";
import { type WaitLimits, waitUntil } from "./wait-until.ts";

const INTERVAL_S = 0.05;

/** What became of the packets. */
export interface PingCount {
  readonly sent: number;
  readonly lost: number;
  /** Of the answers, in milliseconds. */
  readonly medianMs: number;
}

/** A ping under way: 20 packets a second until `stop`. It ends with its lab at the latest. */
export class PingWatch {
  static #count = 0;
  readonly #lab: LabHost;
  readonly #process: LabProcess;
  /** Packets before this one went out while it began. */
  #first = 0;

  private constructor(lab: LabHost, process: LabProcess) {
    this.#lab = lab;
    this.#process = process;
  }

  /** Starts pinging an address from a container and waits for the first answer. @throws Error when none comes. */
  static async start(lab: LabHost, container: string, address: string): Promise<PingWatch> {
    const pid = await lab.docker("inspect", "--format", "{{.State.Pid}}", container);
    PingWatch.#count += 1;
    const ping = ["/bin/busybox", "ping", "-i", String(INTERVAL_S), address];
    const process = await lab.namespace.spawn(`ping-${PingWatch.#count}`, ["nsenter", "-t", pid, "-n", "--", ...ping]);
    const watch = new PingWatch(lab, process);
    await watch.hears(`the first answer of ${address}`);
    watch.#first = Math.max(...watch.#sequences());
    return watch;
  }

  /** Waits for an answer that comes from now on. @throws Error when none comes. */
  async hears(what = "another answer", limits: WaitLimits = {}): Promise<void> {
    const before = this.#sequences().length;
    await waitUntil(what, () => this.#sequences().length > before, { intervalMs: 10, ...limits });
  }

  /** Ends it after one more answer. @returns what became of the packets; those on their way at the end do not count. */
  async stop(): Promise<PingCount> {
    const isHeard = await this.hears().then(
      () => true,
      () => false, // then all after the last answer are lost
    );
    // on a busy machine later answers overtake one
    if (isHeard)
      await waitUntil("answers on their way", () => this.#countLost() === 0, { limitMs: 2000 }).catch(() => {});
    await this.#lab.exec(["kill", "-INT", String(this.#process.pid)]);
    await this.#process.ended;
    const sent = Number(/(\d+) packets transmitted/.exec(this.#process.log())?.[1] ?? 0);
    const end = isHeard ? Math.max(...this.#sequences()) + 1 : sent;
    const times = [...this.#process.log().matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]));
    return { sent: end - this.#first, lost: this.#countLost(end), medianMs: median(times) };
  }

  /** How many since the first answer were not answered. @param end - the number behind that of the last one that counts. */
  #countLost(end = Math.max(...this.#sequences()) + 1): number {
    const answered = new Set(this.#sequences().filter((sequence) => sequence >= this.#first && sequence < end));
    return end - this.#first - answered.size;
  }

  #sequences(): number[] {
    return [...this.#process.log().matchAll(/ seq=(\d+) /g)].map((match) => Number(match[1]));
  }
}

/** @returns the middle of the values, or NaN when there are none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

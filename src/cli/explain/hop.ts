// What `tsnet explain` says: the steps of a packet's way, and the verdict that follows from them. The way goes on behind a
// fault as if that were mended, so that all faults are named at once.

/** Whether a step follows from what tsnet has recorded, or was looked up on the host just now. */
export type Mark = "known" | "probed";

/** One step. */
export interface Hop {
  /** Where: `container`, `port`, `switch`, `routing`, `firewall`, … */
  readonly hop: string;
  readonly mark: Mark;
  readonly text: string;
  /** False where the packet stops. */
  readonly ok: boolean;
  /** The command that mends it, where there is one. */
  readonly fix?: string;
}

/** One reason why the packet does not arrive. */
export interface Fault {
  readonly where: string;
  readonly why: string;
  readonly fix?: string;
}

/** What became of the packet. `where`, `why` and `fix` are those of the first fault. */
export interface Verdict extends Partial<Fault> {
  readonly arrives: boolean;
  /** All faults on its way, in its order. */
  readonly faults: readonly Fault[];
}

/** The steps as they are found. */
export class Trace {
  readonly hops: Hop[] = [];

  /** The packet goes on. */
  pass(hop: string, mark: Mark, text: string): void {
    this.hops.push({ hop, mark, text, ok: true });
  }

  /** The packet stops here. */
  stop(hop: string, mark: Mark, text: string, fix?: string): void {
    if (this.hops.some((other) => !other.ok && other.hop === hop && other.text === text)) return;
    this.hops.push({ hop, mark, text, ok: false, ...(fix !== undefined && { fix }) });
  }

  verdict(): Verdict {
    const faults = this.hops
      .filter(({ ok }) => !ok)
      .map(({ hop, text, fix }) => ({ where: hop, why: text, ...(fix !== undefined && { fix }) }));
    return { arrives: faults.length === 0, ...faults[0], faults };
  }
}

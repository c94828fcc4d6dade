// What happens, told at once to who listens (`GET /events`): calls, what is repaired unasked, what fails. Nothing waits for a
// listener: what he has not read waits for him up to a limit, then he is let go and told so.
import type { Repair, RepairObject, RepairWatch } from "../cnm/repairs.ts";
import type { ErrorCode } from "../errors.ts";
import { isoTime } from "../log.ts";
import { VERSION } from "../version.ts";

/** One thing that happened: a line of JSON. What is not known of it is absent. */
export type Event =
  | ({
      readonly kind: "call";
      readonly verb: string;
      readonly outcome: "ok" | ErrorCode;
      readonly durationMs: number;
    } & Details)
  | ({ readonly kind: "repair"; readonly what: Repair } & Details)
  | ({ readonly kind: "fault"; readonly outcome: ErrorCode } & Details);

interface Details extends RepairObject {
  readonly poolId?: string;
  /** Why it failed. */
  readonly message?: string;
}

/** A line of the stream. `start` is the first, `end` the last one, if there is a last one. */
export type EventLine = { readonly time: string } & (
  | Event
  | { readonly kind: "start"; readonly version: string }
  | { readonly kind: "end"; readonly reason: string }
);

/** Who listens. A part of an HTTP response. */
export interface Listener {
  write(text: string): unknown;
  end(): unknown;
  destroy(): unknown;
  /** Bytes that he has not taken yet. */
  readonly writableLength: number;
}

/** How many may listen, and how much may wait for each. */
export interface EventLimits {
  readonly listeners: number;
  readonly waitingBytes: number;
}

const LIMITS: EventLimits = { listeners: 16, waitingBytes: 256 * 1024 };
/** For the last line to be read. */
const END_MS = 1000;

/** The listeners of one daemon. */
export class Events implements RepairWatch {
  readonly #limits: EventLimits;
  readonly #listeners = new Set<Listener>();

  constructor(limits: EventLimits = LIMITS) {
    this.#limits = limits;
  }

  /** How many may listen at once. */
  get limit(): number {
    return this.#limits.listeners;
  }

  /** How many listen. */
  get count(): number {
    return this.#listeners.size;
  }

  /** @returns false if there are as many as there may be. */
  add(listener: Listener): boolean {
    if (this.#listeners.size >= this.#limits.listeners) return false;
    this.#listeners.add(listener);
    listener.write(lineOf({ kind: "start", version: VERSION }));
    return true;
  }

  /** He has gone. */
  remove(listener: Listener): void {
    this.#listeners.delete(listener);
  }

  /** Tells all. Costs nothing while nobody listens. */
  note(event: Event): void {
    if (this.#listeners.size === 0) return;
    const line = lineOf(event);
    for (const listener of this.#listeners) {
      if (listener.writableLength + line.length > this.#limits.waitingBytes) {
        this.#end(listener, "too much waits to be read");
      } else listener.write(line);
    }
  }

  noteRepair(what: Repair, object: RepairObject = {}): void {
    this.note({ kind: "repair", what, ...idsOf(object) });
  }

  noteFault(code: ErrorCode, message?: string): void {
    this.note({ kind: "fault", outcome: code, ...(message !== undefined && { message }) });
  }

  /** Ends all streams. */
  close(): void {
    for (const listener of this.#listeners) this.#end(listener, "tsnet is shutting down");
  }

  #end(listener: Listener, reason: string): void {
    this.#listeners.delete(listener);
    listener.write(lineOf({ kind: "end", reason }));
    listener.end();
    setTimeout(() => listener.destroy(), END_MS).unref();
  }
}

/** An endpoint or a network with more than these is handed over as it is. */
function idsOf({ networkId, endpointId }: RepairObject): RepairObject {
  return { ...(networkId !== undefined && { networkId }), ...(endpointId !== undefined && { endpointId }) };
}

function lineOf(
  event:
    | Event
    | { readonly kind: "start"; readonly version: string }
    | { readonly kind: "end"; readonly reason: string },
): string {
  return `${JSON.stringify({ time: isoTime(), ...event })}\n`;
}

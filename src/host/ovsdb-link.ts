// Keeps one connection to Open vSwitch's database: made when it is first asked for, and made again whenever it has ended,
// with growing pauses. However many callers ask, one attempt runs at a time.
import { performance } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";
import { TsnetError } from "../errors.ts";
import type { OvsdbConnection } from "./ovsdb-connection.ts";

/** Pause before an attempt: doubled from the one to the other. The longer one delays what is put back after a restart. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 1_000;

/** Upgrading Open vSwitch restarts its database within a second. */
const PATIENCE_MS = 3_000;

/** What a link tells, and how patient it is. Events may not throw. */
export interface LinkOptions {
  /** There is a connection: the first one, and each later one. */
  readonly onConnected?: () => void;
  /** There is none any more, and why. */
  readonly onLost?: (reason: TsnetError) => void;
  /** For so long after a loss callers wait for the return. Default 3 s. */
  readonly patienceMs?: number;
}

/** How a link makes a connection that is ready to be used. @param onEnd - to be called when a connection has ended. */
export type OpenConnection = (onEnd: (reason: TsnetError) => void) => Promise<OvsdbConnection>;

/** At most one connection at a time, until `close`. */
export class OvsdbLink {
  readonly #open: OpenConnection;
  readonly #options: LinkOptions;
  #current: OvsdbConnection | undefined;
  #attempt: Promise<OvsdbConnection> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MIN_MS;
  #failure: { readonly error: unknown; readonly at: number } | undefined;
  #connectedAt = -Infinity;
  #patientUntil = -Infinity;
  #isClosed = false;

  constructor(open: OpenConnection, options: LinkOptions) {
    this.#open = open;
    this.#options = options;
  }

  /** Whether there is a connection now. */
  get isConnected(): boolean {
    return this.#current !== undefined;
  }

  /**
   * The connection. When there is none, one attempt is made at once; for a while after a loss, as many as fit.
   *
   * @throws TsnetError of the last attempt. From then on attempts go on by themselves, until one succeeds.
   */
  async connection(): Promise<OvsdbConnection> {
    for (;;) {
      try {
        return await this.#connect();
      } catch (failure) {
        if (this.#isClosed || performance.now() > this.#patientUntil) throw failure;
        await pause(RETRY_MIN_MS);
      }
    }
  }

  /** Ends the connection, and makes no other. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#current?.close();
  }

  /** Joins the attempt under way, and the outcome of one that has just failed. */
  async #connect(): Promise<OvsdbConnection> {
    if (this.#isClosed) throw new TsnetError("unavailable", "the client of Open vSwitch's database is closed");
    if (this.#current !== undefined) return this.#current;
    const { error, at } = this.#failure ?? { at: -Infinity };
    if (this.#attempt === undefined && performance.now() - at < RETRY_MIN_MS) throw error;
    return this.#begin();
  }

  /** Whatever the last outcome: a timer may fire a moment before its time, and no other comes after it. */
  async #begin(): Promise<OvsdbConnection> {
    this.#attempt ??= this.#try().finally(() => {
      this.#attempt = undefined;
    });
    return this.#attempt;
  }

  async #try(): Promise<OvsdbConnection> {
    clearTimeout(this.#retry);
    try {
      const connection = await this.#open((reason) => this.#lose(reason));
      if (this.#isClosed) connection.close();
      if (connection.end !== undefined) throw connection.end;
      this.#current = connection;
      this.#connectedAt = performance.now();
      this.#options.onConnected?.();
      return connection;
    } catch (error) {
      this.#failure = { error, at: performance.now() };
      this.#tryLater();
      throw error;
    }
  }

  #lose(reason: TsnetError): void {
    if (this.#current === undefined) return; // it was not ready yet: its attempt fails
    this.#current = undefined;
    const now = performance.now();
    this.#patientUntil = now + (this.#options.patienceMs ?? PATIENCE_MS);
    if (now - this.#connectedAt > RETRY_MAX_MS) this.#retryMs = RETRY_MIN_MS;
    if (this.#isClosed) return;
    this.#options.onLost?.(reason);
    this.#tryLater();
  }

  #tryLater(): void {
    if (this.#isClosed) return;
    this.#retry = setTimeout(() => void this.#begin().catch(() => {}), this.#retryMs).unref();
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);
  }
}

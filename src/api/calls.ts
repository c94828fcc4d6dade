// Runs the calls of the engine within their time: first the gate, then the driver. A call that is out of time is
// answered at once and its signal aborts; what the driver still does is only logged. The signal of a call whose caller
// has gone aborts too: the engine repeats it empty, and must be told only then that nothing was changed.
import { TsnetError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Gate } from "./gate.ts";
import { errorFields, toTsnetError } from "./reply-error.ts";

/** One call, as messages and the log name it. */
export interface Call {
  /** `NetworkDriver.Join`. */
  readonly verb: string;
  /** `endpoint 83ad...`, or "" if it has none. */
  readonly object: string;
  /** Whether it needs tsnet's records and must wait for recovery. */
  readonly isGated: boolean;
}

/** What the calls of one server share. */
export interface CallLimits {
  readonly gate: Gate;
  readonly log: Log;
  /** For waiting and working together. */
  readonly timeoutMs: number;
}

/** All calls of one server that have no answer yet. */
export class Calls {
  readonly #limits: CallLimits;
  readonly #running = new Set<(reason: TsnetError) => void>();
  /** Calls that are not done yet and whose callers have gone, by verb. */
  readonly #forsaken = new Map<string, Set<Promise<unknown>>>();
  #isStopping = false;

  constructor(limits: CallLimits) {
    this.#limits = limits;
  }

  /** True from `stop` on. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /**
   * Runs `work` once the gate is open.
   *
   * @param work - gets a signal that aborts when the call has been answered for lack of time, or has no caller any more.
   * @param caller - aborts when the caller has gone.
   * @throws TsnetError `unavailable` when time is up or the server stops; else what gate or `work` throw.
   */
  async run<Result>(call: Call, work: (signal: AbortSignal) => Promise<Result>, caller?: AbortSignal): Promise<Result> {
    if (this.#isStopping && call.isGated) throw stoppingError(call);
    const controller = new AbortController();
    const { promise: ended, reject } = Promise.withResolvers<never>();
    let isLate = false;
    const end = (reason: TsnetError) => {
      isLate = true;
      controller.abort(reason);
      reject(reason);
    };
    let isWorking = false;
    const admitted = async () => {
      if (call.isGated) await this.#limits.gate.pass();
      controller.signal.throwIfAborted();
      isWorking = true;
      return work(controller.signal);
    };
    const timer = setTimeout(() => end(this.#timeoutError(call, isWorking)), this.#limits.timeoutMs);
    this.#running.add(end);
    const result = admitted();
    const forsake = () => {
      controller.abort(new TsnetError("unavailable", `${nameOf(call)}: the caller closed its connection`));
      this.#forsake(call.verb, result);
    };
    if (caller?.aborted === true) forsake();
    caller?.addEventListener("abort", forsake, { once: true });
    try {
      return await Promise.race([result, ended]);
    } finally {
      clearTimeout(timer);
      caller?.removeEventListener("abort", forsake);
      this.#running.delete(end);
      if (isLate && isWorking) this.#logLateEnd(call, result);
    }
  }

  #forsake(verb: string, result: Promise<unknown>): void {
    const calls = this.#forsaken.get(verb) ?? new Set();
    this.#forsaken.set(verb, calls.add(result));
    const forget = () => {
      calls.delete(result);
      if (calls.size === 0) this.#forsaken.delete(verb);
    };
    result.then(forget, forget);
  }

  /** Resolves when every call of that verb whose caller has gone is done or undone. @throws TsnetError when time is up. */
  async undone(verb: string): Promise<void> {
    const calls = this.#forsaken.get(verb);
    if (calls === undefined) return;
    const { promise: ended, reject } = Promise.withResolvers<never>();
    const what = `${verb}: what a broken call has begun was not undone within ${this.#limits.timeoutMs / 1000} s`;
    const timer = setTimeout(() => reject(new TsnetError("unavailable", what)), this.#limits.timeoutMs);
    try {
      await Promise.race([Promise.allSettled(calls), ended]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Refuses new calls that need the records, and after `graceMs` answers those in flight. @returns to be called when no call is left. */
  stop(graceMs: number): () => void {
    this.#isStopping = true;
    const endAll = () => {
      for (const end of this.#running) end(new TsnetError("unavailable", "tsnet was stopped before the call was done"));
    };
    const timer = setTimeout(endAll, graceMs);
    return () => clearTimeout(timer);
  }

  #timeoutError(call: Call, isWorking: boolean): TsnetError {
    const limit = `within ${this.#limits.timeoutMs / 1000} s`;
    if (isWorking) return new TsnetError("unavailable", `${nameOf(call)} was not done ${limit}`);
    return new TsnetError(
      "unavailable",
      `${nameOf(call)} cannot be answered: tsnet is still recovering, not done ${limit}`,
    );
  }

  #logLateEnd(call: Call, result: Promise<unknown>): void {
    const fields = { verb: call.verb, object: call.object };
    result.then(
      () => this.#limits.log.info({ ...fields, outcome: "ok" }, "call ended after its answer"),
      (thrown: unknown) => {
        const error = toTsnetError(call.verb, thrown);
        this.#limits.log.warn({ ...fields, outcome: error.code, ...errorFields(error) }, "call ended after its answer");
      },
    );
  }
}

function stoppingError(call: Call): TsnetError {
  return new TsnetError("unavailable", `${nameOf(call)} cannot be answered: tsnet is shutting down`);
}

function nameOf(call: Call): string {
  return call.object === "" ? call.verb : `${call.verb} of ${call.object}`;
}

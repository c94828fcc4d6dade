// Holds calls back until recovery is done: the socket listens before tsnet has compared its records with the host,
// because the engine gives up on a plugin that does not answer (cnm-protocol.md 1.5).
import { TsnetError } from "../errors.ts";

/** Closed at first. Calls pass it once it is open, or learn why it will not open. */
export class Gate {
  #settled = Promise.withResolvers<void>();
  #isSettled = false;
  #failure: TsnetError | undefined;

  constructor() {
    this.#tolerateFailure();
  }

  /** Whether calls pass, wait, or learn why they cannot pass. */
  get state(): "open" | "closed" | TsnetError {
    return this.#failure ?? (this.#isSettled ? "open" : "closed");
  }

  /** Recovery is done: calls that wait and all later ones pass. */
  open(): void {
    this.#renew();
    this.#failure = undefined;
    this.#settled.resolve();
  }

  /** Recovery failed: calls that wait and all later ones are answered with `error`, until `open` is called. */
  fail(error: TsnetError): void {
    this.#renew();
    this.#failure = error;
    this.#settled.reject(error);
  }

  /** Waits without a limit. @throws TsnetError what `fail` was given. */
  async pass(): Promise<void> {
    await this.#settled.promise;
  }

  #renew(): void {
    if (this.#isSettled) {
      this.#settled = Promise.withResolvers<void>();
      this.#tolerateFailure();
    }
    this.#isSettled = true;
  }

  // A failure that no call waits for is no unhandled rejection.
  #tolerateFailure(): void {
    this.#settled.promise.catch(() => undefined);
  }
}

// One queue a key: calls for the same key run one after the other, calls for different keys side by side.

/** Runs tasks of the same key strictly in the order in which they were asked for. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Whether a task of that key runs or waits. */
  isHeld(key: string): boolean {
    return this.#tails.has(key);
  }

  /** Waits for earlier tasks of `key`, then runs `task`; its result or failure is the caller's. */
  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const previous = this.#tails.get(key) ?? Promise.resolve();
    const { promise: tail, resolve: release } = Promise.withResolvers<void>();
    this.#tails.set(key, tail);
    await previous;
    try {
      return await task();
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
      release();
    }
  }
}

// Room on the disk that is kept for removals, in a file of its own beside the records: on a full disk it is given up, so that what
// is removed there can be written.
//
//   tsnet.db-reserve   128 KiB, mode 0600
import { chmodSync, rmSync, statSync, writeFileSync } from "node:fs";

/** Enough for the pages that the removals of some dozens of endpoints write before the log starts anew. */
const RESERVE_BYTES = 131_072;

/** How often it is tried to have the reserve again after it was used. */
const RETRY_MS = 5000;

/** The file. */
export class Reserve {
  readonly #file: string;
  /** When to look next, by `performance.now()`. */
  #lookAt = 0;

  /** @param path - of the records. */
  constructor(path: string) {
    this.#file = `${path}-reserve`;
  }

  /** Makes the file if it is not there and there is room. */
  keep(): void {
    if (performance.now() < this.#lookAt) return;
    this.#lookAt = Infinity;
    try {
      if (statSync(this.#file, { throwIfNoEntry: false })?.size === RESERVE_BYTES) return;
      writeFileSync(this.#file, Buffer.alloc(RESERVE_BYTES, "room for removals\n"), { flush: true });
      chmodSync(this.#file, 0o600);
    } catch {
      rmSync(this.#file, { force: true });
      this.#lookAt = performance.now() + RETRY_MS;
    }
  }

  /** Gives the room up. @throws Error of node:fs. */
  giveUp(): void {
    rmSync(this.#file, { force: true });
    this.#lookAt = performance.now() + RETRY_MS;
  }
}

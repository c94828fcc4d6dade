// Stands for records of which nothing can be read: damaged beyond reading, of a newer format, on a disk that fails, or
// somebody else's. The daemon goes on with it, since one that ends is left disabled by the engine: what lives goes on
// living, removals do what the marks on the host allow, and nothing new is made.
import type { TsnetError } from "../errors.ts";
import { type DiskRoom, readDiskRoom } from "./disk-room.ts";
import type { RecordChange, RecordStore } from "./record-store.ts";

/** No records, and the reason why. */
export class ClosedStore implements RecordStore {
  readonly fault: TsnetError;
  readonly notes: readonly string[] = [];

  readonly #directory: string;

  /** @param fault - what every creation is answered with. */
  constructor(fault: TsnetError, directory: string) {
    [this.fault, this.#directory] = [fault, directory];
  }

  list(): ReadonlyMap<string, unknown> {
    return new Map();
  }

  damaged(): readonly [] {
    return [];
  }

  /** What is removed is not there. @throws TsnetError the fault, for anything else. */
  async commit(changes: readonly RecordChange[]): Promise<void> {
    if (changes.some(({ op }) => op === "put")) throw this.fault;
  }

  get writeFault(): TsnetError {
    return this.fault;
  }

  tryAgain(): void {}

  async disk(): Promise<DiskRoom | undefined> {
    return readDiskRoom(this.#directory);
  }

  close(): void {}
}

// Records in memory, for tests without a disk: commits take a turn of the event loop, may be made to fail, and are counted.
import { TsnetError } from "../../src/errors.ts";
import type { DamagedRecord, RecordChange, RecordKind, RecordStore } from "../../src/state/record-store.ts";

/** As durable as the test that holds it. */
export class MemoryStore implements RecordStore {
  readonly #bodies: Map<RecordKind, Map<string, string>>;
  /** How many commits were asked for, failed ones included. */
  commitCount = 0;
  /** Decides by its number, from 1, whether a commit fails. */
  isFailing: (commitNumber: number) => boolean = () => false;
  /** How many turns of the event loop a commit takes, by its number. */
  turnsOf: (commitNumber: number) => number = () => 1;
  /** What `list` leaves out, as if it had been damaged on a disk. */
  damagedRecords: readonly DamagedRecord[] = [];
  fault: TsnetError | undefined = undefined;
  writeFault: TsnetError | undefined = undefined;
  #isOpen = true;

  constructor(bodies = new Map<RecordKind, Map<string, string>>()) {
    this.#bodies = bodies;
  }

  /** The same records opened anew, after `close` for example. */
  reopened(): MemoryStore {
    const records = new MemoryStore(this.#bodies);
    records.damagedRecords = this.damagedRecords;
    return records;
  }

  /** Makes the n-th commit from now fail, 1 being the next one. */
  failCommit(n: number): void {
    const failing = this.commitCount + n;
    this.isFailing = (commitNumber) => commitNumber === failing;
  }

  list(kind: RecordKind): ReadonlyMap<string, unknown> {
    return new Map(Array.from(this.#bodiesOf(kind), ([id, body]) => [id, JSON.parse(body) as unknown]));
  }

  damaged(): readonly DamagedRecord[] {
    return this.damagedRecords;
  }

  /** Makes one record unreadable for the next one who reads it. */
  damage(kind: RecordKind, id: string): void {
    const text = this.#bodiesOf(kind).get(id) ?? "";
    this.#bodiesOf(kind).delete(id);
    this.damagedRecords = [...this.damagedRecords, { kind, id, text }];
  }

  async commit(changes: readonly RecordChange[]): Promise<void> {
    if (!this.#isOpen) throw new TsnetError("unavailable", "the records are closed");
    const mustFail = this.isFailing(++this.commitCount);
    const turns = this.turnsOf(this.commitCount);
    const asText = changes.map((change) => ({ ...change, text: "body" in change ? JSON.stringify(change.body) : "" }));
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    this.writeFault = mustFail ? new TsnetError("host", "disk full") : undefined;
    if (this.writeFault !== undefined) throw this.writeFault;
    for (const { op, kind, id, text } of asText) {
      this.damagedRecords = this.damagedRecords.filter((one) => one.kind !== kind || one.id !== id);
      if (op === "put") this.#bodiesOf(kind).set(id, text);
      else this.#bodiesOf(kind).delete(id);
    }
  }

  tryAgain(): void {
    if (!this.isFailing(this.commitCount + 1)) this.writeFault = undefined;
  }

  async disk(): Promise<undefined> {}

  close(): void {
    this.#isOpen = false;
  }

  #bodiesOf(kind: RecordKind): Map<string, string> {
    const found = this.#bodies.get(kind) ?? new Map<string, string>();
    this.#bodies.set(kind, found);
    return found;
  }
}

// The records of tsnet as the rest sees them: small JSON documents by kind and id, changed in durable groups.
// Implemented by `sqlite-store.ts`, by `closed-store.ts` when the disk cannot be read, and in memory by the tests.
import type { TsnetError } from "../errors.ts";
import type { DiskRoom } from "./disk-room.ts";

/** What a record describes. Each kind has one writer: `pool` and `address` belong to ipam, `uplink` to the datapaths. */
export type RecordKind = "network" | "endpoint" | "pool" | "address" | "uplink" | "host";

/** One change of one record. A `put` replaces what was there; a `remove` of an absent record is no failure. */
export type RecordChange =
  | { readonly op: "put"; readonly kind: RecordKind; readonly id: string; readonly body: object }
  | { readonly op: "remove"; readonly kind: RecordKind; readonly id: string };

/** A record that is there and cannot be read: of it is known that it is, and of what. */
export interface DamagedRecord {
  readonly kind: RecordKind;
  readonly id: string;
  /** What is left of its body: a hint, never to be relied upon. */
  readonly text: string;
}

/** `removal`: gives something back. It is written into space that is kept for it when the disk is full. */
export type CommitPurpose = "change" | "removal";

/** Durable storage of records. */
export interface RecordStore {
  /** Everything of one kind that can be read, by id. Read at start; afterwards the owners keep their own copy. */
  list(kind: RecordKind): ReadonlyMap<string, unknown>;

  /** Records that `list` leaves out. A `put` replaces one of them, a `remove` takes it away. */
  damaged(): readonly DamagedRecord[];

  /**
   * Why there may be records that neither `list` nor `damaged` knows of, with what to do. Nothing new may be made then: it
   * could be in use. Undefined while all are known.
   */
  readonly fault: TsnetError | undefined;

  /** Why the last commit was refused; undefined when it was not, or none was asked for. */
  readonly writeFault: TsnetError | undefined;

  /**
   * Has `writeFault` say how it is now: while there is one, writes something of its own and takes it away again, at most once a
   * second. Without one it does nothing.
   */
  tryAgain(): void;

  /**
   * Applies all changes or none, and returns when they would survive a power cut.
   *
   * @throws TsnetError `host` when the disk refuses; then nothing was changed.
   */
  commit(changes: readonly RecordChange[], purpose?: CommitPurpose): Promise<void>;

  /** The room on the disk; undefined if that cannot be told. */
  disk(): Promise<DiskRoom | undefined>;

  close(): void;
}

// The records of tsnet as the rest sees them: small JSON documents by kind and id, changed in durable groups.
// Implemented by `sqlite-store.ts`, and in memory by the tests.

/** What a record describes. Each kind has one writer: `pool` and `address` belong to ipam, `uplink` to the datapaths. */
export type RecordKind = "network" | "endpoint" | "pool" | "address" | "uplink" | "host";

/** One change of one record. A `put` replaces what was there; a `remove` of an absent record is no failure. */
export type RecordChange =
  | { readonly op: "put"; readonly kind: RecordKind; readonly id: string; readonly body: object }
  | { readonly op: "remove"; readonly kind: RecordKind; readonly id: string };

/** Durable storage of records. */
export interface RecordStore {
  /** Everything of one kind, by id. Read at start; afterwards the owners keep their own copy. */
  list(kind: RecordKind): ReadonlyMap<string, unknown>;

  /**
   * Applies all changes or none, and returns when they would survive a power cut.
   *
   * @throws TsnetError `host` when the disk refuses; then nothing was changed.
   */
  commit(changes: readonly RecordChange[]): Promise<void>;

  close(): void;
}

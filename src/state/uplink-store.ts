// The records of uplinks whose addresses were moved. A record is of one boot of the host: the next one gives a NIC its
// addresses anew, and what an older record says would be taken from it, or given to it, a second time.
import { TsnetError } from "../errors.ts";
import type { RecordStore } from "./record-store.ts";

/** Records of kind `uplink` by the uplink's name. */
export class UplinkStore {
  readonly #records: RecordStore;
  readonly #bootId: string;
  readonly #known: Map<string, unknown>;

  /** Reads all of them. */
  constructor(records: RecordStore, bootId: string) {
    [this.#records, this.#bootId, this.#known] = [records, bootId, new Map(records.list("uplink"))];
  }

  /** Undefined as well for a record of another boot. @throws TsnetError `host` for a record that is damaged. */
  find(parent: string): unknown {
    if (this.#records.damaged().some(({ kind, id }) => kind === "uplink" && id === parent)) {
      const remedy = "give them back by hand or start the host anew";
      throw new TsnetError(
        "host",
        `the record of uplink ${parent} is damaged: which addresses it had is not known; ${remedy}`,
      );
    }
    const body = this.#known.get(parent);
    if (typeof body !== "object" || body === null) return undefined;
    return Reflect.get(body, "bootId") === this.#bootId ? body : undefined;
  }

  /** @throws TsnetError `host` when the disk refuses; then what was known before is known still. */
  async put(parent: string, body: object): Promise<void> {
    const whole = { ...body, bootId: this.#bootId };
    await this.#records.commit([{ op: "put", kind: "uplink", id: parent, body: whole }]);
    this.#known.set(parent, whole);
  }

  /** Absent is no failure. @throws TsnetError `host`, as `put`. */
  async remove(parent: string): Promise<void> {
    if (!this.#known.has(parent)) return;
    await this.#records.commit([{ op: "remove", kind: "uplink", id: parent }], "removal");
    this.#known.delete(parent);
  }
}

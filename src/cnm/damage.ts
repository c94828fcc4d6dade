// Records that are there and cannot be read, and what follows for what is alive on the host: a network or endpoint whose
// record is damaged is left exactly as it is until the engine removes it, by the marks of its links. It is never rebuilt from
// the host: every record is on the disk twice, and what both copies lost the host does not know for certain either.
import { TsnetError } from "../errors.ts";
import type { DamagedRecord, RecordKind, RecordStore } from "../state/record-store.ts";
import type { Network } from "./network.ts";

/** What is lost, and what the operator can do. */
const MEANING = {
  network:
    "what is on it goes on, but nothing new is made in it; remove its containers and the network, and create it again",
  endpoint:
    "its link is left as it is until it is removed; disconnect the container from the network, and connect it again",
  pool: "its subnet is kept from others, but no address of it is given out; remove its network, and create it again",
  address: "it counts as in use until it is released with its container or network",
  uplink:
    "its addresses stay where they are; give them back by hand, or start the host anew, before its network is removed",
  host: "whether the host was started anew is not known; links that are gone are noticed one by one",
} as const satisfies Record<RecordKind, string>;

/** What is damaged in the records. */
export class Damage {
  readonly #records: RecordStore;
  /** Those that lie on the disk as they were written, and make no sense. */
  readonly #senseless = new Map<string, DamagedRecord>();
  #isNothingAlive = false;

  constructor(records: RecordStore) {
    this.#records = records;
  }

  /** A record that can be read, but not understood, counts as damaged. */
  add(kind: RecordKind, id: string, body: unknown): void {
    this.#senseless.set(`${kind} ${id}`, { kind, id, text: JSON.stringify(body) });
  }

  has(kind: RecordKind, id: string): boolean {
    return this.#all().some((one) => one.kind === kind && one.id === id);
  }

  /** Ids of the damaged records of one kind. */
  idsOf(kind: RecordKind): readonly string[] {
    return this.#all().flatMap((one) => (one.kind === kind ? [one.id] : []));
  }

  /** The engine removed it, or the boot that it was of is over. */
  async remove(kind: RecordKind, id: string): Promise<void> {
    await this.#records.commit([{ op: "remove", kind, id }], "removal");
    this.#senseless.delete(`${kind} ${id}`);
  }

  /** Whether absence proves nothing: what is not in the records that can be read may be in one that cannot. */
  get isAbsenceUnproven(): boolean {
    const isOfNetworks = ({ kind }: DamagedRecord) => kind !== "host" && kind !== "uplink";
    return this.#records.fault !== undefined || this.#all().some(isOfNetworks);
  }

  /** The host was started anew: no link and no rule of before is there. */
  noteNewBoot(): void {
    this.#isNothingAlive = true;
  }

  /** Whether there may be things on the host, alive, of which no record can be read. */
  get isPartial(): boolean {
    if (this.#isNothingAlive) return false;
    return (
      this.#records.fault !== undefined || this.#all().some(({ kind }) => kind === "network" || kind === "endpoint")
    );
  }

  /** Before something new is made, which could be there already. @throws TsnetError that says why and what to do. */
  requireComplete(): void {
    if (this.#records.fault !== undefined) throw this.#records.fault;
  }

  /** @throws TsnetError `host` that says what to do, if the record is damaged. */
  requireReadable(kind: RecordKind, id: string): void {
    const found = this.#all().find((one) => one.kind === kind && one.id === id);
    if (found !== undefined) throw new TsnetError("host", describe(found));
  }

  /**
   * Whether a network that cannot be read may be on the same switch: it would lose its VLANs, its uplink or the switch when
   * those are made to fit the others alone.
   */
  mayShare({ requested, uplink, isSwitchOurs, switchName }: Network): boolean {
    if (this.#isNothingAlive || (this.#records.fault === undefined && this.idsOf("network").length === 0)) return false;
    const isShareable = requested.bridge !== undefined || uplink !== undefined || !isSwitchOurs;
    return isShareable || this.#all().some(({ kind, text }) => kind === "network" && text.includes(switchName));
  }

  /** For the operator: what is damaged, what that means and what to do, a line each. */
  lines(): readonly string[] {
    const { fault } = this.#records;
    return [...(fault === undefined ? [] : [fault.message]), ...this.#all().map(describe)];
  }

  #all(): readonly DamagedRecord[] {
    return [...this.#records.damaged(), ...this.#senseless.values()];
  }
}

function describe({ kind, id }: DamagedRecord): string {
  const shown = kind === "network" || kind === "endpoint" ? id.slice(0, 12) : id;
  return `the record of ${kind} ${shown} is damaged: ${MEANING[kind]}`;
}

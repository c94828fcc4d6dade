// Watches what the drivers hand to the switch, the firewall, the port holder and the records: every text in it must be of the
// form that its place permits, so that nothing a client wrote reaches a host as the name of a link, a switch or a rule.
import type { RecordChange, RecordKind, RecordStore } from "../../src/state/record-store.ts";

const HEX_ID = /^[0-9a-f]{64}$/;
const NETWORK_ID = /^([0-9a-f]{64}|[0-9a-z]{25})$/;
/** The contract, section 4; 15 bytes are what the kernel takes. */
const LINK = /^[A-Za-z][A-Za-z0-9_.-]{0,14}$/;
const ADDRESS = /^[0-9a-f:.]{2,45}$/;
const CIDR = /^[0-9a-f:.]{2,45}\/[0-9]{1,3}$/;
/** As the client wrote it: both cases, with a prefix length or without. */
const GIVEN_ADDRESS = /^[0-9a-fA-F:.]{2,45}(\/[0-9]{1,3})?$/;
const MAC = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/;
const WORD = /^[a-z0-9-]{1,16}$/;
/** Text that is compared and kept, and never more: no control characters, no marks that turn the direction of writing. */
const LINE = /^[^\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]{0,4096}$/u;

/** By the field that a text stands in. */
const FORMS: Readonly<Record<string, RegExp>> = {
  id: NETWORK_ID,
  networkId: NETWORK_ID,
  endpointId: HEX_ID,
  mode: WORD,
  backend: WORD,
  state: WORD,
  kind: WORD,
  protocol: WORD,
  datapath: WORD,
  datapathType: WORD,
  switchName: LINK,
  hostLink: LINK,
  untaggedLink: LINK,
  hostIfName: LINK,
  sandboxIfName: LINK,
  ifName: LINK,
  parent: LINK,
  bridge: LINK,
  ifPrefix: /^[A-Za-z][A-Za-z0-9_]{0,10}$/,
  mac: MAC,
  switchMac: MAC,
  subnet: CIDR,
  destination: CIDR,
  range: CIDR,
  address: GIVEN_ADDRESS,
  addressIpv6: GIVEN_ADDRESS,
  host: ADDRESS,
  gateway: ADDRESS,
  via: ADDRESS,
  local: ADDRESS,
  peers: ADDRESS,
  keptAddresses: ADDRESS,
  auxAddresses: ADDRESS,
  hostBinding: ADDRESS,
  hostAddress: /^([0-9a-f:.]{2,45})?$/,
  space: WORD,
  segment: /^([A-Za-z0-9][A-Za-z0-9_.-]{0,31})?$/,
  use: WORD,
  poolId: /^[0-9a-f.:]{2,45}\/[0-9]{1,3}\+[0-9a-f]{8}$/,
  addressId: /^[0-9a-f.:]{2,45}\/[0-9]{1,3}\+[0-9a-f]{8}#[0-9a-f.:]{2,45}$/,
  addressSpace: LINE,
  sandboxKey: LINE,
  /** Of an attachment: id and name are told again, and no more. */
  owner: LINE,
};

/** What all members of such a field are, whatever their keys. */
const MEMBERS: Readonly<Record<string, string>> = { owner: "owner", poolIds: "poolId" };

/** What the arguments are that are no objects with fields, in their order. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  inspectSwitch: ["ifName"],
  isNameTaken: ["ifName"],
  mtuOf: ["ifName"],
  routeTo: ["host"],
  removeStraySwitch: ["networkId", "ifName"],
  hold: ["endpointId"],
  release: ["endpointId"],
  heldBy: ["endpointId"],
};

const ID_OF_RECORD: Partial<Readonly<Record<RecordKind, string>>> = {
  network: "networkId",
  endpoint: "endpointId",
  pool: "poolId",
  address: "addressId",
};

/** Records that count what is written to them, and have it at hand without a look at the disk. */
export interface WatchedRecords extends RecordStore {
  readonly commits: number;
  written(kind: RecordKind): ReadonlyMap<string, unknown>;
}

/** Keeps the texts that had no right to be where they were. */
export class NamesGuard {
  readonly breaches: string[] = [];
  /** How many texts were looked at: none would be a guard that sees nothing. */
  seen = 0;

  /** The same object, whose methods are watched. */
  watch<T extends object>(part: T): T {
    return new Proxy(part, {
      get: (target, key) => {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== "function" || typeof key !== "string") return member;
        return (...args: unknown[]): unknown => {
          args.forEach((arg, at) => this.#look(`${key}()`, ARGUMENTS[key]?.[at] ?? key, arg));
          return Reflect.apply(member, target, args);
        };
      },
    });
  }

  /** The same records, whose changes are watched and counted. */
  watchRecords(records: RecordStore): WatchedRecords {
    let commits = 0;
    const written = new Map<RecordKind, Map<string, unknown>>();
    const writtenOf = (kind: RecordKind) => {
      const found = written.get(kind) ?? new Map<string, unknown>();
      written.set(kind, found);
      return found;
    };
    const commit = async (changes: readonly RecordChange[]) => {
      commits += 1;
      for (const change of changes) {
        this.#look(`record ${change.kind}`, ID_OF_RECORD[change.kind] ?? change.kind, change.id);
        if ("body" in change) this.#look(`record ${change.kind}`, "body", change.body);
      }
      await records.commit(changes);
      for (const change of changes) {
        if ("body" in change) writtenOf(change.kind).set(change.id, change.body);
        else writtenOf(change.kind).delete(change.id);
      }
    };
    return {
      get commits() {
        return commits;
      },
      written: writtenOf,
      list: (kind) => records.list(kind),
      damaged: () => records.damaged(),
      fault: records.fault,
      writeFault: undefined,
      tryAgain: () => {},
      disk: async () => undefined,
      commit,
      close: () => records.close(),
    };
  }

  /** Looks at the name of a link that is on the host. */
  lookAtLink(name: string): void {
    this.#look("the host", "ifName", name);
  }

  /** Looks at a field of an answer that tells the engine a name. */
  lookAtAnswer(field: "ifName" | "ifPrefix", text: unknown): void {
    this.#look("the answer", field, text);
  }

  #look(where: string, field: string, value: unknown): void {
    if (typeof value === "string") {
      this.seen += 1;
      if (FORMS[field]?.test(value) !== true) this.breaches.push(`${where}: ${field} ${JSON.stringify(value)}`);
    } else if (Array.isArray(value) || value instanceof Set) {
      for (const member of value as Iterable<unknown>) this.#look(where, field === "networks" ? "id" : field, member);
    } else if (value instanceof Map) {
      for (const member of value.values()) this.#look(where, field, member);
    } else if (typeof value === "object" && value !== null) {
      for (const [key, member] of Object.entries(value)) this.#look(where, MEMBERS[field] ?? key, member);
    }
  }
}

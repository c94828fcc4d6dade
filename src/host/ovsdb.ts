// Open vSwitch's database: transactions, and the wait until `ovs-vswitchd` has made them true. One connection, kept by
// `ovsdb-link.ts`; no process is started. Operations are in `ovsdb-operations.ts`, tables and columns in `ovsdb-schema.ts`.
//
// What is read is read by `select`, so that no copy of ours can be out of date: a round trip takes a tenth of a millisecond.
// Monitored is `cur_cfg`, since waiting for a number to grow is the one thing that a transaction cannot do (`wait` knows only
// == and !=), and what others may change, to know when to look. The plain `monitor` of RFC 7047 is in every version, and we
// have no conditions for `monitor_cond`. No lock is taken: `expectNamed` guards what a change rests on, and ports of others
// are not touched. No commit is `durable`: tsnet's own records say what shall be there, and `onConnected` is when to look.
//
// Source: RFC 7047; ovs-vswitchd.conf.db(5), table Open_vSwitch, next_cfg and cur_cfg; ovs-vsctl(8), --no-wait.
import { TsnetError, inContext, messageOf } from "../errors.ts";
import { noteChange } from "./changes.ts";
import { type OvsdbAddress, parseOvsdbAddress } from "./ovsdb-address.ts";
import { OvsdbConnection } from "./ovsdb-connection.ts";
import { type LinkOptions, OvsdbLink } from "./ovsdb-link.ts";
import { type Operation, type Results, mutate, parseResults, select } from "./ovsdb-operations.ts";
import { type ColumnName, DATABASE, type Row, TABLES, type Table } from "./ovsdb-schema.ts";

/** The database answers in a millisecond unless it hangs. The second is for the whole of making a connection. */
const REQUEST_DEADLINE_MS = 5_000;
const CONNECT_DEADLINE_MS = 3_000;

/** A new port takes `ovs-vswitchd` a millisecond, a new bridge a hundred, its own start with many ports some seconds. */
const VSWITCHD_DEADLINE_MS = 10_000;

/** What tsnet writes and others may undo, and `ifindex`, which says that a link has gone or come back. No statistics. */
const WATCHED = {
  Bridge: ["name", "ports", "datapath_type", "fail_mode", "external_ids"],
  Port: ["name", "interfaces", "tag", "trunks", "vlan_mode", "external_ids"],
  Interface: ["name", "type", "options", "error", "ifindex", "external_ids"],
} as const satisfies { readonly [T in Table]?: readonly ColumnName<T>[] };

/** What a client is given besides the address. Events may not throw. */
export interface OvsdbOptions extends LinkOptions {
  /** A bridge, port or interface was changed, by whomever, tsnet included. What it was is not told: look. */
  readonly onChanged?: () => void;
  /** Default 5 s. */
  readonly requestDeadlineMs?: number;
  /** Default 10 s. */
  readonly vswitchdDeadlineMs?: number;
}

/** What `ovs-vswitchd` says of an interface. */
export type InterfaceState = Row<"Interface", (typeof STATE)[number]>;

const STATE = ["name", "ofport", "error", "ifindex"] as const satisfies readonly ColumnName<"Interface">[];

interface Waiter extends PromiseWithResolvers<void> {
  readonly sequence: number;
}

/** A client that connects when it is first used and stays connected until `close`. */
export class Ovsdb implements Disposable {
  readonly #address: OvsdbAddress;
  readonly #link: OvsdbLink;
  readonly #onChanged: (() => void) | undefined;
  readonly #requestDeadlineMs: number;
  readonly #vswitchdDeadlineMs: number;
  readonly #waiters = new Set<Waiter>();
  #curCfg = -Infinity;

  /**
   * Does not connect.
   *
   * @param address - `unix:PATH` or `tcp:HOST:PORT`.
   * @param options.onConnected - there is a connection, the first or a later one: what is wanted there may be missing.
   * @throws TsnetError `invalid` for another address.
   */
  constructor(address: string, options: OvsdbOptions = {}) {
    this.#address = parseOvsdbAddress(address);
    this.#onChanged = options.onChanged;
    this.#requestDeadlineMs = options.requestDeadlineMs ?? REQUEST_DEADLINE_MS;
    this.#vswitchdDeadlineMs = options.vswitchdDeadlineMs ?? VSWITCHD_DEADLINE_MS;
    this.#link = new OvsdbLink((onEnd) => this.#open(onEnd), options);
  }

  /** Whether there is a connection at this moment. */
  get isConnected(): boolean {
    return this.#link.isConnected;
  }

  /**
   * Makes one transaction: all operations happen in the database, in their order, or none does.
   *
   * @returns what each operation gives back.
   * @throws TsnetError `host` when the database refuses it, and nothing is changed (`isRefused`); `unavailable` when there is
   * no Open vSwitch, or when it does not answer within 5 s: the message says whether the change may have been made.
   */
  async transact<const O extends readonly Operation<unknown>[]>(doing: string, operations: O): Promise<Results<O>> {
    try {
      const connection = await this.#link.connection();
      const params = [DATABASE, ...operations.map(({ json }) => json)];
      const answer = await connection.request("transact", params, this.#requestDeadlineMs).catch((failure: unknown) => {
        throw connection.end === undefined || isReading(operations) ? failure : inDoubt(failure);
      });
      return parseResults(operations, answer);
    } catch (failure) {
      throw inContext(doing, failure);
    }
  }

  /**
   * Makes one transaction, as `transact`, and waits until `ovs-vswitchd` has taken it over. That it could, only
   * `requireInterfaces` tells.
   *
   * @throws as `transact`; `unavailable` as well when `ovs-vswitchd` does not take it over within 10 s. The change then stands
   * in the database and will be taken over later, unless it is undone.
   */
  async apply<const O extends readonly Operation<unknown>[]>(doing: string, operations: O): Promise<Results<O>> {
    const count = mutate("Open_vSwitch", [], [["next_cfg", "+=", 1]]);
    const read = select("Open_vSwitch", [], ["next_cfg"]);
    const results = await this.transact(doing, [...operations, count, read]);
    if (operations.length > 0) noteChange();
    const [row] = (results as readonly unknown[]).at(-1) as readonly Row<"Open_vSwitch", "next_cfg">[]; // what `read` gives
    if (row === undefined) {
      throw new TsnetError("unavailable", `${doing}: Open vSwitch's database is empty: run ovs-vsctl init`);
    }
    await this.#reach(doing, row.next_cfg);
    return results.slice(0, operations.length) as unknown as Results<O>; // those of `operations`
  }

  /** Waits until `ovs-vswitchd` has taken over all that the database says now. @throws as `apply`. */
  async waitForVswitchd(doing: string): Promise<void> {
    await this.apply(doing, []);
  }

  /**
   * Asks what became of interfaces.
   *
   * @param names - of any length; what is absent from the database is absent from the answer.
   * @throws as `transact`.
   */
  async interfaceStates(doing: string, names: readonly string[]): Promise<InterfaceState[]> {
    const reads = names.map((name) => select("Interface", [["name", "==", name]], STATE));
    return (await this.transact(doing, reads)).flat();
  }

  /**
   * Makes sure that `ovs-vswitchd` could open interfaces, after `apply`: a port on a link that does not exist is accepted.
   *
   * @throws TsnetError `host` with Open vSwitch's words for each that it could not; and as `transact`.
   */
  async requireInterfaces(doing: string, names: readonly string[]): Promise<void> {
    const states = await this.interfaceStates(doing, names);
    const faults = names.flatMap((name) => faultOf(name, states) ?? []);
    if (faults.length > 0) throw new TsnetError("host", `${doing}: ${faults.join("; ")}`);
  }

  /** Refuses further calls; those under way fail. */
  close(): void {
    this.#link.close();
    const reason = new TsnetError("unavailable", "the client of Open vSwitch's database was closed");
    for (const { reject } of this.#waiters) reject(reason);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** A connection that tells every change of `cur_cfg` and of what is watched. */
  async #open(onEnd: (reason: TsnetError) => void): Promise<OvsdbConnection> {
    const onNotification = (method: string, params: unknown) => {
      if (method !== "update" || !Array.isArray(params)) return;
      this.#note(params[1]);
      if (Object.keys(Object(params[1])).some((table) => table in WATCHED)) this.#onChanged?.();
    };
    const connection = await OvsdbConnection.open(this.#address, { onNotification, onEnd }, CONNECT_DEADLINE_MS);
    try {
      this.#curCfg = -Infinity; // another database may stand there now
      const params = [DATABASE, "tsnet", monitorRequests(this.#onChanged !== undefined)];
      this.#note(await connection.request("monitor", params, CONNECT_DEADLINE_MS));
      return connection;
    } catch (failure) {
      connection.close();
      if (failure instanceof TsnetError && failure.code === "unavailable") throw failure;
      throw inContext(
        `what answers on ${this.#address.text} is no database of Open vSwitch (see TSNET_OVSDB)`,
        failure,
      );
    }
  }

  /** A new connection on the way does not end the wait. */
  async #reach(doing: string, sequence: number): Promise<void> {
    if (sequence <= this.#curCfg) return;
    const waiter = { sequence, ...Promise.withResolvers<void>() };
    const timer = setTimeout(() => {
      waiter.reject(new TsnetError("unavailable", `${doing}: ${this.#whyNotReached()}`));
    }, this.#vswitchdDeadlineMs);
    this.#waiters.add(waiter);
    try {
      await waiter.promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  #whyNotReached(): string {
    const seconds = this.#vswitchdDeadlineMs / 1000;
    if (!this.isConnected) return `Open vSwitch's database went away before ovs-vswitchd had taken over the change`;
    const remedy =
      "look whether it runs (systemctl status ovs-vswitchd), or restart it (systemctl restart ovs-vswitchd)";
    return `ovs-vswitchd did not take over the change within ${seconds} s: ${remedy}`;
  }

  /** Takes <table-updates> (RFC 7047, section 4.1.5): the new row, when there is one. */
  #note(updates: unknown): void {
    const rows = Object.values(Object(updates)["Open_vSwitch"] ?? {});
    for (const row of rows as readonly { readonly new?: { readonly cur_cfg?: unknown } }[]) {
      if (row.new !== undefined) this.#curCfg = TABLES.Open_vSwitch.cur_cfg.decode(row.new.cur_cfg);
    }
    for (const { sequence, resolve } of this.#waiters) if (sequence <= this.#curCfg) resolve();
  }
}

/** <monitor-requests> (RFC 7047, section 4.1.5). What is there already is news to nobody. */
function monitorRequests(isWatching: boolean): object {
  const watched = Object.entries(WATCHED).map(([table, columns]) => [table, { columns, select: { initial: false } }]);
  return { Open_vSwitch: { columns: ["cur_cfg"] }, ...(isWatching && Object.fromEntries(watched)) };
}

function isReading(operations: readonly Operation<unknown>[]): boolean {
  return operations.every(({ json }) => json["op"] === "select" || json["op"] === "wait");
}

function inDoubt(failure: unknown): TsnetError {
  return new TsnetError("unavailable", `${messageOf(failure)}; whether the change was made is unknown`, {
    cause: failure,
  });
}

function faultOf(name: string, states: readonly InterfaceState[]): string | undefined {
  const state = states.find((each) => each.name === name);
  if (state === undefined) return `Open vSwitch has no interface ${name}`;
  if (state.error === undefined && state.ofport !== undefined && state.ofport >= 0) return undefined;
  return `Open vSwitch cannot use ${name}: ${state.error ?? "see the log of ovs-vswitchd"}`;
}

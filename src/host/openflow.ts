// A client of one switch: what flows it has, and which it shall have. The connection is its owner's business: when it has ended,
// `onEnd` says why, and the owner opens another one.
// Follows OpenFlow 1.3 and 1.4, which Open vSwitch speaks unless a bridge's `protocols` say otherwise (ovs-vswitchd.conf.db(5)).
import { TsnetError } from "../errors.ts";
import { OpenFlowConnection, type Request } from "./openflow-connection.ts";
import {
  type CookieFilter,
  type Flow,
  type FlowKey,
  type ListedFlow,
  decodeCount,
  decodeFlows,
  describeFlow,
  encodeAdd,
  encodeDelete,
  encodeDeleteStrictly,
  encodeFilter,
} from "./openflow-flow.ts";
import { TYPE } from "./openflow-message.ts";
import { type PacketOut, encodePacketOut } from "./openflow-packet-out.ts";
import { parseOvsdbAddress } from "./ovsdb-address.ts";

const DEADLINE_MS = 5_000;

/** So many flows in one write: what is under way stays small. */
const BATCH = 1_000;

/** So many refused flows stand in an error; the others are counted. */
const MAX_NAMED = 5;

/** OFPMP_*. */
const [FLOWS, AGGREGATE] = [1, 2];

/** OFPC_FRAG_NORMAL, and Open vSwitch's OFPC_FRAG_NX_MATCH. */
const FRAGMENTS = { normal: 0, matched: 3 } as const;

/** Whom to tell, and how patient to be. */
export interface OpenFlowOptions {
  /** Called once when the connection has ended, also by `close`. May not throw. */
  readonly onEnd?: (reason: TsnetError) => void;
  /** Default 5 s, for the greeting and for each answer. */
  readonly deadlineMs?: number;
}

/** An open connection to one switch. For `using`. */
export class OpenFlow implements Disposable {
  readonly #connection: OpenFlowConnection;
  readonly #deadlineMs: number;

  private constructor(connection: OpenFlowConnection, deadlineMs: number) {
    this.#connection = connection;
    this.#deadlineMs = deadlineMs;
  }

  /**
   * Connects to a switch.
   *
   * @param address - `unix:/run/openvswitch/NAME.mgmt`, or `tcp:HOST:PORT`.
   * @throws TsnetError `invalid` for another address, `unavailable` when nobody answers, `unsupported` when the switch speaks
   * neither 1.3 nor 1.4.
   */
  static async open(address: string, { onEnd = () => {}, deadlineMs = DEADLINE_MS }: OpenFlowOptions = {}) {
    return new OpenFlow(await OpenFlowConnection.open(parseOvsdbAddress(address), onEnd, deadlineMs), deadlineMs);
  }

  /** Why the connection has ended; undefined as long as it has not. */
  get end(): TsnetError | undefined {
    return this.#connection.end;
  }

  /**
   * Adds flows; one that there is with the same table, priority and match is replaced. They are in force afterwards.
   *
   * @throws TsnetError `host` that names the flows that the switch refuses: the others are there; `invalid`; `unavailable`.
   */
  async addFlows(flows: readonly Flow[]): Promise<void> {
    await this.#change("add", flows, encodeAdd, describeFlow);
  }

  /** Deletes all flows whose cookies have these bits, if there are any. @throws TsnetError as `addFlows`. */
  async deleteFlows(filter: CookieFilter): Promise<void> {
    const describe = ({ cookie, mask }: CookieFilter) => `cookie=0x${cookie.toString(16)}/0x${mask.toString(16)}`;
    await this.#change("delete", [filter], encodeDelete, describe);
  }

  /** Deletes flows of exactly these tables, priorities and matches, if they are there. @throws TsnetError as `addFlows`. */
  async deleteStrictly(keys: readonly FlowKey[]): Promise<void> {
    await this.#change("delete", keys, encodeDeleteStrictly, describeFlow);
  }

  /** How many flows have these bits in their cookies. @throws TsnetError `host`, `unavailable`. */
  async countFlows(filter: CookieFilter): Promise<number> {
    const parts = await this.#connection.ask(AGGREGATE, encodeFilter(filter), this.#deadlineMs);
    return decodeCount(Buffer.concat(parts));
  }

  /** The flows that have these bits in their cookies, in no order. @throws TsnetError `host`, `unavailable`. */
  async listFlows(filter: CookieFilter): Promise<readonly ListedFlow[]> {
    const parts = await this.#connection.ask(FLOWS, encodeFilter(filter), this.#deadlineMs);
    return parts.flatMap((part) => decodeFlows(part));
  }

  /**
   * Says whether flows see the ports in a first fragment (`matched`), or take them for 0 in all (`normal`, as a switch has it
   * when it starts). Concerns the whole switch, until ovs-vswitchd ends. Source: ovs-ofctl(8), `set-frags`.
   */
  async setFragments(mode: keyof typeof FRAGMENTS): Promise<void> {
    const encode = () => Buffer.of(0, FRAGMENTS[mode], 0, 0); // no frames for a controller
    await this.#change("set", [mode], encode, () => `fragments=${mode}`, TYPE.setConfig);
  }

  /**
   * Has the switch send frames, past all flows. What becomes of them is not told.
   *
   * @throws TsnetError `host` for ports that are not there: the other frames are sent; `unavailable`.
   */
  async sendFrames(packets: readonly PacketOut[]): Promise<void> {
    const describe = ({ frame, ports }: PacketOut) => `${frame.length} bytes to ports ${ports.join(", ")}`;
    await this.#change("send", packets, encodePacketOut, describe, TYPE.packetOut);
  }

  /** Ends the connection. */
  close(): void {
    this.#connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #change<T>(
    verb: string,
    items: readonly T[],
    encode: (item: T) => Buffer,
    describe: (item: T) => string,
    type: number = TYPE.flowMod,
  ): Promise<void> {
    const requests = items.map((item): Request => ({ type, body: encode(item) }));
    const refused: string[] = [];
    for (let at = 0; at < items.length; at += BATCH) {
      const objections = await this.#connection.command(requests.slice(at, at + BATCH), this.#deadlineMs);
      for (const [n, item] of items.slice(at, at + BATCH).entries()) {
        const objection = objections[n];
        if (objection !== undefined) refused.push(`${describe(item)} (${objection})`);
      }
    }
    if (refused.length === 0) return;
    const more = refused.length > MAX_NAMED ? `, and ${refused.length - MAX_NAMED} others` : "";
    throw new TsnetError("host", `the switch refuses to ${verb} ${refused.slice(0, MAX_NAMED).join(", ")}${more}`);
  }
}

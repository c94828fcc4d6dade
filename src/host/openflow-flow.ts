// Flows as messages carry them: OFPT_FLOW_MOD and OFPMP_FLOW, OFPMP_AGGREGATE (OpenFlow 1.3 and 1.4, 7.3.4 and 7.3.5). The two
// versions differ in one field that tsnet leaves at zero.
import { TsnetError } from "../errors.ts";
import { type Action, decodeActions, encodeActions } from "./openflow-actions.ts";
import { type Match, decodeMatch, encodeMatch } from "./openflow-match.ts";

/** OFPFC_*. */
const COMMAND = { add: 0, delete: 3, deleteStrictly: 4 } as const;

/** OFPP_ANY, OFPG_ANY, OFP_NO_BUFFER; OFPTT_ALL. */
const ANY = 0xffffffff;
const ALL_TABLES = 0xff;

/** OFPIT_*. */
const [GOTO_TABLE, APPLY_ACTIONS] = [1, 4];

/** Bytes of a flow's statistics before its match. */
const STATISTICS_LENGTH = 48;

/** What tells a flow from others. */
export interface FlowKey {
  /** 0 to 254; a frame begins in table 0. */
  readonly table: number;
  /** 0 to 65535; of the flows that match, that with the highest one counts. */
  readonly priority: number;
  readonly match: Match;
}

/** A rule of the switch. */
export interface Flow extends FlowKey {
  /** Whose flow it is: free, 64 bits. */
  readonly cookie: bigint;
  /** In this order; none, and no `goTo`: the frame is dropped. */
  readonly actions: readonly Action[];
  /** A later table, in which it goes on after the actions. */
  readonly goTo?: number;
}

/** Flows whose cookie has these bits. */
export interface CookieFilter {
  readonly cookie: bigint;
  readonly mask: bigint;
}

/** A flow as a switch tells it. */
export interface ListedFlow extends Flow {
  /** Fields and instructions that tsnet never writes. */
  readonly strange: readonly string[];
}

/** OFPT_FLOW_MOD that adds a flow, or replaces the one with the same table, priority and match. @throws TsnetError `invalid`. */
export function encodeAdd(flow: Flow): Buffer {
  const instructions = [];
  if (flow.actions.length > 0) instructions.push(instruction(APPLY_ACTIONS, encodeActions(flow.actions)));
  if (flow.goTo !== undefined) instructions.push(instruction(GOTO_TABLE, Buffer.of(flow.goTo, 0, 0, 0), 0));
  return flowMod("add", { ...flow, mask: 0n }, Buffer.concat(instructions));
}

/** OFPT_FLOW_MOD that deletes all flows with these bits in their cookies, in all tables. */
export function encodeDelete(filter: CookieFilter): Buffer {
  return flowMod("delete", { ...filter, table: ALL_TABLES, priority: 0, match: {} });
}

/** OFPT_FLOW_MOD that deletes the flow with exactly this table, priority and match. */
export function encodeDeleteStrictly(key: FlowKey): Buffer {
  return flowMod("deleteStrictly", { ...key, cookie: 0n, mask: 0n });
}

/** The body of OFPMP_FLOW and of OFPMP_AGGREGATE. */
export function encodeFilter({ cookie, mask }: CookieFilter): Buffer {
  const fixed = Buffer.alloc(32);
  fixed.writeUInt8(ALL_TABLES, 0);
  fixed.writeUInt32BE(ANY, 4);
  fixed.writeUInt32BE(ANY, 8);
  fixed.writeBigUInt64BE(cookie, 16);
  fixed.writeBigUInt64BE(mask, 24);
  return Buffer.concat([fixed, encodeMatch({})]);
}

/** The flows in one part of an answer to OFPMP_FLOW. @throws TsnetError `host` for bytes that make no sense. */
export function decodeFlows(body: Buffer): readonly ListedFlow[] {
  const flows: ListedFlow[] = [];
  for (let at = 0; at < body.length;) {
    const length = body.length - at < STATISTICS_LENGTH ? 0 : body.readUInt16BE(at);
    if (length < STATISTICS_LENGTH || at + length > body.length)
      throw new TsnetError("host", "a flow ends before its end");
    flows.push(decodeFlow(body.subarray(at, at + length)));
    at += length;
  }
  return flows;
}

/** How many flows an answer to OFPMP_AGGREGATE counts. @throws TsnetError `host`. */
export function decodeCount(body: Buffer): number {
  if (body.length < 20) throw new TsnetError("host", "a count ends before its end");
  return body.readUInt32BE(16);
}

/** A flow in a few words, for errors. */
export function describeFlow({ table, priority, match }: FlowKey): string {
  const fields = Object.entries(match).map(([name, value]) =>
    typeof value === "object" ? `${name}=${value.value}/${value.mask}` : `${name}=${value}`,
  );
  return [`table=${table}`, `priority=${priority}`, ...fields].join(",");
}

function decodeFlow(bytes: Buffer): ListedFlow {
  const { match, unknown, length } = decodeMatch(bytes.subarray(STATISTICS_LENGTH));
  const key = { table: bytes.readUInt8(2), priority: bytes.readUInt16BE(12), match };
  const { actions, goTo, strange } = decodeInstructions(bytes.subarray(STATISTICS_LENGTH + length));
  return {
    ...key,
    cookie: bytes.readBigUInt64BE(24),
    actions,
    ...(goTo !== undefined && { goTo }),
    strange: [...unknown, ...strange],
  };
}

function decodeInstructions(bytes: Buffer) {
  const strange: string[] = [];
  let actions: readonly Action[] = [];
  let goTo: number | undefined;
  for (let at = 0; at < bytes.length;) {
    const length = bytes.length - at < 8 ? 0 : bytes.readUInt16BE(at + 2);
    if (length < 8 || at + length > bytes.length) throw new TsnetError("host", "an instruction ends before its end");
    const type = bytes.readUInt16BE(at);
    if (type === APPLY_ACTIONS) actions = decodeActions(bytes.subarray(at + 8, at + length));
    else if (type === GOTO_TABLE) goTo = bytes.readUInt8(at + 4);
    else strange.push(`instruction ${type}`);
    at += length;
  }
  return { actions, goTo, strange };
}

/** Actions stand behind 4 bytes of padding, the number of a table does not. */
function instruction(type: number, body: Buffer, padding = 4): Buffer {
  const head = Buffer.alloc(4 + padding);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(head.length + body.length, 2);
  return Buffer.concat([head, body]);
}

/** What follows the header of the message. */
function flowMod(command: keyof typeof COMMAND, flow: FlowKey & CookieFilter, instructions = Buffer.alloc(0)): Buffer {
  const fixed = Buffer.alloc(40);
  fixed.writeBigUInt64BE(flow.cookie, 0);
  fixed.writeBigUInt64BE(flow.mask, 8);
  fixed.writeUInt8(flow.table, 16);
  fixed.writeUInt8(COMMAND[command], 17);
  fixed.writeUInt16BE(flow.priority, 22);
  for (const at of [24, 28, 32]) fixed.writeUInt32BE(ANY, at); // no buffer, any port, any group
  return Buffer.concat([fixed, encodeMatch(flow.match), instructions]);
}

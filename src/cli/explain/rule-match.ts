// Whether a rule's conditions (rule-expression.ts) hold for a packet. What cannot be told from the JSON, such as matches of
// iptables that nft does not know, is neither true nor false: `undefined`.
import { contains, parseAddress } from "../../cidr.ts";
import { type Json, elementsOf, isNamed, prefixIn, selectorsOf } from "../rule-expression.ts";
import { type Machine, linkNamed, linkWith } from "./machine.ts";
import { CLIENT_PORT, type Packet } from "./packet.ts";
import type { Rule } from "./ruleset.ts";

/** A rule, the packet that it meets, and where that is. */
export interface Meeting {
  readonly rule: Rule;
  readonly packet: Packet;
  readonly machine: Pick<Machine, "links" | "rules">;
}

/** What a packet has not, so that a rule that asks for it does not match. */
const ABSENT = Symbol("absent");
/** What cannot be told. */
const UNKNOWN = Symbol("unknown");

/** A list is one of flags. */
type Value = string | number | readonly string[] | readonly Value[] | typeof ABSENT | typeof UNKNOWN;

/** @param condition - what stands in a rule's `match`. */
export function holds(condition: Json, meeting: Meeting): boolean | undefined {
  const { op, left, right } = condition;
  const value = valueOf(left, meeting);
  if (value === ABSENT || (Array.isArray(value) && value.includes(ABSENT))) return false;
  const isIn = isAmong(value, right, meeting, String(op));
  return op === "!=" && isIn !== undefined ? !isIn : isIn;
}

/** What a map has for a key: of `data` in a verdict map or in `dnat`. */
export function lookUp(key: unknown, data: unknown, meeting: Meeting): unknown {
  const value = valueOf(key, meeting);
  const entries = elementsIn(data, meeting) as readonly (readonly unknown[])[]; // pairs, libnftables-json(5) MAP
  return entries.find(([wanted]) => isEqual(value, wanted) === true)?.[1];
}

/** A list for a concatenation. */
function valueOf(expression: unknown, meeting: Meeting): Value {
  const values = selectorsOf(expression).map(({ name, mask }): Value => {
    const value = valueNamed(name, meeting);
    if (mask === undefined) return value;
    return typeof value === "number" && typeof mask === "number" ? (value & mask) >>> 0 : UNKNOWN;
  });
  return values.length === 1 ? (values[0] ?? UNKNOWN) : values;
}

function valueNamed(name: string, meeting: Meeting): Value {
  const [protocol = "", field] = name.split(" ");
  if (name === "exthdr") return ABSENT;
  if (field === undefined) return metaOf(name, meeting);
  if (protocol === "ct") return connectionOf(field, meeting.packet);
  return protocol === "fib" ? addressTypeOf(name, meeting) : payloadOf(protocol, field, meeting.packet);
}

function metaOf(key: string, { packet, machine }: Meeting): Value {
  const { inLink = "", outLink = "", family, protocol, mark } = packet;
  const values: Readonly<Record<string, Value>> = {
    iifname: inLink,
    iif: inLink,
    oifname: outLink,
    oif: outLink,
    iifgroup: linkNamed(machine, inLink)?.group ?? 0,
    oifgroup: linkNamed(machine, outLink)?.group ?? 0,
    l4proto: protocol,
    nfproto: family === 4 ? "ipv4" : "ipv6",
    protocol: family === 4 ? "ip" : "ip6",
    mark,
  };
  return values[key] ?? UNKNOWN;
}

function payloadOf(protocol: string, field: string, packet: Packet): Value {
  const { family, source, destination, port } = packet;
  if (protocol === "ether") {
    return field === "saddr"
      ? (packet.sourceMac ?? UNKNOWN)
      : field === "type"
        ? family === 4
          ? "ip"
          : "ip6"
        : UNKNOWN;
  }
  if (protocol === "ip" || protocol === "ip6") {
    if ((protocol === "ip") !== (family === 4)) return ABSENT;
    const values: Readonly<Record<string, Value>> = { saddr: source || UNKNOWN, daddr: destination };
    return values[field] ?? (field === "protocol" || field === "nexthdr" ? packet.protocol : UNKNOWN);
  }
  if (protocol === "icmp" || protocol === "icmpv6") {
    const isIt = packet.protocol === (protocol === "icmp" ? "icmp" : "ipv6-icmp");
    return !isIt ? ABSENT : field === "type" ? "echo-request" : UNKNOWN;
  }
  if (port === undefined || (protocol !== "th" && protocol !== packet.protocol)) return ABSENT;
  return field === "dport" ? port : field === "sport" ? CLIENT_PORT : UNKNOWN;
}

function connectionOf(key: string, { isTranslated }: Packet): Value {
  const values: Readonly<Record<string, Value>> = {
    state: ["new"],
    status: isTranslated ? ["dnat"] : ["none"],
    direction: "original",
    label: ["none"],
    mark: 0,
  };
  return values[key] ?? UNKNOWN;
}

/** `fib daddr type`, `fib daddr . iif type`. */
function addressTypeOf(name: string, { packet, machine }: Meeting): Value {
  if (!/^fib .*\bdaddr\b.* type$/.test(name)) return UNKNOWN;
  const owner = linkWith(machine, packet.destination);
  if (owner === undefined) return "unicast";
  return !/\biif\b/.test(name) || owner.name === packet.inLink ? "local" : "unicast";
}

function isAmong(value: Value, right: unknown, meeting: Meeting, op: string): boolean | undefined {
  if (op === "<" || op === ">" || op === "<=" || op === ">=") return isOrdered(value, right, op);
  return any(elementsIn(right, meeting).map((element) => isEqual(value, element)));
}

function isOrdered(value: Value, right: unknown, op: string): boolean | undefined {
  if (typeof value !== "number" || typeof right !== "number") return undefined;
  if (value === right) return op.endsWith("=");
  return op.startsWith("<") === value < right;
}

/** Of a set that is named `@NAME` as well. */
function elementsIn(data: unknown, { rule, machine }: Meeting): readonly unknown[] {
  if (typeof data !== "string" || !data.startsWith("@")) return elementsOf(data);
  return machine.rules.findSet(rule, data.slice(1))?.elem ?? [];
}

function isEqual(value: Value, element: unknown): boolean | undefined {
  if (value === ABSENT) return false;
  if (typeof element !== "object" || element === null) return isScalar(value, element);
  const { concat, range, set, elem } = element as Json; // one of the forms of libnftables-json(5)
  if (elem !== undefined) return isEqual(value, (elem as Json)["val"]);
  if (Array.isArray(set)) return any(set.map((each) => isEqual(value, each)));
  if (Array.isArray(concat)) {
    const parts = value === UNKNOWN ? [] : (value as readonly Value[]); // both sides of a concatenation have its parts
    return all(concat.map((each, at) => isEqual(parts[at] ?? UNKNOWN, each)));
  }
  if (value === UNKNOWN) return undefined;
  const prefix = prefixIn(element);
  if (prefix !== undefined) return typeof value === "string" ? contains(prefix, parseAddress(value)) : undefined;
  if (Array.isArray(range)) return isBetween(value, range);
  return undefined;
}

function isScalar(value: Value, element: unknown): boolean | undefined {
  if (value === UNKNOWN) return undefined;
  if (Array.isArray(value)) return value.includes(String(element));
  return isNamed(String(value), String(element));
}

function isBetween(value: Value, [low, high]: readonly unknown[]): boolean | undefined {
  if (typeof value === "number") return value >= Number(low) && value <= Number(high);
  if (typeof value !== "string" || typeof low !== "string" || typeof high !== "string") return undefined;
  const [least, asked, most] = [low, value, high].map((text) => parseAddress(text).value);
  return least !== undefined && asked !== undefined && most !== undefined && asked >= least && asked <= most;
}

function any(answers: readonly (boolean | undefined)[]): boolean | undefined {
  return answers.includes(true) ? true : answers.includes(undefined) ? undefined : false;
}

/** Whether all conditions hold: one that does not decides. */
export function all(answers: readonly (boolean | undefined)[]): boolean | undefined {
  if (answers.includes(false)) return false;
  return answers.includes(undefined) ? undefined : true;
}

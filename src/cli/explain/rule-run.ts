// A packet on its way through the rules of one hook, as nft(8) says: chain after chain by priority, where `accept` ends one
// chain and `drop` the packet. A rule of which cannot be told whether it matches is passed over, and named.
import type { Family } from "../../cidr.ts";
import { type Json, type Verdict, isHidden, targetIn, verdictIn } from "../rule-expression.ts";
import type { Machine } from "./machine.ts";
import type { Packet } from "./packet.ts";
import { type Meeting, all, holds, lookUp } from "./rule-match.ts";
import { sayChain, sayRule } from "./rule-text.ts";
import type { Chain, Rule } from "./ruleset.ts";

/** What became of it. */
export interface Outcome {
  readonly verdict: "accept" | "drop";
  /** Which rule, or which chain's policy, let it go at last or dropped it; "" if there are no chains. */
  readonly by: string;
  /** The command that removes the rule which dropped it. */
  readonly fix?: string;
  readonly packet: Packet;
  /** Rules that may have dropped it. */
  readonly doubts: readonly string[];
}

/** Where a rule translates to. */
export interface Translation {
  readonly kind: "dnat" | "redirect" | "masquerade" | "snat";
  /** Bare; absent for one that cannot be told. */
  readonly address?: string;
  readonly port?: number;
  readonly by: string;
}

/** A packet and how the rules change it. */
interface Walk {
  packet: Packet;
  readonly doubts: string[];
  translation?: Translation;
}

/** `undefined`: the chain's end was reached. */
type Decision = { readonly verdict: "accept" | "drop" | "return"; readonly rule: Rule } | undefined;

const MOST_JUMPS = 16;

/** Through all chains of a hook but those of NAT. @param family - of the tables; `bridge`, or that of the packet. */
export function runHook(machine: Machine, hook: string, packet: Packet, family: Family | "bridge"): Outcome {
  const unread = family === "bridge" ? undefined : machine.rules.unread[family];
  const walk: Walk = { packet, doubts: unread === undefined ? [] : [`the rules of iptables-legacy: ${unread}`] };
  let by = "";
  for (const chain of machine.rules.chainsAt(hook, familiesOf(family), false)) {
    const decision = runChain(machine, walk, chain, chain.name, 0);
    const { doubts } = walk;
    if (decision?.verdict === "drop") {
      const { rule } = decision;
      return { verdict: "drop", by: sayRule(rule), fix: sayRemoval(rule), packet: walk.packet, doubts };
    }
    if (decision === undefined && chain.policy === "drop") {
      return { verdict: "drop", by: `the policy of ${sayChain(chain)}`, packet: walk.packet, doubts };
    }
    if (decision !== undefined && decision.verdict === "accept") by = sayRule(decision.rule);
  }
  return { verdict: "accept", by, packet: walk.packet, doubts: walk.doubts };
}

/** Through the chains of NAT of a hook: the first translation holds. */
export function translate(machine: Machine, hook: string, packet: Packet): Translation | undefined {
  for (const chain of machine.rules.chainsAt(hook, familiesOf(packet.family), true)) {
    const walk: Walk = { packet, doubts: [] };
    runChain(machine, walk, chain, chain.name, 0);
    if (walk.translation !== undefined) return walk.translation;
  }
  return undefined;
}

function familiesOf(family: Family | "bridge"): readonly string[] {
  if (family === "bridge") return [family];
  return ["inet", family === 4 ? "ip" : "ip6"];
}

function runChain(machine: Machine, walk: Walk, place: Chain, name: string, depth: number): Decision {
  if (depth > MOST_JUMPS) return undefined;
  for (const rule of machine.rules.rulesOf(place, name)) {
    const decision = runRule(machine, walk, place, rule, depth);
    if (decision?.verdict === "return") return depth === 0 ? undefined : decision;
    if (decision !== undefined) return decision;
  }
  return undefined;
}

function runRule(machine: Machine, walk: Walk, place: Chain, rule: Rule, depth: number): Decision {
  const meeting: Meeting = { rule, packet: walk.packet, machine };
  const isMatch = all(rule.expr.map((part) => conditionOf(part, meeting)));
  if (isMatch === false) return undefined;
  for (const part of rule.expr) {
    const verdict = verdictOf(part, meeting);
    if (isMatch === undefined) {
      if (verdict?.kind === "drop") walk.doubts.push(sayRule(rule));
      continue;
    }
    mangle(part, walk);
    const translation = translationOf(part, { ...meeting, packet: walk.packet });
    if (translation !== undefined) {
      walk.translation = translation;
      return { verdict: "accept", rule };
    }
    if (verdict === undefined) continue;
    if (verdict.kind === "jump" || verdict.kind === "goto") {
      const inner = runChain(machine, walk, place, verdict.target, depth + 1);
      if (inner !== undefined && inner.verdict !== "return") return inner;
      if (verdict.kind === "goto") return { verdict: "return", rule };
      continue;
    }
    return { verdict: verdict.kind, rule };
  }
  return undefined;
}

/** True for what is no condition. */
function conditionOf(part: Json, meeting: Meeting): boolean | undefined {
  const { match, vmap } = part;
  if (match !== undefined) return holds(match as Json, meeting); // libnftables-json(5) MATCH
  if (vmap !== undefined) return verdictOf(part, meeting) !== undefined;
  return "limit" in part || isHidden(part) ? undefined : true;
}

function verdictOf(part: Json, meeting: Meeting): Verdict | undefined {
  const { vmap } = part;
  if (vmap === undefined) return verdictIn(part);
  const { key, data } = vmap as Json; // libnftables-json(5) VERDICT MAP
  const found = lookUp(key, data, meeting);
  return found === undefined ? undefined : verdictOf(found as Json, meeting);
}

/** What rules do to the mark, with numbers or with the mark itself. */
function mangle({ mangle: change }: Json, walk: Walk): void {
  const { key, value } = (change ?? {}) as Json; // libnftables-json(5) MANGLE
  if (JSON.stringify(key) !== '{"meta":{"key":"mark"}}') return;
  const { mark } = walk.packet;
  if (typeof value === "number") walk.packet = { ...walk.packet, mark: value };
  if (typeof value !== "object" || value === null) return;
  const [[operator, operands] = ["", []]] = Object.entries(value as Readonly<Record<string, readonly unknown[]>>);
  const number = Number(operands[1]);
  const result =
    operator === "|" ? mark | number : operator === "&" ? mark & number : operator === "^" ? mark ^ number : mark;
  walk.packet = { ...walk.packet, mark: result >>> 0 };
}

function translationOf(part: Json, meeting: Meeting): Translation | undefined {
  const by = sayRule(meeting.rule);
  const target = targetIn(part);
  if ("masquerade" in part || target === "MASQUERADE") return { kind: "masquerade", by };
  if ("snat" in part || target === "SNAT") return { kind: "snat", by };
  if ("redirect" in part || target === "REDIRECT") return { kind: "redirect", by };
  if (target === "DNAT") return { kind: "dnat", by };
  if (!("dnat" in part)) return undefined;
  const { addr, port } = part["dnat"] as Json; // libnftables-json(5) NAT STATEMENTS
  if (typeof addr === "string") return { kind: "dnat", address: addr, ...(typeof port === "number" && { port }), by };
  const { map } = (addr ?? {}) as Json;
  if (map === undefined) return { kind: "dnat", by };
  const { key, data } = map as Json;
  const found = lookUp(key, data, meeting);
  if (found === undefined) return undefined; // not in the map: the rule does nothing
  const [address, mapped] = typeof found === "string" ? [found] : ((found as Json)["concat"] as readonly unknown[]);
  return { kind: "dnat", address: String(address), ...(typeof mapped === "number" && { port: mapped }), by };
}

function sayRemoval({ family, table, chain, handle, removal }: Rule): string {
  return removal ?? `nft delete rule ${family} ${table} ${chain} handle ${handle}`;
}

// What the parts of a rule mean as `nft -j` prints them (libnftables-json(5)): what of a packet a condition looks at, with what
// that is compared, and what a verdict says. Whether it holds, explain asks of one packet and doctor of all traffic.
import { type Subnet, parseAddress, subnetOf } from "../cidr.ts";

/** Unknown JSON, looked into field by field; a part of a rule is some. */
export type Json = Readonly<Record<string, unknown>>;

/** What a condition looks at: `iifname`, `ip saddr`, `ct state`, `fib daddr . iif type`, `exthdr`; "" for anything else. */
export interface Selector {
  readonly name: string;
  /** The bits that count. */
  readonly mask?: unknown;
}

/** A verdict. */
export type Verdict =
  | { readonly kind: "accept" }
  | { readonly kind: "drop" }
  | { readonly kind: "return" }
  | { readonly kind: "jump" | "goto"; readonly target: string };

/** What an expression takes from a packet: of a concatenation all its parts. */
export function selectorsOf(expression: unknown): readonly Selector[] {
  const [kind, content] = Object.entries((expression ?? {}) as Json)[0] ?? [];
  const { key, protocol, field, flags, result } = (content ?? {}) as Json; // an object, or a list of operands
  const operands = Array.isArray(content) ? content : [];
  if (kind === "meta") return [{ name: String(key) }];
  if (kind === "ct") return [{ name: `ct ${String(key)}` }];
  if (kind === "payload" && typeof field === "string") return [{ name: `${String(protocol)} ${field}` }]; // else raw bytes
  if (kind === "fib") return [{ name: `fib ${[flags].flat().join(" . ")} ${String(result)}` }];
  if (kind === "&") return selectorsOf(operands[0]).map(({ name }) => ({ name, mask: operands[1] }));
  if (kind === "concat") return operands.flatMap(selectorsOf);
  return [{ name: kind === "exthdr" ? kind : "" }];
}

/** With what it is compared: one value, or those of a set without a name. */
export function elementsOf(right: unknown): readonly unknown[] {
  const { set = right } = (right ?? {}) as Json; // no other form has that field
  return [set].flat();
}

/** Of an element that is a prefix. */
export function prefixIn(element: unknown): Subnet | undefined {
  const { prefix } = (element ?? {}) as { readonly prefix?: { readonly addr: string; readonly len: number } };
  return prefix && subnetOf(parseAddress(prefix.addr), prefix.len);
}

/** Whether a link has that name, or begins as a pattern with `*` at its end says. */
export function isNamed(link: string, pattern: string): boolean {
  return pattern.endsWith("*") ? link.startsWith(pattern.slice(0, -1)) : link === pattern;
}

/** The name of the target of iptables that a part of a rule is, as nft shows those it has no word of its own for (its src/xt.c). */
export function targetIn(part: Json): string | undefined {
  const { type, name } = (part["xt"] ?? {}) as { readonly type?: string; readonly name?: string };
  return type === "target" ? name : undefined;
}

/** Whether a part of a rule is a condition of iptables of which nft shows no more than the name. A comment is none. */
export function isHidden(part: Json): boolean {
  const { type, name } = (part["xt"] ?? { type: "target" }) as { readonly type?: string; readonly name?: string };
  return type !== "target" && name !== "comment";
}

/** The verdict that a part of a rule is, if it is one. A rejection drops. */
export function verdictIn(part: Json): Verdict | undefined {
  if ("drop" in part || "reject" in part || targetIn(part) === "REJECT") return { kind: "drop" };
  for (const kind of ["accept", "return"] as const) if (kind in part) return { kind };
  for (const kind of ["jump", "goto"] as const) {
    if (kind in part) return { kind, target: String((part[kind] as Json)["target"]) };
  }
  return undefined;
}

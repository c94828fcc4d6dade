// How much of some traffic a rule's conditions fit, as far as they can be read: links, addresses, the state of the connection and
// tsnet's mark are; ports and protocols are some of any traffic; what nft shows of iptables' own modules is not known.
//
// Follows libnftables-json(5).
import { type Subnet, contains, overlaps, parseAddress, parseSubnet } from "../../cidr.ts";
import { ADMITTED_MARK } from "./marks.ts";
import type { Statement } from "./rules-facts.ts";

/** Packets of one family that go one way, and that tsnet's own rules have let pass. */
export interface Traffic {
  /** By any of these they come, and go. */
  readonly from: readonly string[];
  readonly to: readonly string[];
  /** Absent for anywhere. */
  readonly source?: Subnet;
  readonly destination?: Subnet;
  readonly family: 4 | 6;
  /** Whether it belongs to a connection that somebody else began; else it begins one. */
  readonly isAnswer?: boolean;
  /** Whether the kernel put another destination into it, as of a published port. */
  readonly isTranslated?: boolean;
}

/** `unknown` may be any of the others. */
export type Fit = "all" | "some" | "none" | "unknown";

const WORSE: readonly Fit[] = ["none", "unknown", "some", "all"];

/** What fits both. */
export function both(a: Fit, b: Fit): Fit {
  return WORSE[Math.min(WORSE.indexOf(a), WORSE.indexOf(b))] ?? "none";
}

/** @param statements - a rule's. What is no condition fits all. */
export function fitOf(statements: readonly Statement[], traffic: Traffic): Fit {
  return statements.map((statement) => fitOfStatement(statement, traffic)).reduce(both, "all");
}

function fitOfStatement(statement: Statement, traffic: Traffic): Fit {
  if ("match" in statement) return fitOfMatch(statement["match"] as Match, traffic); // by the manual
  if ("limit" in statement || "vmap" in statement) return "some";
  return isMatchOfIptables(statement) ? "unknown" : "all";
}

/** A target is no condition. */
function isMatchOfIptables({ xt }: Statement): boolean {
  return xt !== undefined && (xt as { type?: string }).type !== "target"; // by nft's src/xt.c
}

interface Match {
  readonly op: string;
  readonly left: unknown;
  readonly right: unknown;
}

function fitOfMatch({ op, left, right }: Match, traffic: Traffic): Fit {
  const fit = fitOfEqual(left, right, traffic);
  if (op === "==" || op === "in") return fit;
  if (op !== "!=") return "unknown";
  return fit === "all" ? "none" : fit === "none" ? "all" : fit;
}

function fitOfEqual(left: unknown, right: unknown, traffic: Traffic): Fit {
  const [kind, what] = Object.entries((left ?? {}) as Statement)[0] ?? [];
  if (kind === "meta") return fitOfMeta(keyOf(what), right, traffic);
  if (kind === "payload") return fitOfPayload(what, right, traffic);
  if (kind === "ct" && keyOf(what) === "state") return fitOfStates(listOf(right), traffic);
  if (kind === "ct" && keyOf(what) === "status") return fitOfStatus(listOf(right), traffic);
  const isMark = JSON.stringify(left) === JSON.stringify({ "&": [{ meta: { key: "mark" } }, ADMITTED_MARK] });
  return isMark && right === ADMITTED_MARK ? "all" : "unknown";
}

/** Every connection begins with a packet that is `new`, and goes on with others. */
function fitOfStates(states: readonly unknown[], { isAnswer = false }: Traffic): Fit {
  if (states.includes(isAnswer ? "established" : "new")) return "all";
  return states.some((state) => state === "established" || state === "related") ? "some" : "none";
}

function fitOfStatus(bits: readonly unknown[], { isTranslated = false }: Traffic): Fit {
  if (!bits.includes("dnat")) return "unknown";
  return isTranslated ? "all" : bits.length > 1 ? "unknown" : "none";
}

function fitOfMeta(key: string, right: unknown, { from, to, family }: Traffic): Fit {
  if (key === "iifname" || key === "iif") return share(from, listOf(right));
  if (key === "oifname" || key === "oif") return share(to, listOf(right));
  if (key === "nfproto") return listOf(right).includes(family === 4 ? "ipv4" : "ipv6") ? "all" : "none";
  if (key === "protocol") return listOf(right).includes(family === 4 ? "ip" : "ip6") ? "all" : "none";
  return key === "l4proto" ? "some" : "unknown";
}

function fitOfPayload(what: unknown, right: unknown, { family, source, destination }: Traffic): Fit {
  const { protocol, field } = (what ?? {}) as { protocol?: string; field?: string };
  const isAddress = field === "saddr" || field === "daddr";
  if (!isAddress || protocol === "ether" || protocol === "arp") return field === undefined ? "unknown" : "some";
  if (protocol !== (family === 4 ? "ip" : "ip6")) return "none";
  const subnet = field === "saddr" ? source : destination;
  const fits = listOf(right).map((value) => shareOfSubnet(subnet, value));
  return WORSE.findLast((fit) => fits.includes(fit)) ?? "none";
}

function shareOfSubnet(subnet: Subnet | undefined, value: unknown): Fit {
  const wanted = subnetOfValue(value);
  if (wanted === undefined) return "unknown";
  if (subnet === undefined) return wanted.prefixLength === 0 ? "all" : "some";
  if (!overlaps(subnet, wanted)) return "none";
  const isInside = contains(wanted, { family: subnet.family, value: subnet.first });
  return isInside && wanted.prefixLength <= subnet.prefixLength ? "all" : "some";
}

function subnetOfValue(value: unknown): Subnet | undefined {
  const text = typeof value === "string" ? value : prefixOf(value);
  if (text === undefined || text.startsWith("@")) return undefined;
  if (text.includes("/")) return parseSubnet(text);
  const { family } = parseAddress(text);
  return parseSubnet(`${text}/${family === 4 ? 32 : 128}`);
}

function prefixOf(value: unknown): string | undefined {
  const { prefix } = (value ?? {}) as { prefix?: { addr: string; len: number } };
  return prefix && `${prefix.addr}/${prefix.len}`;
}

/** @param patterns - names, with `*` at the end for all that begin so; a set that has a name of its own is not known. */
function share(links: readonly string[], patterns: readonly unknown[]): Fit {
  if (patterns.some((pattern) => typeof pattern !== "string" || pattern.startsWith("@"))) return "unknown";
  const isIn = (link: string) =>
    patterns.some((one) => {
      const pattern = String(one);
      return pattern.endsWith("*") ? link.startsWith(pattern.slice(0, -1)) : link === pattern;
    });
  const found = links.filter(isIn).length;
  return found === 0 ? "none" : found === links.length ? "all" : "some";
}

function keyOf(what: unknown): string {
  return String((what as { key?: unknown } | undefined)?.key);
}

/** One value, or those of a set without a name. */
function listOf(right: unknown): readonly unknown[] {
  if (Array.isArray(right)) return right;
  const { set } = (typeof right === "object" && right !== null ? right : {}) as { set?: unknown };
  return set === undefined ? [right] : [set].flat();
}

// How much of some traffic a rule's conditions fit, as far as they can be read: links, addresses, the state of the connection and
// tsnet's mark are; ports and protocols are some of any traffic; what nft shows of iptables' own modules is not known.
import { type Subnet, contains, overlaps, parseSubnet } from "../../cidr.ts";
import { type Json, elementsOf, isHidden, isNamed, prefixIn, selectorsOf } from "../rule-expression.ts";
import { ADMITTED_MARK } from "./marks.ts";

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
export function fitOf(statements: readonly Json[], traffic: Traffic): Fit {
  return statements.map((statement) => fitOfStatement(statement, traffic)).reduce(both, "all");
}

function fitOfStatement(statement: Json, traffic: Traffic): Fit {
  if ("match" in statement) return fitOfMatch(statement["match"] as Match, traffic); // by the manual
  if ("limit" in statement || "vmap" in statement) return "some";
  return isHidden(statement) ? "unknown" : "all";
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
  const [{ name, mask } = { name: "" }, ...more] = selectorsOf(left);
  const wanted = elementsOf(right);
  if (name === "" || more.length > 0) return "unknown";
  if (mask !== undefined) {
    return name === "mark" && mask === ADMITTED_MARK && right === ADMITTED_MARK ? "all" : "unknown";
  }
  if (name === "ct state") return fitOfStates(wanted, traffic);
  if (name === "ct status") return fitOfStatus(wanted, traffic);
  const [protocol = "", field] = name.split(" ");
  if (field === undefined) return fitOfMeta(name, wanted, traffic);
  return protocol === "ct" || protocol === "fib" ? "unknown" : fitOfPayload(protocol, field, wanted, traffic);
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

function fitOfMeta(key: string, wanted: readonly unknown[], { from, to, family }: Traffic): Fit {
  if (key === "iifname" || key === "iif") return share(from, wanted);
  if (key === "oifname" || key === "oif") return share(to, wanted);
  if (key === "nfproto") return wanted.includes(family === 4 ? "ipv4" : "ipv6") ? "all" : "none";
  if (key === "protocol") return wanted.includes(family === 4 ? "ip" : "ip6") ? "all" : "none";
  return key === "l4proto" ? "some" : "unknown";
}

function fitOfPayload(
  protocol: string,
  field: string,
  wanted: readonly unknown[],
  { family, source, destination }: Traffic,
): Fit {
  const isAddress = field === "saddr" || field === "daddr";
  if (!isAddress || protocol === "ether" || protocol === "arp") return "some";
  if (protocol !== (family === 4 ? "ip" : "ip6")) return "none";
  const fits = wanted.map((value) => shareOfSubnet(field === "saddr" ? source : destination, value));
  return WORSE.findLast((fit) => fits.includes(fit)) ?? "none";
}

function shareOfSubnet(subnet: Subnet | undefined, value: unknown): Fit {
  const wanted = typeof value === "string" ? hostIn(value) : prefixIn(value);
  if (wanted === undefined) return "unknown";
  if (subnet === undefined) return wanted.prefixLength === 0 ? "all" : "some";
  if (!overlaps(subnet, wanted)) return "none";
  const isInside = contains(wanted, { family: subnet.family, value: subnet.first });
  return isInside && wanted.prefixLength <= subnet.prefixLength ? "all" : "some";
}

function hostIn(text: string): Subnet | undefined {
  return text.startsWith("@") ? undefined : parseSubnet(`${text}/${text.includes(":") ? 128 : 32}`);
}

/** @param wanted - names and patterns; a set that has a name of its own is not known. */
function share(links: readonly string[], wanted: readonly unknown[]): Fit {
  const patterns = wanted.flatMap((one) => (typeof one === "string" && !one.startsWith("@") ? one : []));
  if (patterns.length < wanted.length) return "unknown";
  const found = links.filter((link) => patterns.some((pattern) => isNamed(link, pattern))).length;
  return found === 0 ? "none" : found === links.length ? "all" : "some";
}

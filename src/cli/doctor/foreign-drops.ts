// Which foreign rules drop what tsnet lets pass: the base chains of the hook are followed rule by rule, with jumps, as
// the kernel does it. A packet must pass all of them.
import { verdictIn } from "../rule-expression.ts";
import type { RulePlace } from "./firewall-owner.ts";
import { command } from "./shell-command.ts";
import { type Fit, type Traffic, both, fitOf } from "./rule-fit.ts";
import type { Chain, Rule, Ruleset } from "./rules-facts.ts";

/** A rule, or the policy of a chain. */
export interface Drop extends RulePlace {
  /** As `nft` names it: `ip filter DOCKER-USER handle 7`, `inet mine forward`. */
  readonly where: string;
  /** The command that takes it away. */
  readonly mend: string;
  /** `some`: only for part of the traffic. */
  readonly fit: "all" | "some";
}

/** How following a chain ended for all that got there; absent when it goes on behind it. */
type End = "dropped" | "accepted" | "returned" | undefined;

/** More than iptables permits; nft permits 16 (NFT_JUMP_STACK_SIZE). */
const DEEPEST = 20;

const OURS = "tsnet";

/** The drops in all foreign base chains of the hook that see the traffic. */
export function dropsOf(ruleset: Ruleset, traffic: Traffic, at: "forward" | "input" = "forward"): readonly Drop[] {
  const families = ["inet", traffic.family === 4 ? "ip" : "ip6"];
  const base = ruleset.chains.filter(
    ({ hook, table, family }) => hook === at && table !== OURS && families.includes(family),
  );
  return base.flatMap((chain) => {
    const drops: Drop[] = [];
    const end = follow({ ruleset, traffic, drops }, chain, "all", 0);
    if (end !== "dropped" && end !== "accepted" && chain.policy === "drop") drops.push(policyOf(chain));
    return drops;
  });
}

interface Walk {
  readonly ruleset: Ruleset;
  readonly traffic: Traffic;
  readonly drops: Drop[];
}

function follow(walk: Walk, chain: Pick<Chain, "family" | "table" | "name">, reached: Fit, depth: number): End {
  const { family, table, name } = chain;
  const rules = walk.ruleset.rules.filter(
    (rule) => rule.family === family && rule.table === table && rule.chain === name,
  );
  let left = reached;
  for (const rule of rules) {
    const own = fitOf(rule.expr, walk.traffic);
    const fit = both(left, own);
    // What may have left the chain here may not get to its other rules.
    if (own === "unknown" && rule.expr.some((statement) => "return" in statement)) left = "unknown";
    if (fit === "none" || fit === "unknown") continue;
    const end = apply(walk, rule, fit, depth);
    if (end !== undefined && own === "all") return end;
  }
  return undefined;
}

function apply(walk: Walk, rule: Rule, fit: "all" | "some", depth: number): End {
  const verdict = rule.expr.map(verdictIn).find((found) => found !== undefined);
  if (verdict?.kind === "drop") {
    walk.drops.push({ ...placeOf(rule), fit });
    return "dropped";
  }
  if (verdict?.kind === "accept") return "accepted";
  if (verdict?.kind === "return") return "returned";
  if (verdict === undefined || depth > DEEPEST) return undefined;
  const end = follow(walk, { ...rule, name: verdict.target }, fit, depth + 1);
  if (verdict.kind === "goto") return end ?? "returned";
  return end === "returned" ? undefined : end;
}

function placeOf({ family, table, chain, handle }: Rule): Omit<Drop, "fit"> {
  const where = `${family} ${table} ${chain} handle ${handle}`;
  return { table, chain, where, mend: command`nft delete rule ${family} ${table} ${chain} handle ${handle}` };
}

function policyOf({ family, table, name }: Chain): Drop {
  const where = `${family} ${table} ${name}`;
  const rule = "meta mark & 0x20000000 == 0x20000000 accept";
  return { table, chain: name, where, mend: command`nft add rule ${family} ${table} ${name} ${rule}`, fit: "all" };
}

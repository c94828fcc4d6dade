// One rule of ours in somebody else's chain. The engine sets the policy of `FORWARD` to DROP, and a packet that our
// own chain accepted is dropped there all the same, with br_netfilter even between two ports of one bridge. So what we
// admitted is accepted there too, by its mark. The rule stands last, and is moved there when somebody (ufw) adds rules
// behind it: what an administrator drops stays dropped.
import { TsnetError } from "../errors.ts";
import { readLegacyFilter } from "../host/iptables-legacy.ts";
import type { NftObject, NftTool } from "../host/nft-tool.ts";
import { ADMITTED_MARK } from "./table-inet.ts";

/** The families of the two chains, as nft names them. */
const FAMILIES = ["ip", "ip6"] as const;

/** How the rule is known again, by us and by who reads `iptables -S FORWARD`. */
export const RULE_COMMENT = "tsnet: admitted by table inet tsnet";

/** Where the engine drops what its bridges shall not get: internal ones in the first, the others in the second. */
const ISOLATION_CHAINS = ["DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2"] as const;

/** A chain that is there before and after each failure to list it was replaced meanwhile; so often only if nft is broken. */
const LIST_ATTEMPTS = 3;

const MARK = `0x${ADMITTED_MARK.toString(16)}`;

/**
 * The commands that put the rule into each `filter FORWARD` that needs it, or take it out.
 *
 * @param chains - all chains of the host, as `NftTool.listChains` gives them.
 */
export async function forwardRuleCommands(
  nft: NftTool,
  chains: readonly NftObject[],
  isWanted: boolean,
): Promise<readonly NftObject[]> {
  const commands: NftObject[] = [];
  for (const family of FAMILIES) {
    const place = { family, table: "filter", chain: "FORWARD" };
    const exists = chains.some(({ chain }) => isChain(chain, family, "FORWARD"));
    if (!exists) continue;
    const rules = (await listIfThere(nft, family, "FORWARD")).flatMap(({ rule }) => (isRule(rule) ? [rule] : []));
    const ours = rules.filter(({ comment }) => comment === RULE_COMMENT);
    const kept = isWanted && ours.at(-1) === rules.at(-1) ? ours.at(-1) : undefined;
    const serves = kept !== undefined || (ours.length === 0 && rules.some(isEqual));
    if (isWanted && !serves) commands.push({ add: { rule: { ...place, comment: RULE_COMMENT, expr: RULE } } });
    for (const { handle } of ours.filter((rule) => rule !== kept))
      commands.push({ delete: { rule: { ...place, handle } } });
  }
  return commands;
}

/**
 * The bridges that the engine's own rules keep apart (its chains DOCKER-ISOLATION-STAGE-1 and 2 have a drop for each). Engines
 * before 28 rely on FORWARD's policy to keep other links from their containers, and our mark would undo that.
 *
 * @param chains - all chains of the host, as `NftTool.listChains` gives them.
 */
export async function listEngineBridges(nft: NftTool, chains: readonly NftObject[]): Promise<readonly string[]> {
  const names = new Set<string>();
  const places = FAMILIES.flatMap((family) => ISOLATION_CHAINS.map((name) => [family, name] as const));
  for (const [family, name] of places.filter(([of, wanted]) =>
    chains.some(({ chain }) => isChain(chain, of, wanted)),
  )) {
    for (const { rule } of await listIfThere(nft, family, name)) {
      if (isRule(rule)) for (const link of dropped(rule)) names.add(link);
    }
  }
  for (const family of [4, 6] as const) {
    for (const link of readLegacyFilter(family)?.linksDroppedIn(ISOLATION_CHAINS) ?? []) names.add(link);
  }
  return [...names];
}

/** Whether the host has rules of iptables-legacy, of whose changes nobody is told. */
export function hasLegacyRules(): boolean {
  return ([4, 6] as const).some((family) => readLegacyFilter(family) !== undefined);
}

/** The output links that a rule drops. */
function dropped({ expr }: ForeignRule): readonly string[] {
  if (!expr.some((part) => "drop" in part)) return [];
  return expr.flatMap(({ match }) => {
    const { op, left, right } = match === undefined ? {} : (match as NftObject); // libnftables-json(5)
    const isOutput = op === "==" && JSON.stringify(left) === '{"meta":{"key":"oifname"}}';
    return isOutput && typeof right === "string" && !right.includes("*") ? [right] : [];
  });
}

/** As `-m mark --mark M/M -j ACCEPT`, in the form that iptables-nft shows as such. */
const RULE = [
  { match: { op: "==", left: { "&": [{ meta: { key: "mark" } }, ADMITTED_MARK] }, right: ADMITTED_MARK } },
  { counter: null },
  { accept: null },
] as const;

/**
 * Refuses a host whose rules are iptables-legacy and stop what a network needs: they cannot be changed safely from here
 * (their lock and their tool are the host's).
 *
 * @throws TsnetError `unsupported` with the command that the operator must type.
 */
export function refuseLegacyRules(): void {
  for (const family of [4, 6] as const) {
    const filter = readLegacyFilter(family);
    if (filter === undefined || filter.forwardPolicy === "ACCEPT" || filter.acceptsMark(ADMITTED_MARK)) continue;
    const tool = family === 4 ? "iptables-legacy" : "ip6tables-legacy";
    const command = `${tool} -A FORWARD -m mark --mark ${MARK}/${MARK} -m comment --comment tsnet -j ACCEPT`;
    const why = `${tool} has policy ${filter.forwardPolicy} in FORWARD, which tsnet cannot change safely`;
    throw new TsnetError(
      "unsupported",
      `the host's own rules would drop this network's packets: ${why}; type: ${command}`,
    );
  }
}

/** The rules of a chain that was there just now: an engine that starts or ends takes its chains away and makes them again. */
async function listIfThere(nft: NftTool, family: string, name: string): Promise<readonly NftObject[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await nft.listChain(family, "filter", name);
    } catch (failure) {
      const isThere = (await nft.listChains()).some(({ chain }) => isChain(chain, family, name));
      if (!isThere) return [];
      if (attempt === LIST_ATTEMPTS) throw failure;
    }
  }
}

function isChain(chain: unknown, family: string, wanted: string): boolean {
  if (typeof chain !== "object" || chain === null) return false;
  const { family: of, table, name } = chain as NftObject; // read-only look at unknown JSON
  return of === family && table === "filter" && name === wanted;
}

/**
 * Whether a rule does what ours does. After `iptables-save` and `iptables-restore` ours stands there without its comment:
 * iptables keeps that in a form that nft does not show. It serves, and so it is left alone.
 */
function isEqual({ expr }: ForeignRule): boolean {
  const parts = expr.filter((part) => !("counter" in part || "xt" in part));
  return JSON.stringify(parts) === JSON.stringify(RULE.filter((part) => !("counter" in part)));
}

interface ForeignRule {
  readonly handle: number;
  readonly comment?: string;
  readonly expr: readonly NftObject[];
}

function isRule(rule: unknown): rule is ForeignRule {
  return typeof rule === "object" && rule !== null && "handle" in rule;
}

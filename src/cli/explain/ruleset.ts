// The rules of a machine as `nft -j list ruleset` prints them, those of iptables-nft among them (libnftables-json(5)), and
// those of iptables-legacy in the same form (legacy-rules.ts).
import type { Family } from "../../cidr.ts";
import type { Json } from "../rule-expression.ts";

/** One rule. */
export interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  /** Absent for one of iptables-legacy. */
  readonly handle?: number;
  readonly comment?: string;
  /** Of iptables-legacy: as it was typed. */
  readonly spec?: string;
  /** Of iptables-legacy: the command that removes it. */
  readonly removal?: string;
  readonly expr: readonly Json[];
}

/** One chain; a base chain has a hook. */
export interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly type?: string;
  readonly hook?: string;
  readonly prio?: number;
  readonly policy?: string;
}

/** A set, or a map. */
export interface NftSet {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly elem?: readonly unknown[];
}

type Place = Pick<Rule, "family" | "table">;

/** Why the rules of iptables-legacy could not be read, which are there. */
export type Unread = Readonly<Partial<Record<Family, string>>>;

/** All of one machine. */
export class Ruleset {
  readonly unread: Unread;
  readonly #chains: readonly Chain[];
  readonly #rules: ReadonlyMap<string, readonly Rule[]>;
  readonly #sets: ReadonlyMap<string, NftSet>;

  /** @param objects - the array `nftables` of the output. */
  constructor(objects: readonly Json[], unread: Unread = {}) {
    this.unread = unread;
    const all = <Kind>(kind: string) => objects.flatMap((each) => (each[kind] as Kind | undefined) ?? []); // as the manual says
    this.#chains = all<Chain>("chain");
    this.#rules = Map.groupBy(all<Rule>("rule"), (rule) => keyOf(rule, rule.chain));
    const sets = [...all<NftSet>("set"), ...all<NftSet>("map")];
    this.#sets = new Map(sets.map((set) => [keyOf(set, set.name), set]));
  }

  /** The base chains of a hook that these families' packets pass, in the order in which they do. */
  chainsAt(hook: string, families: readonly string[], isNat: boolean): readonly Chain[] {
    return this.#chains
      .filter((chain) => chain.hook === hook && families.includes(chain.family) && (chain.type === "nat") === isNat)
      .sort((a, b) => (a.prio ?? 0) - (b.prio ?? 0));
  }

  rulesOf(place: Place, chain: string): readonly Rule[] {
    return this.#rules.get(keyOf(place, chain)) ?? [];
  }

  findSet(place: Place, name: string): NftSet | undefined {
    return this.#sets.get(keyOf(place, name));
  }

  hasTable(family: string, table: string): boolean {
    return this.#chains.some((chain) => chain.family === family && chain.table === table);
  }
}

function keyOf({ family, table }: Place, name: string): string {
  return `${family} ${table} ${name}`;
}

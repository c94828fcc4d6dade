// The rules of the host as nft shows them, those of iptables-nft among them, and what there is of iptables-legacy.
import type { HostTools } from "../host-tools.ts";
import type { Json } from "../rule-expression.ts";

/** A chain. */
export interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  /** Of a base chain: where the kernel calls it. */
  readonly hook?: string;
  readonly policy?: string;
}

/** A rule. */
export interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly expr: readonly Json[];
}

/** All of them. */
export interface Ruleset {
  readonly chains: readonly Chain[];
  /** Each chain's in their order. */
  readonly rules: readonly Rule[];
}

/** See `host/iptables-legacy.ts`. */
export interface LegacyFilter {
  readonly family: 4 | 6;
  readonly forwardPolicy: "ACCEPT" | "DROP";
  readonly acceptsMark: (mark: number) => boolean;
}

interface Listing {
  readonly nftables: readonly { readonly chain?: Chain; readonly rule?: Rule }[];
}

/** Without the elements of sets, which may be many. @throws TsnetError `host`. */
export async function readRules(host: HostTools): Promise<Ruleset> {
  const { nftables } = await host.json<Listing>("nft", "-j", "-t", "list", "ruleset");
  return {
    chains: nftables.flatMap(({ chain }) => chain ?? []),
    rules: nftables.flatMap(({ rule }) => rule ?? []),
  };
}

/** Of the families that have any. @throws TsnetError `host`. */
export async function readLegacy(
  readFilter: (family: 4 | 6) => LegacyFilter | undefined,
): Promise<readonly LegacyFilter[]> {
  return ([4, 6] as const).flatMap((family) => readFilter(family) ?? []);
}

// The kernel's filter against forged sources: where it is strict, what comes by a link is taken only if the way back to its source
// is by the same link. For `explain` and `doctor`.
//
// Source: ip-sysctl.rst, rp_filter.

/** Value of rp_filter: 1. */
const STRICT = 1;

/** The value that holds for a link: the larger of its own and of `all`. @param read - of a path below `net/`; undefined: not there. */
export function filterOf(link: string, read: (path: string) => number | undefined): number {
  return Math.max(...["all", link].map((name) => read(`ipv4/conf/${name}/rp_filter`) ?? 0));
}

/** Whether it is strict. */
export function isStrict(filter: number): boolean {
  return filter === STRICT;
}

/** A packet that came by a link where the filter is strict, and the link by which an answer would go. */
export interface WayBack {
  readonly link: string;
  /** Bare address. */
  readonly source: string;
  /** Absent where there is no way back. */
  readonly back?: string;
}

/** Why it is dropped, and the command that mends it; undefined if it is not. */
export function sayForged({ link, source, back }: WayBack): { readonly why: string; readonly fix: string } | undefined {
  if (back === link) return undefined;
  const way = back === undefined ? `there is no way back to ${source}` : `the way back to ${source} is by ${back}`;
  const fix = `sysctl -w net.ipv4.conf.${link.replaceAll(".", "/")}.rp_filter=2`;
  return { why: `rp_filter of ${link} is strict, and ${way}`, fix };
}

// All checks of `tsnet doctor`, in the order in which it reports, and how they are run over the facts.
import { messageOf } from "../../errors.ts";
import type { Check, Finding } from "./check.ts";
import { CONTAINER_CHECKS } from "./checks-containers.ts";
import { ENGINE_CHECKS } from "./checks-engine.ts";
import { FIREWALL_CHECKS } from "./checks-firewall.ts";
import { HOST_CHECKS } from "./checks-host.ts";
import { LINK_CHECKS } from "./checks-links.ts";
import { ORPHAN_CHECKS } from "./checks-orphans.ts";
import { OVS_CHECKS } from "./checks-ovs.ts";
import { TSNET_CHECKS } from "./checks-tsnet.ts";
import type { FactValues, Facts } from "./facts.ts";

/** Every check has an id of its own. */
export const CHECKS: readonly Check[] = [
  ...TSNET_CHECKS,
  ...ENGINE_CHECKS,
  ...HOST_CHECKS,
  ...FIREWALL_CHECKS,
  ...LINK_CHECKS,
  ...OVS_CHECKS,
  ...CONTAINER_CHECKS,
  ...ORPHAN_CHECKS,
];

/** What a check could not look at. */
export interface NotLookedAt {
  readonly id: string;
  readonly why: string;
}

/** What came out. */
export interface Report {
  readonly findings: readonly Finding[];
  /** Checks that could not run. */
  readonly notLookedAt: readonly NotLookedAt[];
}

/** Runs all checks. */
export function examine(facts: Facts): Report {
  const known = Object.entries(facts).flatMap(([name, fact]) => ("value" in fact ? [[name, fact.value]] : []));
  const values = Object.fromEntries(known) as FactValues; // a check that needs one that is not there does not run
  const findings: Finding[] = [];
  const notLookedAt: NotLookedAt[] = [];
  for (const { id, severity, meaning, isOurs = false, needs, look } of CHECKS) {
    try {
      for (const name of needs) if ("why" in facts[name]) throw new Error(facts[name].why);
      findings.push(...look(values).map((spotted) => ({ id, severity, meaning, isOurs, ...spotted })));
    } catch (failure) {
      notLookedAt.push({ id, why: messageOf(failure) });
    }
  }
  return { findings, notLookedAt };
}

/** Only what was found both times: what is being made or removed just now is no fault. */
export function confirm(first: Report, second: Report): Report {
  const seen = new Set(first.findings.map(keyOf));
  return { ...second, findings: second.findings.filter((finding) => seen.has(keyOf(finding))) };
}

function keyOf({ id, object }: Finding): string {
  return `${id} ${object}`;
}

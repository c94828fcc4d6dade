// What a check of `tsnet doctor` is, and what it finds. A check is a pure function of facts: it asks nobody and changes nothing.
import type { FactName, FactValues } from "./facts.ts";

/** `error`: something does not work, or nobody can tell. `warning`: it will not, or for some. `note`: good to know. */
export type Severity = "error" | "warning" | "note";

/** One fault as a check sees it. */
export interface Spotted {
  /** What it is about: a network, a container, a link, a setting. */
  readonly object: string;
  /** What is true of this object alone, after the meaning. */
  readonly detail?: string;
  /** A command line, or a sentence where no single command mends it. */
  readonly mend: string;
}

/** What is printed of it. */
export interface Finding extends Spotted {
  readonly id: string;
  readonly severity: Severity;
  /** See `Check`. */
  readonly meaning: string;
  /** Whether `--fix` mends it. */
  readonly isOurs: boolean;
}

/** One check. */
export interface Check {
  /** What its findings are called; the README lists them. */
  readonly id: string;
  readonly severity: Severity;
  /** What a finding means, one sentence without a full stop. */
  readonly meaning: string;
  /** Whether `--fix` mends it; absent for no. */
  readonly isOurs?: boolean;
  /** Without one of these it does not run. */
  readonly needs: readonly FactName[];
  /** @throws Error if nothing can be said. */
  readonly look: (facts: FactValues) => readonly Spotted[];
}

/** A check sees what it says that it needs, and nothing else. */
export function check<Needs extends FactName>(
  declared: Omit<Check, "needs" | "look"> & {
    readonly needs: readonly Needs[];
    readonly look: (facts: Pick<FactValues, Needs>) => readonly Spotted[];
  },
): Check {
  return declared;
}

/** Before something is called nobody's. @throws Error if it may be in a record that cannot be read. */
export function requireWhole(damage: readonly string[]): void {
  if (damage.length > 0) throw new Error("records are damaged: what seems to be nobody's may be in them");
}

// What `tsnet doctor` says on a lab host.
import type { LabHost } from "./lab-host.ts";
import { COMMAND, runTsnet } from "./operator.ts";

/** What is read of it; the rest is said in `src/cli/doctor/checks.ts`. */
export interface DoctorReport {
  readonly findings: readonly { readonly id: string; readonly object: string; readonly mend: string }[];
  readonly notLookedAt: readonly { readonly id: string; readonly why: string }[];
}

/** Runs `tsnet doctor --json`. @throws Error with what it said instead. */
export async function readDoctor(
  lab: LabHost,
  words: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
  command: string = COMMAND,
): Promise<DoctorReport> {
  const out = await runTsnet(lab, ["doctor", "--json", ...words], env, command);
  if (out.stdout === "") throw new Error(out.stderr);
  return JSON.parse(out.stdout) as DoctorReport; // as the command's source says
}

/** `ID OBJECT` of each finding, sorted. Handles of rules, which nobody knows before, are `N`. */
export function namesIn({ findings }: DoctorReport): string[] {
  return findings.map(({ id, object }) => `${id} ${object}`.replace(/handle \d+/, "handle N")).sort();
}

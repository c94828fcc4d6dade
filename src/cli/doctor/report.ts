// How `tsnet doctor` prints what it found: by severity, 80 columns wide; a command that is longer goes on behind a backslash, so
// that it can be typed as it stands.
import type { Console } from "../console.ts";
import { wrap } from "../table.ts";
import type { Finding, Severity } from "./check.ts";
import { wrapCommand } from "./shell-command.ts";
import type { NotLookedAt, Report } from "./checks.ts";

const WIDTH = 80;
const INDENT = "    ";
const MEND = "mend: ";

const TITLES = { error: "errors", warning: "warnings", note: "notes" } as const satisfies Record<Severity, string>;

/** A line for each thing that is not looked at, and how many findings there are, at the end. */
export function printReport(console: Console, { findings, notLookedAt }: Report): void {
  for (const [severity, title] of Object.entries(TITLES)) {
    const some = findings.filter((finding) => finding.severity === severity);
    if (some.length > 0) console.title(title);
    for (const finding of some) printFinding(console, finding);
  }
  if (notLookedAt.length > 0) console.title("not looked at");
  for (const [why, ids] of byReason(notLookedAt)) {
    for (const line of wrap(ids.join(", "), WIDTH - 2)) console.line(`  ${line}`);
    printText(console, why);
  }
  console.line(`${findings.length} ${findings.length === 1 ? "finding" : "findings"}`);
}

function printFinding(console: Console, { id, object, meaning, detail, mend }: Finding): void {
  console.line(`  ${id}: ${object}`);
  printText(console, detail === undefined ? meaning : `${meaning} (${detail})`);
  const width = WIDTH - INDENT.length - MEND.length;
  const lines = isCommand(mend) ? wrapCommand(mend, width) : wrap(mend, width);
  lines.forEach((line, at) => console.line(`${INDENT}${at === 0 ? MEND : " ".repeat(MEND.length)}${line}`));
  console.line();
}

function printText(console: Console, text: string): void {
  for (const line of wrap(text, WIDTH - INDENT.length)) console.line(`${INDENT}${line}`);
}

/** A program of the host's, not a sentence. */
function isCommand(mend: string): boolean {
  return /^(?:apt-get|curl|dnf|docker|firewall-cmd|ip|iptables-legacy|ip6tables-legacy|nft|nsenter|ovs-vsctl|sysctl|systemctl|tsnet|ufw) /.test(
    mend,
  );
}

function byReason(all: readonly NotLookedAt[]): ReadonlyMap<string, readonly string[]> {
  const groups = Map.groupBy(all, ({ why }) => why);
  return new Map(Array.from(groups, ([why, some]) => [why, some.map(({ id }) => id)]));
}

// `tsnet doctor`: looks at the host, the engine and tsnet, and says what is wrong, what that means and what mends it. It changes
// nothing; with `--fix` it asks the daemon to mend what is tsnet's own, and looks again.
import type { CommonOptions, Tools } from "../tools.ts";
import { leakedAddresses } from "./checks-engine.ts";
import { type Report, confirm, examine } from "./checks.ts";
import { type Facts, type Sources, readFacts } from "./facts.ts";
import { printReport } from "./report.ts";

export interface DoctorOptions extends CommonOptions {
  readonly fix?: boolean;
}

/** Prints what it found. @returns whether there are errors or warnings. @throws TsnetError if nothing could be mended. */
export async function doctor(tools: Tools, { json = false, fix = false }: DoctorOptions, sources: Sources) {
  const look = () => tools.console.waitFor("the host, Docker and tsnet", lookTwice(tools, sources));
  let { report, facts } = await look();
  if (fix && report.findings.some(({ isOurs }) => isOurs)) {
    await repair(tools, facts, json);
    ({ report, facts } = await look());
  }
  if (json) tools.console.json(report);
  else printReport(tools.console, report);
  return report.findings.some(({ severity }) => severity !== "note");
}

/** Again only if there is something: containers come and go between one question and the next. */
async function lookTwice(tools: Tools, sources: Sources): Promise<{ readonly report: Report; readonly facts: Facts }> {
  const first = await readFacts(tools, sources);
  const report = examine(first);
  if (report.findings.length === 0) return { report, facts: first };
  const facts = await readFacts(tools, sources);
  return { report: confirm(report, examine(facts)), facts };
}

/** Addresses go only by proof of both: the engine says here that no container has them, the daemon that it made no use of them. */
async function repair({ daemon, console }: Tools, { pools, tsnet, engine }: Facts, isQuiet: boolean): Promise<void> {
  const isKnown = "value" in pools && "value" in tsnet && "value" in engine && tsnet.value.damage.length === 0;
  const leaked = isKnown ? leakedAddresses({ pools: pools.value, tsnet: tsnet.value, engine: engine.value }) : [];
  const Addresses = leaked.map(({ addressSpace, subnet, address }) => ({
    AddressSpace: addressSpace,
    Subnet: subnet,
    Address: address,
  }));
  const { Done, Left } = await console.waitFor("tsnet", daemon.call("Operator.Repair", { Addresses }));
  for (const line of isQuiet ? [] : Done) console.note(line);
  for (const line of Left) console.note(line);
}

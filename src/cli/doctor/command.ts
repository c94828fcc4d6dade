// `tsnet doctor` as it stands on the command line.
import { AnswerIsNo, type CommandLine } from "../command-line.ts";
import { readEngine } from "../docker.ts";
import type { Tools } from "../tools.ts";
import { doctor } from "./doctor.ts";
import { readFiles } from "./host-facts.ts";

const HELP = `
Exit code 0: nothing is wrong. 1: it found errors or warnings.`;

/** Declares it. */
export function addDoctorCommand(line: CommandLine, tools: () => Tools): void {
  line
    .add("doctor", "say what is wrong on this host, what it means, and what mends it")
    .option("--fix", "mend what is tsnet's own, then look again")
    .addHelpText("after", HELP)
    .action(async (options) => {
      const { readLegacyFilter } = await import("../../host/iptables-legacy.ts");
      if (await doctor(tools(), options, { readEngine, readFiles, readLegacyFilter })) throw new AnswerIsNo();
    });
}

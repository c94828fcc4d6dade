// `tsnet explain` as it stands on the command line.
import { AnswerIsNo, type CommandLine, readWords } from "../command-line.ts";
import type { Tools } from "../tools.ts";
import { explain, readAsked } from "./explain.ts";

const HELP = `
FROM is a container, "host", or "outside": somebody beyond the host's own uplink. TO is a container, an IP address, or "host".
Without a port it is a ping. What is "known" follows from what tsnet has recorded, what is "probed" was looked up on the host
just now; nothing is changed and no packet is sent. Behind a stop the way goes on as if that were mended. Needs root.

Exit code 0: the packet arrives, or leaves this host. 1: it stops, or that could not be told.`;

/** Declares it. */
export function addExplainCommand(line: CommandLine, tools: () => Tools): void {
  line
    .add("explain <from> <to> [port/proto]", "say where a packet goes, step by step, and where and why it stops")
    .addHelpText("after", HELP)
    .action(async (from: string, to: string, port: string | undefined, options, command) => {
      const asked = readWords(command, () => readAsked(from, to, port));
      if (!(await explain(tools(), asked, options))) throw new AnswerIsNo();
    });
}

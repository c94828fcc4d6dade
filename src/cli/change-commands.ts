// The commands that change what is in use, or say what would be made, as they stand on the command line.
import { type CommandLine, choice, readWords, repeated } from "./command-line.ts";
import { parsePairs } from "./pairs.ts";
import { plan, readPlan } from "./plan.ts";
import { set } from "./set.ts";
import type { Tools } from "./tools.ts";

/** Declares them. */
export function addChangeCommands(line: CommandLine, tools: () => Tools): void {
  line
    .add("set <network|container> <key=value...>", "change what is in use, without creating it anew")
    .option("--network <network>", "of a container that is on several")
    .addOption(choice("--type <type>", "for a name that both have", ["network", "container"]))
    .action(async (name: string, words: string[], options, command) => {
      const pairs = readWords(command, () => parsePairs(words));
      await set(tools(), name, pairs, options);
    });
  line
    .add("plan", "say what `docker network create -d tsnet` would do, and do nothing")
    .addOption(repeated("-o, --opt <key=value>", "an option of the network"))
    .addOption(repeated("--subnet <cidr>", "a subnet; default: IPAM gives one"))
    .addOption(repeated("--gateway <address>", "in one of the subnets; default: its first address"))
    .option("--internal", "without a way to the world")
    .option("--ipv6", "with IPv6")
    .action(async (options, command) => {
      const request = readWords(command, () => readPlan(options));
      await plan(tools(), request, options);
    });
}

// The commands for CNI plugins, as they stand on the command line.
import { type CommandLine, readWords, repeated } from "../command-line.ts";
import type { Tools } from "../tools.ts";
import { cniAdd } from "./add.ts";
import { cniCheck } from "./check.ts";
import { cniDel } from "./del.ts";
import { CONF_FOLDER } from "./find-conf.ts";
import { cniLs } from "./ls.ts";
import { checkIfName, readAddOptions } from "./options.ts";
import { PLUGIN_PATH } from "./plugin.ts";
import { STATE_FOLDER } from "./records.ts";

const HELP = `
<conf> is the name of a network, or the path of its configuration: with a / in
it, or .conf, .conflist or .json at its end.`;

/** Declares them. */
export function addCniCommands(line: CommandLine, tools: () => Tools): void {
  const group = line.addPlain("cni", "run CNI plugins for a container").addHelpText("afterAll", HELP);
  const add = (usage: string, description: string, ifName: string) =>
    line
      .add(usage, description, group)
      .option("--ifname <name>", ifName)
      .option("--state-dir <path>", "where it is recorded", STATE_FOLDER);
  add("add <container> <conf>", "connect a running container", "its interface; default: eth0, or the next one free")
    .option("--args <pairs>", "CNI_ARGS, KEY=VALUE;KEY=VALUE")
    .addOption(repeated("--cap <capability=json>", "runtimeConfig, for plugins that ask for it; repeatable"))
    .option("--cni-path <paths>", "folders with plugins, a colon between two", PLUGIN_PATH)
    .option("--conf-dir <path>", "where CONF is found by the name of its network", CONF_FOLDER)
    .action(async (name: string, conf: string, options, command) => {
      const wishes = readWords(command, () => readAddOptions(options));
      await cniAdd(tools(), name, conf, wishes);
    });
  const WHICH = "which one, of several";
  add("check <container> <conf>", "ask the plugins whether all is as it was added", WHICH).action(
    async (name: string, conf: string, options, command) => {
      readWords(command, () => checkIfName(options.ifname));
      await cniCheck(tools(), name, conf, options);
    },
  );
  add("del <container> <conf>", "take back what they did, also for a container that is gone", WHICH)
    .option("--force", "forget it even if a plugin fails")
    .action(async (name: string, conf: string, options, command) => {
      readWords(command, () => checkIfName(options.ifname));
      await cniDel(tools(), name, conf, options);
    });
  line
    .add("ls", "list what was added", group)
    .option("--state-dir <path>", "where it is recorded", STATE_FOLDER)
    .action((options) => cniLs(tools(), options));
}

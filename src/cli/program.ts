// The operator's command: which commands there are, with what options, and how it ends.
//
//   exit code 0   done
//             1   could not be done; standard error says why
//             2   the command line is wrong
import { Command, CommanderError, Option } from "commander";
import { messageOf } from "../errors.ts";
import { readListeningSockets } from "../host/listening-sockets.ts";
import { VERSION } from "../version.ts";
import { cniAdd } from "./cni/add.ts";
import { cniCheck } from "./cni/check.ts";
import { cniDel } from "./cni/del.ts";
import { CONF_FOLDER } from "./cni/find-conf.ts";
import { cniLs } from "./cni/ls.ts";
import { PLUGIN_PATH } from "./cni/plugin.ts";
import { STATE_FOLDER } from "./cni/records.ts";
import { Console } from "./console.ts";
import { DaemonClient, findSocket } from "./daemon-client.ts";
import { findContainer, readDocker } from "./docker.ts";
import { HostTools } from "./host-tools.ts";
import { inspect } from "./inspect.ts";
import { ipam } from "./ipam.ts";
import { ls } from "./ls.ts";
import { ports } from "./ports.ts";
import type { Tools } from "./tools.ts";

const FAILED = 1;
const WRONG = 2;

const SERVE_HELP = `
Its settings are read from the environment: TSNET_SOCKET, TSNET_STATE_DIR, TSNET_LOG_LEVEL, TSNET_OVSDB, TSNET_POOLS,
TSNET_FIREWALL, TSNET_METRICS. The README lists their values.`;

const CNI_HELP = `
<conf> is the name of a network, or the path of its configuration: with a / in
it, or .conf, .conflist or .json at its end.`;

/** Runs one command. @param words - what stands behind `tsnet`. @returns the exit code. */
export async function runCommand(words: readonly string[]): Promise<number> {
  const program = build();
  try {
    await program.parseAsync(words, { from: "user" });
    return 0;
  } catch (failure) {
    // Commander has printed the help or the message itself.
    if (failure instanceof CommanderError) return failure.exitCode === 0 ? 0 : WRONG;
    process.stderr.write(`tsnet: ${messageOf(failure)}\n`);
    return FAILED;
  }
}

function build(): Command {
  const program = new Command("tsnet")
    .description("Docker network and IPAM driver: what it has, who is where, and why")
    .version(VERSION, "--version", "print the version")
    .helpOption("--help", "print this")
    .option("--socket PATH", "where tsnet listens; default: TSNET_SOCKET, else where the engine finds it")
    .showHelpAfterError("(tsnet --help lists what there is)")
    .configureOutput({ outputError: (text, write) => write(`tsnet: ${text.replace(/^error: /, "")}`) })
    .exitOverride();
  // For its help alone: main.ts runs it, and reads its options.
  program
    .command("serve")
    .description("run the daemon that the Docker engine speaks to")
    .copyInheritedSettings(program)
    .helpOption("--help", "print this")
    .option("--plugin-socket PATH", "listen there too: the socket that the engine made for a managed plugin")
    .option("--sysctl-root PATH", "the folder that stands for /proc/sys/net, where that is read-only")
    .addHelpText("after", SERVE_HELP);
  const tools = () => makeTools(program.opts<{ socket?: string }>().socket);
  const add = (usage: string, description: string, parent = program) => {
    const [name = "", ...operands] = usage.split(" ");
    const command = parent.command(name).description(description).copyInheritedSettings(program);
    for (const operand of operands) command.argument(operand);
    return command.helpOption("--help", "print this").option("--json", "print JSON");
  };
  add("ls", "list the networks and who is on them").action(async (options) => await ls(tools(), options));
  add("inspect <network|container>", "print all that tsnet knows of one of them")
    .addOption(new Option("--type TYPE", "for a name that both have").choices(["network", "container"]))
    .action(async (name: string, options) => await inspect(tools(), name, options));
  add("ports", "list what is published, and to whom it is open").action(
    async (options) => await ports(tools(), options, readListeningSockets),
  );
  add("ipam [subnet|network]", "list the pools; of one, who has which address").action(
    async (name: string | undefined, options) => await ipam(tools(), name, options),
  );
  const cni = program
    .command("cni")
    .description("run CNI plugins for a container")
    .copyInheritedSettings(program)
    .helpOption("--help", "print this")
    .addHelpText("afterAll", CNI_HELP);
  const addCni = (usage: string, description: string, ifName: string) =>
    add(usage, description, cni)
      .option("--ifname <name>", ifName)
      .option("--state-dir <path>", "where it is recorded", STATE_FOLDER);
  addCni("add <container> <conf>", "connect a running container", "its interface; default: eth0, or the next one free")
    .option("--args <pairs>", "CNI_ARGS, KEY=VALUE;KEY=VALUE")
    .option("--cap <capability=json>", "runtimeConfig, for plugins that ask for it; repeatable", collect)
    .option("--cni-path <paths>", "folders with plugins, a colon between two", PLUGIN_PATH)
    .option("--conf-dir <path>", "where CONF is found by the name of its network", CONF_FOLDER)
    .action(async (name: string, conf: string, options) => await cniAdd(tools(), name, conf, options));
  addCni("check <container> <conf>", "ask the plugins whether all is as it was added", "which one, of several").action(
    async (name: string, conf: string, options) => await cniCheck(tools(), name, conf, options),
  );
  addCni(
    "del <container> <conf>",
    "take back what they did, also for a container that is gone",
    "which one, of several",
  )
    .option("--force", "forget it even if a plugin fails")
    .action(async (name: string, conf: string, options) => await cniDel(tools(), name, conf, options));
  add("ls", "list what was added", cni)
    .option("--state-dir <path>", "where it is recorded", STATE_FOLDER)
    .action((options) => cniLs(tools(), options));
  return program;
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function makeTools(socket: string | undefined): Tools {
  return {
    console: new Console(process.stdout, process.stderr, process.env),
    daemon: new DaemonClient(findSocket(socket ?? process.env["TSNET_SOCKET"])),
    readDocker,
    findContainer,
    host: new HostTools(),
  };
}

// The operator's command: which commands there are, with what options, and how it ends.
//
//   exit code 0   done
//             1   could not be done; standard error says why. Of `doctor`: it found errors or warnings
//             2   the command line is wrong
import { Command, CommanderError, Option } from "commander";
import { messageOf } from "../errors.ts";
import { readListeningSockets } from "../host/listening-sockets.ts";
import { VERSION } from "../version.ts";
import { Console } from "./console.ts";
import { DaemonClient, findSocket } from "./daemon-client.ts";
import { findContainer, readDocker, readEngine } from "./docker.ts";
import { doctor } from "./doctor/doctor.ts";
import { readFiles } from "./doctor/host-facts.ts";
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

/** Runs one command. @param words - what stands behind `tsnet`. @returns the exit code. */
export async function runCommand(words: readonly string[]): Promise<number> {
  const found = { isWrong: false };
  const program = build(found);
  try {
    await program.parseAsync(words, { from: "user" });
    return found.isWrong ? FAILED : 0;
  } catch (failure) {
    // Commander has printed the help or the message itself.
    if (failure instanceof CommanderError) return failure.exitCode === 0 ? 0 : WRONG;
    process.stderr.write(`tsnet: ${messageOf(failure)}\n`);
    return FAILED;
  }
}

/** @param found - where a command says that it found something wrong. */
function build(found: { isWrong: boolean }): Command {
  const program = new Command("tsnet")
    .description("Docker network and IPAM driver: what it has, who is where, and why")
    .version(VERSION, "--version", "print the version")
    .helpOption("--help", "print this")
    .option("--socket <PATH>", "where tsnet listens; default: TSNET_SOCKET, else where the engine finds it")
    .showHelpAfterError("(tsnet --help lists what there is)")
    .configureOutput({ outputError: (text, write) => write(`tsnet: ${text.replace(/^error: /, "")}`) })
    .exitOverride();
  // For its help alone: main.ts runs it, and reads its options.
  program
    .command("serve")
    .description("run the daemon that the Docker engine speaks to")
    .copyInheritedSettings(program)
    .helpOption("--help", "print this")
    .option("--plugin-socket <PATH>", "listen there too: the socket that the engine made for a managed plugin")
    .option("--sysctl-root <PATH>", "the folder that stands for /proc/sys/net, where that is read-only")
    .addHelpText("after", SERVE_HELP);
  const tools = () => makeTools(program.opts<{ socket?: string }>().socket);
  const add = (usage: string, description: string) => {
    const [name = "", ...operands] = usage.split(" ");
    const command = program.command(name).description(description).copyInheritedSettings(program);
    for (const operand of operands) command.argument(operand);
    return command.helpOption("--help", "print this").option("--json", "print JSON");
  };
  add("ls", "list the networks and who is on them").action(async (options) => await ls(tools(), options));
  add("inspect <network|container>", "print all that tsnet knows of one of them")
    .addOption(new Option("--type <TYPE>", "for a name that both have").choices(["network", "container"]))
    .action(async (name: string, options) => await inspect(tools(), name, options));
  add("ports", "list what is published, and to whom it is open").action(
    async (options) => await ports(tools(), options, readListeningSockets),
  );
  add("ipam [subnet|network]", "list the pools; of one, who has which address").action(
    async (name: string | undefined, options) => await ipam(tools(), name, options),
  );
  add("doctor", "say what is wrong on this host, what it means, and what mends it")
    .option("--fix", "mend what is tsnet's own, then look again")
    .action(async (options) => {
      const { readLegacyFilter } = await import("../host/iptables-legacy.ts");
      found.isWrong = await doctor(tools(), options, { readEngine, readFiles, readLegacyFilter });
    });
  return program;
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

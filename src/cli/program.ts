// The operator's command: which commands there are. What each one does is in the file of its name.
import { readListeningSockets } from "../host/listening-sockets.ts";
import { addAttachCommands } from "./attach-commands.ts";
import { addChangeCommands } from "./change-commands.ts";
import { addCniCommands } from "./cni/commands.ts";
import { CommandLine, choice, untilEnded } from "./command-line.ts";
import { Console } from "./console.ts";
import { DaemonClient, findSocket } from "./daemon-client.ts";
import { findContainer, findEngine, readDocker } from "./docker.ts";
import { events } from "./events.ts";
import { addExplainCommand } from "./explain/command.ts";
import { addDoctorCommand } from "./doctor/command.ts";
import { HostTools } from "./host-tools.ts";
import { inspect } from "./inspect.ts";
import { ipam } from "./ipam.ts";
import { ls } from "./ls.ts";
import { macs } from "./macs.ts";
import { ports } from "./ports.ts";
import { show } from "./show.ts";
import type { Tools } from "./tools.ts";

const SERVE_HELP = `
Its settings are read from the environment: TSNET_SOCKET, TSNET_STATE_DIR, TSNET_LOG_LEVEL, TSNET_OVSDB, TSNET_POOLS,
TSNET_FIREWALL, TSNET_METRICS. The README lists their values.`;

/** Runs one command. @param words - what stands behind `tsnet`. @returns the exit code. */
export async function runCommand(words: readonly string[]): Promise<number> {
  const line = new CommandLine();
  const tools = () => makeTools(line.socket);
  addServe(line);
  addLookCommands(line, tools);
  addAttachCommands(line, tools);
  addChangeCommands(line, tools);
  addCniCommands(line, tools);
  addExplainCommand(line, tools);
  addDoctorCommand(line, tools);
  return line.run(words);
}

/** For its help alone: main.ts runs it where it stands first, and reads its options. */
function addServe(line: CommandLine): void {
  line
    .addPlain("serve", "run the daemon that the Docker engine speaks to")
    .option("--plugin-socket <path>", "listen there too: the socket that the engine made for a managed plugin")
    .option("--sysctl-root <path>", "the folder that stands for /proc/sys/net, where that is read-only")
    .addHelpText("after", SERVE_HELP)
    .action((_options, command) => command.error("serve stands first; TSNET_SOCKET names its socket"));
}

function addLookCommands(line: CommandLine, tools: () => Tools): void {
  line.add("ls", "list the networks and who is on them").action(async (options) => await ls(tools(), options));
  line
    .add("inspect <network|container>", "print all that tsnet knows of one of them")
    .addOption(choice("--type <type>", "for a name that both have", ["network", "container"]))
    .action(async (name: string, options) => await inspect(tools(), name, options));
  line
    .add("ports", "list what is published, and to whom it is open")
    .action(async (options) => await ports(tools(), options, readListeningSockets));
  line
    .add("ipam [subnet|network]", "list the pools; of one, who has which address")
    .action(async (name: string | undefined, options) => await ipam(tools(), name, options));
  line
    .add("show [switch|network]", "draw the switches with their ports, VLANs, uplinks and tunnels")
    .action(async (name: string | undefined, options) => await show(tools(), name, options));
  line
    .add("macs <network>", "list where its switch sends frames to which MAC address")
    .action(async (name: string, options) => await macs(tools(), name, options));
  line
    .add("events", "print what happens until it is interrupted")
    .option("--all", "also calls of the engine that only ask")
    .action(async (options) => await events(tools(), options, untilEnded()));
}

function makeTools(socket: string | undefined): Tools {
  return {
    console: new Console(process.stdout, process.stderr, process.env),
    daemon: new DaemonClient(findSocket(socket ?? process.env["TSNET_SOCKET"])),
    readDocker,
    findContainer,
    findEngine,
    host: new HostTools(),
  };
}

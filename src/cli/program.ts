// The operator's command: which commands there are, with what options, and how it ends.
//
//   exit code 0   done
//             1   could not be done; standard error says why
//             2   the command line is wrong
import { Command, CommanderError, Option } from "commander";
import { messageOf } from "../errors.ts";
import { readListeningSockets } from "../host/listening-sockets.ts";
import { VERSION } from "../version.ts";
import { agent } from "./agent.ts";
import { type AttachOptions, type Target, attach, readOperands } from "./attach.ts";
import { Console } from "./console.ts";
import { DaemonClient, findSocket } from "./daemon-client.ts";
import { detach } from "./detach.ts";
import { findContainer, followContainers, readDocker } from "./docker.ts";
import { HostTools } from "./host-tools.ts";
import { inspect } from "./inspect.ts";
import { ipam } from "./ipam.ts";
import { ls } from "./ls.ts";
import { parsePairs } from "./pairs.ts";
import { plan, readPlan } from "./plan.ts";
import { ports } from "./ports.ts";
import { set } from "./set.ts";
import type { Tools } from "./tools.ts";

const FAILED = 1;
const WRONG = 2;

const SERVE_HELP = `
Its settings are read from the environment: TSNET_SOCKET, TSNET_STATE_DIR, TSNET_LOG_LEVEL, TSNET_OVSDB, TSNET_POOLS,
TSNET_FIREWALL, TSNET_METRICS. The README lists their values.`;

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
    .option("--socket <path>", "where tsnet listens; default: TSNET_SOCKET, else where the engine finds it")
    .showHelpAfterError("(tsnet --help lists what there is)")
    .configureOutput({ outputError: (text, write) => write(`tsnet: ${text.replace(/^error: /, "")}`) })
    .exitOverride();
  // For its help alone: main.ts runs it, and reads its options.
  program
    .command("serve")
    .description("run the daemon that the Docker engine speaks to")
    .copyInheritedSettings(program)
    .helpOption("--help", "print this")
    .option("--plugin-socket <path>", "listen there too: the socket that the engine made for a managed plugin")
    .option("--sysctl-root <path>", "the folder that stands for /proc/sys/net, where that is read-only")
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
    .addOption(new Option("--type <type>", "for a name that both have").choices(["network", "container"]))
    .action(async (name: string, options) => await inspect(tools(), name, options));
  add("ports", "list what is published, and to whom it is open").action(
    async (options) => await ports(tools(), options, readListeningSockets),
  );
  add("ipam [subnet|network]", "list the pools; of one, who has which address").action(
    async (name: string | undefined, options) => await ipam(tools(), name, options),
  );
  add("set <network|container> <key=value...>", "change what is in use, without creating it anew")
    .option("--network <network>", "of a container that is on several")
    .addOption(new Option("--type <type>", "for a name that both have").choices(["network", "container"]))
    .action(async (name: string, words: string[], options, command) => {
      await set(
        tools(),
        name,
        readOr(command, () => parsePairs(words)),
        options,
      );
    });
  add("plan", "say what `docker network create -d tsnet` would do, and do nothing")
    .option("-o, --opt <key=value>", "an option of the network", collect)
    .option("--subnet <cidr>", "a subnet; default: IPAM gives one", collect)
    .option("--gateway <address>", "in one of the subnets; default: its first address", collect)
    .option("--internal", "without a way to the world")
    .option("--ipv6", "with IPv6")
    .action(
      async (options, command) =>
        await plan(
          tools(),
          readOr(command, () => readPlan(options)),
          options,
        ),
    );
  addAttachments(add, tools);
  return program;
}

function addAttachments(add: (usage: string, description: string) => Command, tools: () => Tools): void {
  const addWithOwner = (name: string, description: string) =>
    add(`${name} [container] [network]`, description)
      .usage("[options] CONTAINER NETWORK")
      .option("--netns <path>", "in place of CONTAINER: the file of a network namespace")
      .option("--pid <pid>", "in place of CONTAINER: a process");
  const targetOf = (command: Command): Target =>
    readOr(command, () => readOperands(command.args, command.opts<AttachOptions>()));
  addWithOwner("attach", "give a running container one more interface")
    .option("--ip <address>", "IPv4 address; default: a free one")
    .option("--ip6 <address>", "IPv6 address; default: a free one")
    .option("--mac <address>", "MAC address; default: made from the address")
    .option("--ifname <name>", "name inside; default: the network's ifprefix and a number")
    .option("--vlan <vlan>", "one of the network's VLANs, untagged")
    .option("--trunk <vlans>", "VLANs of the network, tagged: 10,20,30-39")
    .option("--mtu <bytes>", "at most the network's")
    .option("--default-route", "lead all else by this interface")
    .option("--route <route>", "10.0.0.0/8 via 10.1.2.9; may be given several times", collect)
    .option("--once", "not again when the container starts again")
    .action(async (_container, _network, options, command) => await attach(tools(), targetOf(command), options));
  addWithOwner("detach", "take off what attach put on").action(
    async (_container, _network, options, command) => await detach(tools(), targetOf(command), options),
  );
  add("agent", "attach again when containers start again, until it is ended").action(async (options) => {
    const controller = new AbortController();
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => controller.abort());
    await agent(tools(), options, followContainers, controller.signal);
  });
}

/** What is wrong with the words ends the command as a wrong command line. */
function readOr<Value>(command: Command, read: () => Value): Value {
  try {
    return read();
  } catch (fault) {
    return command.error(messageOf(fault));
  }
}

function collect(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
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

// The commands that put namespaces on networks, as they stand on the command line.
import { agent } from "./agent.ts";
import { type AttachOptions, type Target, attach, readOperands } from "./attach.ts";
import { type CommandLine, type DeclaredCommand, readWords, repeated, untilEnded } from "./command-line.ts";
import { detach } from "./detach.ts";
import { followContainers } from "./docker.ts";
import type { Tools } from "./tools.ts";

/** Declares them. */
export function addAttachCommands(line: CommandLine, tools: () => Tools): void {
  const addWithOwner = (name: string, description: string) =>
    line
      .add(`${name} [container] [network]`, description)
      .usage("[options] CONTAINER NETWORK")
      .option("--netns <path>", "in place of CONTAINER: the file of a network namespace")
      .option("--pid <pid>", "in place of CONTAINER: a process");
  addWithOwner("attach", "give a running container one more interface")
    .option("--ip <address>", "IPv4 address; default: a free one")
    .option("--ip6 <address>", "IPv6 address; default: a free one")
    .option("--mac <address>", "MAC address; default: made from the address")
    .option("--ifname <name>", "name inside; default: the network's ifprefix and a number")
    .option("--vlan <vlan>", "one of the network's VLANs, untagged")
    .option("--trunk <vlans>", "VLANs of the network, tagged: 10,20,30-39")
    .option("--mtu <bytes>", "at most the network's")
    .option("--default-route", "lead all else by this interface")
    .addOption(repeated("--route <route>", "10.0.0.0/8 via 10.1.2.9; may be given several times"))
    .option("--once", "not again when the container starts again")
    .action(async (_container, _network, options, command) => await attach(tools(), targetOf(command), options));
  addWithOwner("detach", "take off what attach put on").action(
    async (_container, _network, options, command) => await detach(tools(), targetOf(command), options),
  );
  line
    .add("agent", "attach again when containers start again, until it is ended")
    .action(async (options) => await agent(tools(), options, followContainers, untilEnded()));
}

function targetOf(command: DeclaredCommand): Target {
  return readWords(command, () => readOperands(command.args, command.opts<AttachOptions>()));
}

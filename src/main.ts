// The command line. `tsnet serve` is the daemon; everything else is said in the help.
import { parseArgs } from "node:util";
import { readConfig } from "./config.ts";
import { type Daemon, type DaemonOptions, startDaemon } from "./daemon.ts";
import { messageOf } from "./errors.ts";
import { VERSION } from "./version.ts";

const HELP = `Usage: tsnet COMMAND

Docker network and IPAM driver.

Commands:
  serve                  run the daemon that the Docker engine speaks to

Options:
  --help                 print this
  --version              print the version

Options of serve:
  --plugin-socket PATH   listen there too: the socket that the engine made for a managed plugin
  --sysctl-root PATH     the folder that stands for /proc/sys/net, where that is read-only

Settings are read from the environment: TSNET_SOCKET, TSNET_STATE_DIR, TSNET_LOG_LEVEL, TSNET_OVSDB, TSNET_POOLS,
TSNET_FIREWALL, TSNET_METRICS. The README lists their values.
`;

/** After this long a daemon that cannot end in order ends all the same; the engine kills a plugin after 10 s. */
const CLOSE_TIMEOUT_MS = 9500;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: "boolean" },
      version: { type: "boolean" },
      "plugin-socket": { type: "string" },
      "sysctl-root": { type: "string" },
    },
  });
  const [command, ...rest] = positionals;
  if (values.version) return void process.stdout.write(`${VERSION}\n`);
  if (values.help || (command === "help" && rest.length === 0)) return void process.stdout.write(HELP);
  if (command !== "serve" || rest.length > 0) {
    const what =
      command === undefined ? "no command given" : `unknown command ${JSON.stringify(positionals.join(" "))}`;
    throw new Error(`${what}; tsnet --help lists what there is`);
  }
  await serve({
    config: readConfig(process.env),
    ...(values["plugin-socket"] !== undefined && { pluginSocket: values["plugin-socket"] }),
    ...(values["sysctl-root"] !== undefined && { sysctlRoot: values["sysctl-root"] }),
  });
}

async function serve(options: DaemonOptions): Promise<void> {
  let daemon: Promise<Daemon> | undefined;
  let isClosing = false;
  const end = () => {
    if (isClosing) return;
    isClosing = true;
    setTimeout(() => process.exit(1), CLOSE_TIMEOUT_MS).unref();
    // A start that failed was reported by the one who waits for it below.
    void daemon
      ?.then((started) => started.close())
      .then(
        () => process.exit(0),
        () => process.exit(1),
      );
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
  daemon = startDaemon(options);
  await daemon;
}

main().catch((failure: unknown) => {
  process.stderr.write(`tsnet: ${messageOf(failure).replaceAll("\n", " ")}\n`);
  process.exit(1);
});

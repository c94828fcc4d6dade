// The command line. `tsnet serve` is the daemon; every other command is the operator's (`cli/program.ts`). Each loads only what
// it needs itself.
import { parseArgs } from "node:util";
import { readConfig } from "./config.ts";
import type { Daemon, DaemonOptions } from "./daemon.ts";
import { messageOf } from "./errors.ts";

/** After this long a daemon that cannot end in order ends all the same; the engine kills a plugin after 10 s. */
const CLOSE_TIMEOUT_MS = 9500;

async function main([command, ...words]: readonly string[]): Promise<void> {
  if (command === "serve" && !words.includes("--help")) return serve(readServeOptions(words));
  const { runCommand } = await import("./cli/program.ts");
  const exitCode = await runCommand([command ?? "--help", ...words]);
  process.exitCode ??= exitCode; // what could not be printed has failed already
}

function readServeOptions(words: readonly string[]): DaemonOptions {
  const { values } = parseArgs({
    args: [...words],
    options: { "plugin-socket": { type: "string" }, "sysctl-root": { type: "string" } },
  });
  return {
    config: readConfig(process.env),
    ...(values["plugin-socket"] !== undefined && { pluginSocket: values["plugin-socket"] }),
    ...(values["sysctl-root"] !== undefined && { sysctlRoot: values["sysctl-root"] }),
  };
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
  daemon = import("./daemon.ts").then(({ startDaemon }) => startDaemon(options));
  await daemon;
}

main(process.argv.slice(2)).catch((failure: unknown) => {
  process.stderr.write(`tsnet: ${messageOf(failure).replaceAll("\n", " ")}\n`);
  process.exit(isWrongCommandLine(failure) ? 2 : 1); // as with every other command
});

/** Of serve: what `parseArgs` throws (node:util). */
function isWrongCommandLine(failure: unknown): boolean {
  return failure instanceof Error && "code" in failure && String(failure.code).startsWith("ERR_PARSE_ARGS_");
}

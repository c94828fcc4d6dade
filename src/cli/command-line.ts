// The command line as such: how commands and their options are declared, what --help says, and how it ends.
//
//   exit code 0   done
//             1   could not be done, standard error says why; or the answer is no, standard output says why
//             2   the command line is wrong
import { Command, CommanderError, Option } from "commander";
import { messageOf } from "../errors.ts";
import { VERSION } from "../version.ts";

const FAILED = 1;
const WRONG = 2;

/** Of `tsnet --help`, and of each command's. */
const HELP = ["--help", "print this"] as const;

/** Ends a command that has printed why the answer to its question is no. */
export class AnswerIsNo extends Error {}

/** One command that is being declared. */
export type DeclaredCommand = Command;

/** All commands. */
export class CommandLine {
  readonly #program = new Command("tsnet")
    .description("Docker network and IPAM driver: what it has, who is where, and why")
    .version(VERSION, "--version", "print the version")
    .helpOption(...HELP)
    .option("--socket <path>", "where tsnet listens; default: TSNET_SOCKET, else where the engine finds it")
    .showHelpAfterError("(tsnet --help lists what there is)")
    .configureOutput({ outputError: (text, write) => write(`tsnet: ${text.replace(/^error: /, "")}`) })
    .exitOverride();

  /** What `--socket` says; known once a command runs. */
  get socket(): string | undefined {
    return this.#program.opts<{ socket?: string }>().socket;
  }

  /** @param usage - `inspect <network|container>`. @param group - of which it is a part. */
  add(usage: string, description: string, group?: DeclaredCommand): DeclaredCommand {
    const [name = "", ...operands] = usage.split(" ");
    const command = this.addPlain(name, description, group);
    for (const operand of operands) command.argument(operand);
    return command.option("--json", "print JSON");
  }

  /** A command without `--json`, or one that has commands of its own. */
  addPlain(name: string, description: string, group: DeclaredCommand = this.#program): DeclaredCommand {
    const command = group.command(name).description(description).copyInheritedSettings(this.#program);
    return command.helpOption(...HELP);
  }

  /** Runs one command. @param words - what stands behind `tsnet`. @returns the exit code. */
  async run(words: readonly string[]): Promise<number> {
    process.stdout.off("error", sayUnprinted).on("error", sayUnprinted);
    process.stderr.off("error", ignore).on("error", ignore);
    try {
      await this.#program.parseAsync(words, { from: "user" });
      return 0;
    } catch (failure) {
      // Commander has printed the help or the message itself.
      if (failure instanceof CommanderError) return failure.exitCode === 0 ? 0 : WRONG;
      if (failure instanceof AnswerIsNo) return FAILED;
      process.stderr.write(`tsnet: ${messageOf(failure)}\n`);
      return FAILED;
    }
  }
}

/** Of standard error: there is nobody left to tell. */
const ignore = () => {};

/** Who has gone reads no more: the command ends as if he had read. What else is in the way has failed it. */
function sayUnprinted(failure: NodeJS.ErrnoException): void {
  if (failure.code === "EPIPE" || process.exitCode === FAILED) return;
  process.exitCode = FAILED;
  process.stderr.write(`tsnet: standard output: ${failure.message}\n`);
}

/** Reads what commander does not. What is wrong with it ends the command as a wrong command line. */
export function readWords<Value>(command: DeclaredCommand, read: () => Value): Value {
  try {
    return read();
  } catch (fault) {
    return command.error(messageOf(fault));
  }
}

/** An option that takes one of a few words. */
export function choice(flags: string, description: string, words: readonly string[]): Option {
  return new Option(flags, description).choices(words);
}

/** An option that may be given several times. */
export function repeated(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string, before: readonly string[] | undefined) => [
    ...(before ?? []),
    text,
  ]);
}

/** Aborts when the command shall end, or nobody reads what it prints. */
export function untilEnded(): AbortSignal {
  const controller = new AbortController();
  const end = () => controller.abort();
  process.once("SIGINT", end).once("SIGTERM", end);
  process.stdout.once("error", end);
  return controller.signal;
}

// Runs a command of the host: the only file that imports execa, and so the only place where tsnet starts a process.
// Arguments are an array and never meet a shell; the environment is fixed, so that output does not depend on how the
// daemon was started; every run ends, at the latest when its whole process group is killed.
import { execa } from "execa";
import { TsnetError } from "../errors.ts";

const DEADLINE_MS = 10_000;

/** How long a killed command may take to close its output, for what it said before. */
const KILL_GRACE_MS = 200;

/** Listings of a large host (10 000 links with details) stay below this. */
const OUTPUT_LIMIT = 16 * 1024 * 1024;

/** What of standard error is kept for a log next to the message. */
const STDERR_LIMIT = 2048;

const ENVIRONMENT = { LC_ALL: "C", PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } as const;

/** What a failed command leaves for the log: the `cause` of the error that `run` throws. */
export interface CommandFailure {
  readonly argv: readonly string[];
  readonly exitCode?: number;
  readonly signal?: string;
  /** Its first 2 KiB. */
  readonly stderr: string;
}

/** How a command runs. */
export interface RunOptions {
  /** Its standard input, nothing by default. */
  readonly input?: string;
  /** After this long the command and all that it started in its process group are killed. */
  readonly timeoutMs?: number;
  /** Added to the fixed environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Finds out why the command failed in what it wrote to standard output, for those that say it there. */
  readonly explain?: (stdout: string) => string | undefined;
}

/**
 * Runs a command and waits for its end.
 *
 * @returns its standard output, up to 16 MiB.
 * @throws TsnetError `host` with argv, exit code or signal, and what `explain` found, else the first line of standard error.
 *
 * Source: execa, docs/termination.md and docs/errors.md; setsid(2) for the process group.
 */
export async function run(
  command: string,
  args: readonly string[],
  { input, timeoutMs = DEADLINE_MS, env = {}, explain }: RunOptions = {},
): Promise<string> {
  const argv = [command, ...args];
  const child = execa(command, args, {
    ...(input === undefined ? { stdin: "ignore" } : { input }),
    cwd: "/", // that of the daemon may be gone
    env: { ...ENVIRONMENT, ...env },
    extendEnv: false,
    detached: true, // an own process group, so that children of the command can be killed with it
    reject: false,
    stripFinalNewline: false,
    maxBuffer: OUTPUT_LIMIT,
  });
  const inTime = await within(timeoutMs, child);
  if (inTime && !inTime.failed) return inTime.stdout;
  if (!inTime || inTime.isMaxBuffer) killGroup(child.pid);
  const result = inTime ?? (await within(KILL_GRACE_MS, child));
  for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe?.destroy();
  const cause = failureOf(argv, result);
  const line = explain?.(result?.stdout ?? "") ?? cause.stderr.trim().split("\n", 1)[0];
  const why = inTime ? whyOf(inTime) : `killed after ${timeoutMs} ms`;
  throw new TsnetError("host", `${argv.join(" ")}: ${why}${line && `: ${line}`}`, { cause });
}

/** The parts of execa's result that are read here. */
interface Result {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly stdout?: string | undefined;
  readonly stderr?: string | undefined;
  readonly isMaxBuffer: boolean;
  readonly code?: string | undefined;
}

/** Execa's own result ends only when the pipes are closed, which a descendant outside the group can delay for ever. */
async function within<T>(limitMs: number, result: Promise<T>): Promise<T | undefined> {
  const { promise: limit, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, limitMs, undefined);
  try {
    return await Promise.race([result, limit]);
  } finally {
    clearTimeout(timer);
  }
}

function failureOf(argv: readonly string[], result: Result | undefined): CommandFailure {
  const { exitCode, signal, stderr } = result ?? {};
  return {
    argv,
    ...(exitCode !== undefined && { exitCode }),
    ...(signal !== undefined && { signal }),
    stderr: (stderr ?? "").slice(0, STDERR_LIMIT),
  };
}

function whyOf({ exitCode, signal, isMaxBuffer, code }: Result): string {
  if (isMaxBuffer) return `wrote more than ${OUTPUT_LIMIT} bytes`;
  if (exitCode !== undefined) return `exit code ${exitCode}`;
  if (signal !== undefined) return `ended by ${signal}`;
  return code === "ENOENT" ? "not found" : (code ?? "could not be started");
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // ESRCH: the whole group has ended already.
  }
}

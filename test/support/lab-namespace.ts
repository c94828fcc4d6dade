// A network, mount and pid namespace of its own, held by a keeper process (`lab-keeper.sh`). Because the keeper is the
// namespace's pid 1, killing it makes the kernel end everything inside and give up mounts and links; and because the
// keeper dies with this process (parent-death signal), not even `kill -9` of a test run leaves more than a temp folder.
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { execa } from "execa";
import { onProcessEnd } from "./lab-cleanup.ts";
import { makeLabFolder, markKeeper, removeLabFolder, removeLabFolderAtOnce } from "./lab-folder.ts";
import { waitUntil } from "./wait-until.ts";

const EXEC_TIMEOUT_MS = 60_000;

/** What a command inside may be given. */
export interface ExecOptions {
  readonly input?: string;
  /** Default 60 seconds; the command is killed then and the promise rejects. */
  readonly timeoutMs?: number;
  /** Added to PATH and HOME; nothing else of this process's environment gets in. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A process that was started inside and runs on. */
export interface LabProcess {
  /** As seen inside: for `exec(["kill", ...])`, `/proc/PID/status` and `ps` there. */
  readonly pid: number;
  readonly logPath: string;
  /** Settles with the exit code (128 + number for a signal) and never rejects. */
  readonly ended: Promise<number>;
  /** What it has written so far. */
  log(): string;
}

interface Parts {
  readonly folder: string;
  readonly path: string;
  readonly isKept: boolean;
  readonly keeperPid: number;
  readonly keeper: Promise<unknown> & { readonly nodeChildProcess: ChildProcess };
  readonly forget: () => void;
}

/** One namespace. Take it down with `await using` or by disposing of it. */
export class LabNamespace implements AsyncDisposable {
  /** Last part of `folder`, unique on this machine. */
  readonly name: string;
  /** Lies on the machine's own file system: the same path inside and outside. */
  readonly folder: string;
  /** Pid of the namespace's first process as seen from outside. */
  readonly keeperPid: number;
  /** PATH for everything inside. */
  readonly path: string;
  /** It outlives this process. */
  readonly isKept: boolean;
  readonly #parts: Parts;
  /** What entered with the processes that run on, as seen from outside. */
  readonly #enterers = new Set<number>();
  #isDown = false;
  #spawnCount = 0;

  private constructor(parts: Parts) {
    this.folder = parts.folder;
    this.name = basename(parts.folder);
    this.path = parts.path;
    this.isKept = parts.isKept;
    this.keeperPid = parts.keeperPid;
    this.#parts = parts;
  }

  /**
   * Makes a namespace with nothing but loopback in it.
   *
   * @param name - for people; need not be unique.
   * @param isKept - it outlives this process; `kill -9 KEEPERPID` ends it, and the next lab removes its folder.
   */
  static async up(name: string, { path = SYSTEM_PATH, isKept = false } = {}): Promise<LabNamespace> {
    const folder = makeLabFolder(name);
    const unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"];
    // The shell redirects, because a pipe for it would hold this process as long as a kept namespace lives.
    const redirected = ["-c", 'exec "$@" 2>"$0"', join(folder, "keeper.log")];
    const bound = ["setpriv", "--pdeathsig", isKept ? "keep" : "KILL", "--"];
    const outer = execa("sh", [...redirected, ...bound, ...unshare, "--", "bash", KEEPER_SCRIPT, folder], {
      ...environment(path),
      stdio: "ignore",
      detached: true,
      cleanup: false,
      reject: false,
    });
    const forget = isKept ? () => {} : onProcessEnd(() => removeAtOnce(outer.pid, folder));
    try {
      await waitUntil("the keeper to be ready", () => existsSync(join(folder, "ready")), { intervalMs: 5 });
      const keeperPid = Number(readFileSync(`/proc/${outer.pid}/task/${outer.pid}/children`, "utf8").trim());
      markKeeper(folder, keeperPid);
      if (isKept) outer.nodeChildProcess.unref();
      return new LabNamespace({ folder, path, isKept, keeperPid, keeper: outer, forget });
    } catch (cause) {
      killPid(outer.pid);
      forget();
      await outer;
      const complaint = readText(join(folder, "keeper.log"));
      await removeLabFolder(folder);
      throw new Error(`could not make the namespace ${folder}: ${complaint}`, { cause });
    }
  }

  /**
   * Runs a command inside and waits for it.
   *
   * @returns its standard output without the last line end.
   * @throws ExecaError with the command, its exit code and its standard error.
   */
  async exec(
    argv: readonly string[],
    { input, timeoutMs = EXEC_TIMEOUT_MS, env = {} }: ExecOptions = {},
  ): Promise<string> {
    // The command is a grandchild (nsenter forks into the pid namespace): it dies with nsenter only if told so.
    const inside = [...this.#enter(), "setpriv", "--pdeathsig", "KILL", "--", ...argv];
    const result = await execa("nsenter", inside, {
      ...environment(this.path, env),
      input: input ?? "",
      timeout: timeoutMs,
      forceKillAfterDelay: 1000,
    });
    return result.stdout;
  }

  /** As `exec`, but with the machine's pids, so that `ip link ... netns PID` can name another namespace. */
  async execOutsidePids(argv: readonly string[]): Promise<void> {
    const target = ["-t", String(this.keeperPid), "-n", "--"];
    await execa("nsenter", [...target, ...argv], {
      ...environment(this.path),
      stdin: "ignore",
      timeout: EXEC_TIMEOUT_MS,
    });
  }

  /** Starts a command inside that runs on; what it writes goes to `<folder>/<label>.log`, appended. */
  async spawn(label: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<LabProcess> {
    this.#spawnCount += 1;
    const pidFile = join(this.folder, `${label}-${this.#spawnCount}.pid`);
    const logPath = join(this.folder, `${label}.log`);
    const announce = ["sh", "-c", 'echo $$ >"$0" && log=$1 && shift && exec "$@" >>"$log" 2>&1', pidFile, logPath];
    const child = execa("nsenter", [...this.#enter(), ...announce, ...argv], {
      ...environment(this.path, env),
      stdio: "ignore",
      detached: true,
      cleanup: false,
      reject: false,
    });
    const ended = child.then((result) => result.exitCode ?? 128);
    const { pid: enterer } = child;
    if (enterer !== undefined) {
      this.#enterers.add(enterer);
      void ended.then(() => this.#enterers.delete(enterer));
    }
    if (this.isKept) child.nodeChildProcess.unref();
    const pid = await waitUntil(`${label} to start`, () => Number(readText(pidFile)) || undefined, { intervalMs: 5 });
    return { pid, logPath, ended, log: () => readText(logPath) };
  }

  /** Where a path of the namespace is found from outside, for reading files and connecting to sockets. */
  outside(insidePath: string): string {
    return `/proc/${this.keeperPid}/root${insidePath}`;
  }

  /** Ends every process inside but the keeper, as a power cut would. */
  async killEverything(): Promise<void> {
    await this.exec(["sh", "-c", "kill -KILL -1"]);
  }

  /** Ends everything inside and removes the folder. @throws Error with what could not be removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isDown) return;
    this.#isDown = true;
    this.#parts.keeper.nodeChildProcess.ref(); // or nothing would hold this process while it waits for a kept one
    killPid(this.keeperPid);
    // nsenter stops with what it started, and then does not see it end: the namespace would wait for that for ever.
    for (const pid of this.#enterers) signal(pid, "SIGCONT");
    await this.#parts.keeper;
    await waitUntil("who entered to have ended", () => this.#enterers.size === 0, { intervalMs: 5 });
    this.#parts.forget();
    await removeLabFolder(this.folder);
  }

  #enter(): string[] {
    return ["-t", String(this.keeperPid), "-n", "-m", "-p", "-w", "--"];
  }
}

/** Names the network namespace of a process, to see whether two are the same. */
export function networkNamespaceOf(pid: number | "self"): string {
  return readlinkSync(`/proc/${pid}/ns/net`);
}

const KEEPER_SCRIPT = join(import.meta.dirname, "lab-keeper.sh");
const SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

function environment(path: string, env: Readonly<Record<string, string>> = {}) {
  return { extendEnv: false, env: { PATH: path, HOME: "/root", LC_ALL: "C.UTF-8", ...env } } as const;
}

function removeAtOnce(outerPid: number | undefined, folder: string): void {
  killPid(outerPid);
  removeLabFolderAtOnce(folder);
}

function killPid(pid: number | undefined): void {
  if (pid !== undefined) signal(pid, "SIGKILL");
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it had ended before
  }
}

function readText(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

// A network namespace of its own for one test, removed with everything that the test started in it. Made with ip-netns(8);
// `enter` uses setns(2), since Node.js cannot open a socket in another namespace.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import koffi from "koffi";

const CLONE_NEWNET = 0x40000000;
const setns = koffi.load(null).func("int setns(int fd, int nstype)") as (fd: number, nstype: number) => number;
const execute = promisify(execFile);
let created = 0;

/** A private network namespace whose loopback device is up. For `await using`. */
export class NetNamespace implements AsyncDisposable {
  readonly name: string;
  readonly #children: ChildProcess[] = [];

  private constructor(name: string) {
    this.name = name;
  }

  /** @param label - part of the name, to find it in listings when a test hangs. */
  static async create(label = ""): Promise<NetNamespace> {
    await stat("/"); // starts Node's thread pool outside: threads that begin inside `enter` would stay there
    created += 1;
    const namespace = new NetNamespace(`tsnet-test-${process.pid}-${created}${label && `-${label}`}`);
    await execute("ip", ["netns", "add", namespace.name]);
    await namespace.exec(["ip", "link", "set", "lo", "up"]);
    return namespace;
  }

  /** The file that stands for the namespace, as `ip link set X netns` and setns(2) want it. */
  get path(): string {
    return `/run/netns/${this.name}`;
  }

  /** Runs a command in the namespace. @returns its standard output. @throws when it fails, with its standard error. */
  async exec(argv: readonly string[]): Promise<string> {
    const { stdout } = await execute("ip", ["netns", "exec", this.name, ...argv], { maxBuffer: 64 * 1024 * 1024 });
    return stdout;
  }

  /** Runs a command that prints JSON. The caller says what it expects; nothing checks it. */
  async json<T>(argv: readonly string[]): Promise<T> {
    return JSON.parse((await this.exec(argv)) || "[]") as T;
  }

  /** Starts a command that lives until the namespace is disposed of. */
  spawn(argv: readonly string[]): ChildProcess {
    const child = spawn("ip", ["netns", "exec", this.name, ...argv], { stdio: ["pipe", "pipe", "inherit"] });
    this.#children.push(child);
    return child;
  }

  /**
   * Runs a function with this thread in the namespace. Sockets that it opens and processes that it starts stay there.
   *
   * @param fn - synchronous: after the first `await` the thread would be outside again.
   */
  enter<T>(fn: () => T): T {
    return inNetwork(this.path, fn);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL"); // `ip netns exec` became the command itself
      await ended;
    }
    await execute("ip", ["netns", "del", this.name]);
  }
}

/**
 * Runs a function with this thread in a network namespace.
 *
 * @param path - a file that stands for it: `/run/netns/NAME`, `/proc/PID/ns/net`.
 * @param fn - synchronous: after the first `await` the thread would be outside again.
 */
export function inNetwork<T>(path: string, fn: () => T): T {
  const outside = openSync("/proc/thread-self/ns/net", "r");
  const inside = openSync(path, "r");
  try {
    if (setns(inside, CLONE_NEWNET) !== 0) throw new Error(`setns to ${path}: errno ${koffi.errno()}`);
    return fn();
  } finally {
    if (setns(outside, CLONE_NEWNET) !== 0) process.abort(); // what came after would change the machine's network
    closeSync(inside);
    closeSync(outside);
  }
}

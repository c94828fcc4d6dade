// `tsnet serve` as a process of its own, in a network namespace of its own: what it takes of the machine can be read from
// outside (proc(5)).
import type { ChildProcess } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NetNamespace } from "../support/namespace.ts";
import { waitUntil } from "../support/wait-until.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

/** A running daemon. */
export class Served implements AsyncDisposable {
  readonly socket: string;
  readonly #folder: string;
  readonly #namespace: NetNamespace;
  readonly #process: ChildProcess;
  #output = "";

  private constructor(folder: string, namespace: NetNamespace) {
    this.#folder = folder;
    this.#namespace = namespace;
    this.socket = join(folder, "tsnet.sock");
    const settings = [`TSNET_SOCKET=${this.socket}`, `TSNET_STATE_DIR=${join(folder, "state")}`, "TSNET_FIREWALL=none"];
    this.#process = namespace.spawn(["env", ...settings, process.execPath, MAIN, "serve"]);
    this.#process.stdout?.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
  }

  static async start(): Promise<Served> {
    const folder = await mkdtemp(join(tmpdir(), "tsnet-served-"));
    const served = new Served(folder, await NetNamespace.create("fuzz"));
    try {
      await waitUntil("tsnet serve to recover", () => served.#output.includes('"recovered"'), { limitMs: 60_000 });
    } catch (cause) {
      await served[Symbol.asyncDispose]();
      throw new Error(`tsnet serve did not start: ${served.#output.slice(-2000)}`, { cause });
    }
    return served;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#namespace[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true });
  }

  get isAlive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Whole lines of the log so far. */
  get log(): readonly string[] {
    return this.#output.split("\n").slice(0, -1);
  }

  /** Bytes of memory in use now. */
  async memory(): Promise<number> {
    return this.#status("VmRSS");
  }

  /** The most bytes of memory since the last call of `forgetPeak`. */
  async peak(): Promise<number> {
    return this.#status("VmHWM");
  }

  async forgetPeak(): Promise<void> {
    await writeFile(`/proc/${this.#process.pid}/clear_refs`, "5");
  }

  async openFiles(): Promise<number> {
    return (await readdir(`/proc/${this.#process.pid}/fd`)).length;
  }

  async #status(field: string): Promise<number> {
    const text = await readFile(`/proc/${this.#process.pid}/status`, "utf8");
    return Number(new RegExp(`^${field}:\\s+([0-9]+) kB`, "m").exec(text)?.[1]) * 1024;
  }
}

/** Writes blocks until `total` bytes are written or the server closes. @returns what came back, and how much went out. */
export async function pour(
  path: string,
  head: string,
  block: Buffer,
  total: number,
): Promise<{ answer: string; sent: number }> {
  const socket = connect({ path, allowHalfOpen: true });
  let [answer, sent] = ["", 0];
  const state = { isOver: false };
  socket.on("data", (bytes: Buffer) => (answer += bytes.toString("latin1")));
  let wake = () => {};
  for (const event of ["end", "close", "error"]) {
    socket.on(event, () => {
      state.isOver = true;
      wake();
    });
  }
  socket.on("drain", () => wake());
  socket.write(head);
  while (sent < total && !state.isOver) {
    const isFlushed = socket.write(block);
    sent += block.length;
    if (isFlushed || state.isOver) continue;
    const { promise, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    await promise;
  }
  socket.end();
  await waitUntil("the server to close", () => state.isOver, { limitMs: 20_000, intervalMs: 5 });
  socket.destroy();
  return { answer, sent };
}

// When servers answer for the first time, asked from the network of a lab host by one process (first-answer-main.ts) that is
// there before the first question, so that no start of a process counts.
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { EnteredNetwork } from "./entered-network.ts";
import type { LabNamespace } from "./lab-namespace.ts";

const MAIN = join(import.meta.dirname, "first-answer-main.ts");
const LIMIT_MS = 60_000;

/** For `await using`. */
export class FirstAnswer implements AsyncDisposable {
  readonly #network: EnteredNetwork;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<string, () => void>();

  constructor(namespace: Pick<LabNamespace, "keeperPid">) {
    this.#network = new EnteredNetwork(namespace);
    this.#child = this.#network.spawn([process.execPath, "--no-warnings", MAIN]);
    if (this.#child.stdout === null) throw new Error("the asker has no pipe");
    createInterface({ input: this.#child.stdout }).on("line", (line) => this.#waiting.get(line)?.());
  }

  /** Waits until a TCP connection to there was open. @throws Error after a minute. */
  async from(address: string, port: number): Promise<void> {
    const line = `${address} ${port}`;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const limit = setTimeout(() => reject(new Error(`no answer from ${line} in ${LIMIT_MS} ms`)), LIMIT_MS);
    this.#waiting.set(line, resolve);
    this.#child.stdin?.write(`${line}\n`);
    await promise.finally(() => {
      clearTimeout(limit);
      this.#waiting.delete(line);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#network[Symbol.asyncDispose]();
  }
}

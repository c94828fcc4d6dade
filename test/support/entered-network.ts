// The network of a lab host, for processes of the tests that talk there: they see the machine's files and processes, and end
// with their block.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { LabNamespace } from "./lab-namespace.ts";

/** For `await using`. */
export class EnteredNetwork implements AsyncDisposable {
  readonly #keeperPid: number;
  readonly #children: ChildProcess[] = [];

  constructor({ keeperPid }: Pick<LabNamespace, "keeperPid">) {
    this.#keeperPid = keeperPid;
  }

  /** Starts a command that lives as long as this object. */
  spawn(argv: readonly string[]): ChildProcess {
    const enter = ["-t", String(this.#keeperPid), "-n", "--", ...argv];
    const child = spawn("nsenter", enter, { stdio: ["pipe", "pipe", "inherit"] });
    this.#children.push(child);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, "exit");
      child.kill("SIGKILL"); // nsenter became the command itself
      await ended;
    }
  }
}

// ip(8) and bridge(8) that stay: one process per namespace answers question after question (`-batch -`) in under a
// millisecond, where a process each takes ten. For tests that look at a table a thousand times.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

interface Waiting {
  readonly resolve: (line: string) => void;
  readonly reject: (error: Error) => void;
}

/** One of the tools in one namespace. It ends with this process at the latest. For `using`. */
export class IpConsole implements Disposable {
  readonly #child: ChildProcess;
  readonly #waiting: Waiting[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout === null) throw new Error("the console has no output");
    createInterface({ input: child.stdout }).on("line", (line) => this.#waiting.shift()?.resolve(line));
    child.once("exit", (code) => {
      for (const { reject } of this.#waiting) reject(new Error(`the console ended with code ${code}`));
    });
  }

  /** @param network - the file that stands for the namespace. @param tool - with its flags: `ip -6`, `bridge -details`. */
  static open({ path }: { readonly path: string }, tool: string): IpConsole {
    const flags = ["-json", "-force", "-batch", "-"]; // goes on after a failure
    const command = ["stdbuf", "-oL", ...tool.split(" "), ...flags]; // each answer at once
    return new IpConsole(spawn("nsenter", [`--net=${path}`, ...command], { stdio: ["pipe", "pipe", "ignore"] }));
  }

  /** Asks something that has an answer in any case: a `show`. The caller says what it looks like. */
  async ask<T>(question: string): Promise<T[]> {
    const line = await new Promise<string>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin?.write(`${question}\n`);
    });
    return JSON.parse(line) as T[];
  }

  /** Changes something; a refusal is ignored. Done when the promise settles. */
  async tell(...commands: readonly string[]): Promise<void> {
    this.#child.stdin?.write(commands.map((command) => `${command}\n`).join(""));
    await this.ask("neigh show dev lo"); // answered in its turn; `link show` would make later `address show` list none
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

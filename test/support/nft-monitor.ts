// What nft(8) says about changes of the rules while they are made.
import type { ChildProcess } from "node:child_process";
import { NetNamespace } from "./namespace.ts";
import { shell } from "./packet-lab.ts";
import { waitUntil } from "./wait-until.ts";

/** What `nft monitor` shows of the changes between start and stop. */
export class NftMonitor implements AsyncDisposable {
  readonly #at: NetNamespace;
  readonly #child: ChildProcess;
  #seen = "";

  private constructor(at: NetNamespace) {
    this.#at = at;
    this.#child = at.spawn(["nft", "monitor"]);
    this.#child.stdout?.on("data", (chunk: Buffer) => (this.#seen += chunk.toString()));
  }

  static async start(at: NetNamespace): Promise<NftMonitor> {
    const monitor = new NftMonitor(at);
    await monitor.#announce("begin");
    return monitor;
  }

  async stop(): Promise<string> {
    await this.#announce("finish");
    const announcement = /(add|delete) table ip (begin|finish)\n# new generation .*\n/g;
    return this.#seen.replaceAll(announcement, "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
  }

  /** Makes something that it must show: then it has shown all that came before. */
  async #announce(table: string): Promise<void> {
    await waitUntil(`nft monitor to show ${table}`, async () => {
      await shell(this.#at, [`nft add table ip ${table}`, `nft delete table ip ${table}`]);
      return new RegExp(`delete table ip ${table}\\n# new generation .*\\n`).test(this.#seen);
    });
  }
}

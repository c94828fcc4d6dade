// What the kernel tells of changes of links while they are made, also of their VLANs.
import type { ChildProcess } from "node:child_process";
import type { NetNamespace } from "./namespace.ts";
import { shell } from "./packet-lab.ts";
import { waitUntil } from "./wait-until.ts";

/** What `ip monitor link` shows between start and stop. */
export class LinkMonitor implements AsyncDisposable {
  readonly #at: NetNamespace;
  readonly #child: ChildProcess;
  #seen = "";

  private constructor(at: NetNamespace) {
    this.#at = at;
    this.#child = at.spawn(["ip", "-oneline", "monitor", "link", "address"]);
    this.#child.stdout?.on("data", (chunk: Buffer) => (this.#seen += chunk.toString()));
  }

  static async start(at: NetNamespace): Promise<LinkMonitor> {
    const monitor = new LinkMonitor(at);
    await monitor.#announce("begin");
    return monitor;
  }

  /** Lines of changes, none for none. */
  async stop(): Promise<readonly string[]> {
    await this.#announce("finish");
    return this.#seen.split("\n").filter((line) => line !== "" && !/ (begin|finish)[:\s]/.test(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
  }

  /** Makes something that it must show: then it has shown all that came before. */
  async #announce(name: string): Promise<void> {
    await waitUntil(`ip monitor to show ${name}`, async () => {
      await shell(this.#at, [`ip link add ${name} type bridge`, `ip link del ${name}`]);
      return this.#seen.split("\n").some((line) => line.startsWith("Deleted") && line.includes(` ${name}:`));
    });
  }
}

/**
 * Waits for a look at the host during which nothing changes. The kernel tells a state of its own up to a second late, so a single
 * look proves nothing; one that always writes never passes.
 *
 * @param look - may say that it changed something.
 */
export async function waitForIdleLook(at: NetNamespace, look: () => Promise<unknown>, limitMs = 10_000): Promise<void> {
  const isIdle = async () => {
    await using monitor = await LinkMonitor.start(at);
    const hasChanged = await look();
    return (await monitor.stop()).length === 0 && hasChanged !== true;
  };
  await waitUntil("a look that writes nothing", isIdle, { limitMs });
}

// An ssh-like TCP connection between two namespaces that never rests, and how long it was without an answer.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { NetNamespace } from "./namespace.ts";
import { waitUntil } from "./wait-until.ts";

const PORT = 7022;
const MAIN = join(import.meta.dirname, "steady-stream-main.ts");

/** How it went since it was asked last. */
export interface StreamReport {
  readonly sent: number;
  readonly answered: number;
  /** Every answer came once and in its order, and the connection is open. */
  readonly isOrdered: boolean;
  /** The longest time without an answer, in milliseconds, of those that an answer ended, as the server tells then why it was late. */
  readonly longestGapMs: number;
}

/** One connection. It ends with the client's namespace. */
export class SteadyStream {
  readonly #client: ChildProcess;
  readonly #reports: AsyncIterator<string>;

  private constructor(client: ChildProcess) {
    if (client.stdout === null) throw new Error("the stream has no output");
    this.#client = client;
    this.#reports = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
  }

  /** Makes the server listen, once per namespace. */
  static async serve(at: Pick<NetNamespace, "spawn">): Promise<void> {
    const server = at.spawn([process.execPath, "--no-warnings", MAIN, "server", String(PORT)]);
    if (server.stdout) await once(server.stdout, "data");
  }

  /** Connects, and waits until it runs steadily. */
  static async start(from: Pick<NetNamespace, "spawn">, to: string): Promise<SteadyStream> {
    const stream = new SteadyStream(from.spawn([process.execPath, "--no-warnings", MAIN, "client", to, String(PORT)]));
    await waitUntil("the stream to run", async () => (await stream.report()).answered > 300);
    await stream.report();
    return stream;
  }

  /** Does something. @returns how the stream went meanwhile, all that was said until its end being answered. */
  async during(task: () => Promise<unknown>): Promise<StreamReport> {
    await this.report();
    await task();
    const { sent, longestGapMs } = await this.report();
    let longest = longestGapMs;
    return waitUntil("all to be answered", async () => {
      const report = await this.report();
      longest = Math.max(longest, report.longestGapMs);
      return report.answered >= sent && { ...report, longestGapMs: longest };
    });
  }

  async report(): Promise<StreamReport> {
    this.#client.stdin?.write("\n");
    const { value } = (await this.#reports.next()) as { value?: string };
    if (value === undefined) throw new Error("the stream's client has ended");
    return JSON.parse(value) as StreamReport;
  }
}

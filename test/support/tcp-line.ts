// A TCP connection that stays open between two namespaces, over which a line is said now and then.
import { type ChildProcess } from "node:child_process";
import type { NetNamespace } from "./namespace.ts";
import { waitUntil } from "./wait-until.ts";

/** Where `listen` listens, unless it is told otherwise. */
export const LINE_PORT = 7777;

const ECHO = `require("node:net").createServer((socket) => socket.on("error", () => {}).pipe(socket)).listen(process.argv[1])`;

/** Echoes every line of every connection, on all addresses, as long as its namespace is there. */
export async function listen(at: NetNamespace, port = LINE_PORT): Promise<void> {
  at.spawn([process.execPath, "-e", ECHO, String(port)]);
  const isOpen = async () => (await at.exec(["ss", "-Hlnt", `sport = :${port}`])) !== "";
  await waitUntil("the echo to listen", isOpen);
}

/** One connection. For `using`. */
export class TcpLine implements Disposable {
  readonly #child: ChildProcess;
  #heard = "";
  #count = 0;

  /** @param to - address of either family. */
  constructor(from: NetNamespace, to: string, port = LINE_PORT) {
    this.#child = from.spawn(["busybox", "nc", to, String(port)]);
    this.#child.stdout?.on("data", (chunk: Buffer) => (this.#heard += chunk.toString()));
    this.#child.stdin?.on("error", () => {}); // nc has ended
  }

  /** Says a line. @returns whether its echo came in time: within two seconds TCP sends it several times. */
  async isAnswered(limitMs = 2000): Promise<boolean> {
    const line = `line ${++this.#count}\n`;
    this.#child.stdin?.write(line);
    return await waitUntil("the echo", () => this.#heard.includes(line), { limitMs, intervalMs: 20 }).catch(
      () => false,
    );
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

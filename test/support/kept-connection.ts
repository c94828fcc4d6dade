// A connection to the daemon that stays open, as the engine keeps its own (cnm-protocol.md 1.2): one call at a time, with as
// little work of the caller's as HTTP allows, for measurements in which the caller must not be what is slow.
import { type Socket, connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { type Answer, BrokenConnection, Refusal } from "./engine-double.ts";

const HEADER_END = "\r\n\r\n";
const RETRY_MS = 2;
const START_LIMIT_MS = 30_000;

/** One connection. Calls must not overlap. */
export class KeptConnection implements Disposable {
  readonly #socket: Socket;
  #received = "";
  #waiting: PromiseWithResolvers<Answer> | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("latin1"); // a length in bytes is one in characters
    socket.on("data", (part: string) => this.#take(part));
    socket.on("close", () => this.#waiting?.reject(new BrokenConnection("the connection ended", undefined)));
    socket.on("error", () => {}); // it closes next
  }

  /** @param path - of the daemon's socket, as seen from here. @throws Error when nobody listens. */
  static async open(path: string): Promise<KeptConnection> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect(path).once("connect", resolve).once("error", reject);
    await promise;
    return new KeptConnection(socket);
  }

  /** To a daemon that is about to start. @throws Error when it does not listen within 30 s. */
  static async openSoon(path: string): Promise<KeptConnection> {
    for (const end = performance.now() + START_LIMIT_MS; ;) {
      try {
        return await KeptConnection.open(path);
      } catch (failure) {
        if (performance.now() > end) throw failure;
      }
      await pause(RETRY_MS);
    }
  }

  /** One call. @returns whatever is answered. @throws BrokenConnection. */
  async call(verb: string, body?: object): Promise<Answer> {
    const bytes = body === undefined ? "" : `${JSON.stringify(body)}\n`;
    const head = `POST /${verb} HTTP/1.1\r\nHost: plugin.moby.localhost\r\nContent-Length: ${Buffer.byteLength(bytes)}`;
    this.#waiting = Promise.withResolvers();
    this.#socket.write(`${head}${HEADER_END}${bytes}`);
    return await this.#waiting.promise;
  }

  /** One call that succeeds. @throws Refusal with the error that is answered, BrokenConnection. */
  async ask(verb: string, body?: object): Promise<Answer> {
    const answer = await this.call(verb, body);
    const refusal = answer["Err"] ?? answer["Error"];
    if (typeof refusal === "string" && refusal !== "") throw new Refusal(`${verb}: ${refusal}`);
    return answer;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #take(part: string): void {
    this.#received += part;
    const end = this.#received.indexOf(HEADER_END);
    if (end < 0) return;
    const [, length = "0"] = /\r\ncontent-length: (\d+)/i.exec(this.#received.slice(0, end)) ?? [];
    const text = this.#received.slice(end + HEADER_END.length);
    if (text.length < Number(length)) return;
    this.#received = "";
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(JSON.parse(Buffer.from(text, "latin1").toString("utf8")) as Answer); // every answer of tsnet is JSON
  }
}

/** Does tasks over connections that stay open, as many at once as there are connections. */
export async function overConnections<T>(
  path: string,
  connections: number,
  tasks: readonly T[],
  run: (connection: KeptConnection, task: T) => Promise<void>,
): Promise<void> {
  const queue = tasks.values(); // one for all of them
  const lane = async () => {
    using connection = await KeptConnection.open(path);
    for (const task of queue) await run(connection, task);
  };
  await Promise.all(Array.from({ length: connections }, lane));
}

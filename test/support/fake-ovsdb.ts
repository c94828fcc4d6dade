// A database server that says what a test wants it to say, on a unix socket in a folder of its own. It reads the client's
// messages in a way of its own: by trying at each closing brace whether what came so far is JSON.
import { mkdtempSync, rmSync } from "node:fs";
import { type Server, type Socket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface FakeMessage {
  readonly method?: string;
  readonly params?: readonly unknown[];
  readonly id?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
}

/** One connected client. */
export interface FakePeer {
  readonly socket: Socket;
  /** Everything the client sent on this connection. */
  readonly received: FakeMessage[];
  /** Sends bytes, or an object as JSON. */
  send(message: object | string | Buffer): void;
  /** Sends the answer to a request. */
  answer(request: FakeMessage, result: unknown): void;
}

/** What the server does with a message. Without it, it says nothing. */
export type FakeScript = (message: FakeMessage, peer: FakePeer) => void;

/** Accepts any number of clients. For `await using`. */
export class FakeOvsdb implements AsyncDisposable {
  readonly peers: FakePeer[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), "tsnet-fake-ovsdb-"));
  #server: Server | undefined;

  readonly path = join(this.#folder, "db.sock");
  script: FakeScript;

  /** Does not listen yet. */
  constructor(script: FakeScript = () => {}) {
    this.script = script;
  }

  static async started(script?: FakeScript): Promise<FakeOvsdb> {
    const fake = new FakeOvsdb(script);
    await fake.listen();
    return fake;
  }

  get address(): string {
    return `unix:${this.path}`;
  }

  async listen(): Promise<void> {
    this.#server = createServer((socket) => this.#accept(socket));
    await new Promise<void>((resolve) => this.#server?.listen(this.path, resolve));
  }

  /** Breaks all connections and stops listening: the socket's file goes. */
  async stop(): Promise<void> {
    for (const { socket } of this.peers) socket.destroy();
    await new Promise((resolve) => (this.#server?.listening ? this.#server.close(resolve) : resolve(undefined)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #accept(socket: Socket): void {
    const peer: FakePeer = {
      socket,
      received: [],
      send(message) {
        const isRaw = typeof message === "string" || Buffer.isBuffer(message);
        socket.write(isRaw ? message : JSON.stringify(message));
      },
      answer(request, result) {
        peer.send({ id: request.id, result, error: null });
      },
    };
    this.peers.push(peer);
    let text = "";
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      for (const char of chunk.toString()) {
        text += char;
        const message = char === "}" ? parsed(text) : undefined;
        if (message === undefined) continue;
        text = "";
        peer.received.push(message);
        this.script(message, peer);
      }
    });
  }
}

function parsed(text: string): FakeMessage | undefined {
  try {
    return JSON.parse(text) as FakeMessage;
  } catch {
    return undefined;
  }
}

/** Answers the monitor as a database with this `cur_cfg` does; leaves everything else to `rest`. */
export function vswitch(curCfg: number, rest: FakeScript = () => {}): FakeScript {
  return (message, peer) => {
    if (message.method === "monitor") peer.answer(message, { Open_vSwitch: { row: { new: { cur_cfg: curCfg } } } });
    else rest(message, peer);
  };
}

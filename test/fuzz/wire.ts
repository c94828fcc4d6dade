// A client that writes bytes and reads answers, without correcting anything. Every wait ends after a limit.
import { type Socket, connect } from "node:net";

/** Longer than the server's own limit for one call. */
const LIMIT_MS = 25_000;

/** One answer as it stood on the wire. */
export interface WireAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** What came in all, until the server closed. */
export interface Conversation {
  readonly answers: readonly WireAnswer[];
  /** Bytes after the last whole answer. */
  readonly rest: string;
}

/** One connection. */
export class Wire {
  readonly #socket: Socket;
  #received = "";
  #isClosed = false;
  /** Whether the server closed while bytes were still being sent to it. */
  isCut = false;
  #wake: () => void = () => {};

  constructor(path: string) {
    this.#socket = connect({ path, allowHalfOpen: true });
    this.#socket.setEncoding("latin1"); // one character a byte: lengths are those of the wire
    this.#socket.on("data", (text: string) => {
      this.#received += text;
      this.#wake();
    });
    // A write after the server has closed; what was answered by then may be lost with it.
    this.#socket.on("error", () => (this.isCut = true));
    for (const event of ["end", "close"]) {
      this.#socket.on(event, () => {
        this.#isClosed = true;
        this.#wake();
      });
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  get isOpen(): boolean {
    return !this.#isClosed;
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Nothing more will be sent. */
  end(): void {
    this.#socket.end();
  }

  /** Sends one request and reads its answer. @returns undefined if the connection closed before it was complete. */
  async ask(bytes: Uint8Array): Promise<WireAnswer | undefined> {
    this.#socket.write(bytes);
    for (;;) {
      const answer = this.#take();
      if (answer !== undefined || this.#isClosed) return answer;
      await this.#change("an answer");
    }
  }

  /** Bytes that came and were not taken. */
  get rest(): string {
    return this.#received;
  }

  /** Reads until the server closes. */
  async all(): Promise<Conversation> {
    while (!this.#isClosed) await this.#change("the connection to close");
    const answers: WireAnswer[] = [];
    for (let answer = this.#take(); answer !== undefined; answer = this.#take()) answers.push(answer);
    return { answers, rest: this.#received };
  }

  async #change(what: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`waited ${LIMIT_MS} ms in vain for ${what}`)), LIMIT_MS);
    this.#wake = resolve;
    try {
      await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  #take(): WireAnswer | undefined {
    const end = this.#received.indexOf("\r\n\r\n");
    if (end === -1) return undefined;
    const head = this.#received.slice(0, end);
    const length = Number(/\r\ncontent-length: *([0-9]+)/i.exec(head)?.[1] ?? 0);
    if (this.#received.length < end + 4 + length) return undefined;
    const body = Buffer.from(this.#received.slice(end + 4, end + 4 + length), "latin1").toString();
    this.#received = this.#received.slice(end + 4 + length);
    return { status: Number(head.slice(9, 12)), head, body };
  }
}

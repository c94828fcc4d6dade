// Answers bytes that are no HTTP request, or that come too slowly, and closes the connection (node:http, event
// `clientError`). Calls that came whole before them on the same connection get their own answers first: else the refusal
// would be taken for the answer of a call that is done.
import { once } from "node:events";
import { type IncomingMessage, STATUS_CODES, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Log } from "../log.ts";
import { formatErrorReply } from "./reply-error.ts";

const STATUS: ReadonlyMap<string, number> = new Map([
  ["ERR_HTTP_REQUEST_TIMEOUT", 408],
  ["HPE_HEADER_OVERFLOW", 431],
]);

/** All connections of one server. */
export class BrokenHttp {
  readonly #log: Log;
  readonly #mediaType: string;
  readonly #unanswered = new WeakMap<Socket, Map<IncomingMessage, ServerResponse>>();
  readonly #refused = new WeakSet<Socket>();

  /** @param mediaType - of the answers. */
  constructor(log: Log, mediaType: string) {
    this.#log = log;
    this.#mediaType = mediaType;
  }

  /** Keeps in mind which calls have no answer yet, and sees what node does not answer itself. */
  watch(server: Server): void {
    server.on("connection", (socket: Socket) => {
      // Node sees it too, but not in a call that asks for an upgrade.
      socket.once("end", () => {
        const isCut = [...(this.#unanswered.get(socket) ?? [])].some(([request]) => !request.complete);
        if (isCut) this.refuse({ code: "HPE_INVALID_EOF_STATE" }, socket);
      });
    });
    server.on("connect", (_request: IncomingMessage, socket: Socket) => {
      socket.on("error", () => {}); // from here on it is no longer node's
      this.refuse({ code: "CONNECT" }, socket);
    });
    server.prependListener("request", (request: IncomingMessage, response: ServerResponse) => {
      const calls = this.#unanswered.get(request.socket) ?? new Map<IncomingMessage, ServerResponse>();
      this.#unanswered.set(request.socket, calls.set(request, response));
      response.once("close", () => calls.delete(request));
    });
  }

  /** Refuses what came last on this connection. */
  refuse({ code = "unknown" }: { readonly code?: string }, socket: Socket): void {
    // Node counts a connection that has never sent a byte as a slow sender; the engine keeps such ones for later use.
    if (code === "ERR_HTTP_REQUEST_TIMEOUT" && socket.bytesRead === 0) return;
    // What follows broken bytes is broken as well.
    if (code === "ECONNRESET" || !socket.writable || this.#refused.has(socket)) return;
    this.#refused.add(socket);
    this.#log.warn({ outcome: "invalid", error: code }, "broken request");
    const calls = [...(this.#unanswered.get(socket) ?? [])].filter(([request]) => request.complete);
    if (calls.length === 0) return this.#end(socket, code);
    const answered = Promise.all(calls.map(([, response]) => once(response, "close")));
    const over = Promise.race([answered, once(socket, "close")]);
    void over.catch(() => {}).then(() => this.#end(socket, code)); // a connection that fails is over too
  }

  #end(socket: Socket, code: string): void {
    const status = STATUS.get(code) ?? 400;
    const body = JSON.stringify(formatErrorReply(`the request is not HTTP that tsnet reads (${code})`));
    const head = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
      `Content-Type: ${this.#mediaType}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      "Connection: close",
    ];
    if (socket.writable) socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
    socket.destroySoon();
  }
}

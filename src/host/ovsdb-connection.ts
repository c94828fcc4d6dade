// One connection to Open vSwitch's database: requests by their ids, answers in any order, notifications, and one end. It ends
// as soon as an answer is overdue or makes no sense: what comes after could not be trusted, and the database gives up what a
// broken connection still waits for, so that no `cancel` is needed. Follows RFC 7047, section 4.
import { type Socket, connect } from "node:net";
import { TsnetError, inContext } from "../errors.ts";
import { type OvsdbAddress, unreachable } from "./ovsdb-address.ts";
import { JsonStream } from "./ovsdb-json.ts";

/** A host that is gone without a word is noticed by TCP itself, from so much silence on. */
const KEEP_ALIVE_MS = 10_000;

/** What a connection tells. Neither may throw. */
export interface ConnectionEvents {
  /** @param params - not checked. @throws TsnetError to end the connection for it. */
  readonly onNotification: (method: string, params: unknown) => void;
  /** Called once, when a connection that was open has ended, with the reason. */
  readonly onEnd: (reason: TsnetError) => void;
}

/** An open connection, until `onEnd`. */
export class OvsdbConnection {
  readonly #address: OvsdbAddress;
  readonly #events: ConnectionEvents;
  readonly #socket: Socket;
  readonly #stream = new JsonStream();
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;
  #end: TsnetError | undefined;

  private constructor(address: OvsdbAddress, socket: Socket, events: ConnectionEvents) {
    this.#address = address;
    this.#socket = socket;
    this.#events = events;
    socket.on("data", (chunk) => this.#receive(chunk));
    socket.on("error", (error) => this.#fail(unreachable(address, codeOf(error), error)));
    socket.on("close", () => this.#fail(unreachable(address, "it closed the connection")));
  }

  /**
   * Connects.
   *
   * @throws TsnetError `unavailable` that names the remedy, after `deadlineMs` at the latest.
   */
  static async open(address: OvsdbAddress, events: ConnectionEvents, deadlineMs: number): Promise<OvsdbConnection> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({ ...address, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS });
    const refuse = (error: Error) => reject(unreachable(address, codeOf(error), error));
    const timer = setTimeout(() => reject(unreachable(address, `no connection within ${deadlineMs} ms`)), deadlineMs);
    socket.once("connect", resolve).once("error", refuse);
    try {
      await promise;
      socket.off("error", refuse);
      return new OvsdbConnection(address, socket, events);
    } catch (failure) {
      socket.destroy();
      throw failure;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Sends a request and waits for its answer.
   *
   * @param deadlineMs - when an answer takes longer, the connection ends.
   * @returns the `result` of the answer, not checked.
   * @throws TsnetError `host` with the `error` of the answer; `unavailable` when the connection ends before: whether the
   * database has read the request is then unknown.
   */
  async request(method: string, params: readonly unknown[], deadlineMs: number): Promise<unknown> {
    if (this.#end !== undefined) throw this.#end;
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = Promise.withResolvers<unknown>();
    this.#pending.set(id, answer);
    this.#send({ method, params, id });
    const timer = setTimeout(() => {
      this.#fail(unreachable(this.#address, `no answer within ${deadlineMs} ms`));
    }, deadlineMs);
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(id);
    }
  }

  /** Why the connection has ended; undefined as long as it has not. */
  get end(): TsnetError | undefined {
    return this.#end;
  }

  /** Ends the connection. Requests without an answer fail. */
  close(): void {
    this.#fail(new TsnetError("unavailable", `the connection to ${this.#address.text} was closed`));
  }

  #send(message: object): void {
    this.#socket.write(JSON.stringify(message));
  }

  #receive(chunk: Buffer): void {
    if (this.#end !== undefined) return;
    try {
      for (const message of this.#stream.push(chunk)) this.#take(message);
    } catch (failure) {
      this.#fail(inContext(`Open vSwitch's database on ${this.#address.text} sent what OVSDB does not know`, failure));
    }
  }

  /** RFC 7047, section 4: an answer has no method, and a notification no id. */
  #take(message: Message): void {
    const { method, id } = message;
    if (typeof method !== "string") return this.#answer(message);
    if (id === null || id === undefined) return this.#events.onNotification(method, message.params);
    if (method === "echo") return this.#send({ result: message.params, error: null, id }); // 4.1.11: is anybody there
    this.#send({ result: null, error: "unknown method", id });
  }

  /** An answer to what nobody asked changes nothing. */
  #answer({ id, error, result }: Message): void {
    const answer = typeof id === "number" ? this.#pending.get(id) : undefined;
    if (error === null || error === undefined) return answer?.resolve(result);
    answer?.reject(new TsnetError("host", `Open vSwitch's database refuses the request: ${textOf(error)}`));
  }

  #fail(reason: TsnetError): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    this.#socket.destroy();
    for (const answer of this.#pending.values()) answer.reject(reason);
    this.#events.onEnd(reason);
  }
}

/** What may stand in a message of either direction. */
interface Message {
  readonly method?: unknown;
  readonly params?: unknown;
  readonly id?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
}

/** An error of the protocol is a string or `{"error": ..., "details": ...}` (RFC 7047, section 3.1, <error>). */
function textOf(error: unknown): string {
  if (typeof error === "string") return error;
  return JSON.stringify(error).slice(0, 500);
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : error.message;
}

// One connection to a switch: the greeting, requests by their ids, the switch's own question whether anybody is there, and one
// end. It ends as soon as an answer is overdue or makes no sense. Follows OpenFlow 1.4, 6.3 and 7.5.
import { type Socket, connect } from "node:net";
import { TsnetError, inContext } from "../errors.ts";
import { errorText, silent } from "./openflow-error.ts";
import { type Message, MessageStream, TYPE, VERSIONS, encodeMessage } from "./openflow-message.ts";
import type { OvsdbAddress } from "./ovsdb-address.ts";

/** OFPMPF_REPLY_MORE. */
const HAS_MORE = 1;

/** A listing that is longer is not read on: some 300,000 flows. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** What waits for answers, by the ids of its messages. */
interface Pending {
  readonly take: (message: Message) => void;
  readonly fail: (reason: TsnetError) => void;
}

/** A message to be sent. */
export interface Request {
  readonly type: number;
  readonly body: Buffer;
}

/** An open connection that has been greeted, until `onEnd`. */
export class OpenFlowConnection {
  readonly #address: OvsdbAddress;
  readonly #onEnd: (reason: TsnetError) => void;
  readonly #socket: Socket;
  readonly #stream = new MessageStream();
  readonly #pending = new Map<number, Pending>();
  readonly #greeting = Promise.withResolvers<void>();
  #version: number = VERSIONS[VERSIONS.length - 1] ?? 0;
  #lastXid = 0;
  #end: TsnetError | undefined;
  #isGreeted = false;

  private constructor(address: OvsdbAddress, onEnd: (reason: TsnetError) => void) {
    this.#address = address;
    this.#onEnd = onEnd;
    this.#socket = connect({ ...address, noDelay: true });
    this.#greeting.promise.catch(() => {}); // `open` looks at it
    this.#socket.on("data", (chunk) => this.#receive(chunk));
    this.#socket.on("error", (error) =>
      this.#fail(silent(address, "code" in error ? String(error.code) : error.message, error)),
    );
    this.#socket.on("close", () => this.#fail(silent(address, "it closed the connection")));
    this.#send(TYPE.hello, 0, helloBody());
  }

  /**
   * Connects, and agrees on a version.
   *
   * @param onEnd - called once, when a connection that was opened has ended. May not throw.
   * @throws TsnetError `unavailable`, after `deadlineMs` at the latest; `unsupported` for a switch of other versions.
   */
  static async open(address: OvsdbAddress, onEnd: (reason: TsnetError) => void, deadlineMs: number) {
    const connection = new OpenFlowConnection(address, onEnd);
    const timer = setTimeout(
      () => connection.#fail(silent(address, `no greeting within ${deadlineMs} ms`)),
      deadlineMs,
    );
    try {
      await connection.#greeting.promise;
      return connection;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Why the connection has ended; undefined as long as it has not. */
  get end(): TsnetError | undefined {
    return this.#end;
  }

  /**
   * Sends messages that are answered by errors alone, and a barrier behind them, in one write.
   *
   * @param deadlineMs - when the barrier's answer takes longer, the connection ends.
   * @returns for each message what the switch objects, undefined for one that it took.
   * @throws TsnetError `unavailable` when the connection ends before: what the switch has done is then unknown.
   */
  async command(requests: readonly Request[], deadlineMs: number): Promise<readonly (string | undefined)[]> {
    const objections: (string | undefined)[] = requests.map(() => undefined);
    const all = [...requests, { type: TYPE.barrierRequest, body: Buffer.alloc(0) }];
    await this.#exchange(all, deadlineMs, ({ type, body }, n) => {
      if (type === TYPE.error && n < requests.length) objections[n] = errorText(body);
      return type === TYPE.barrierReply && n === requests.length;
    });
    return objections;
  }

  /**
   * Asks with a multipart request (OpenFlow 1.4, 7.3.5).
   *
   * @param kind - OFPMP_*.
   * @returns the bodies of the answer's parts.
   * @throws TsnetError `host` when the switch refuses; `unavailable`.
   */
  async ask(kind: number, body: Buffer, deadlineMs: number): Promise<readonly Buffer[]> {
    const head = Buffer.alloc(8);
    head.writeUInt16BE(kind, 0);
    const parts: Buffer[] = [];
    let length = 0;
    await this.#exchange([{ type: TYPE.multipartRequest, body: Buffer.concat([head, body]) }], deadlineMs, (answer) => {
      if (answer.type === TYPE.error)
        throw new TsnetError("host", `the switch refuses to tell: ${errorText(answer.body)}`);
      if (answer.type !== TYPE.multipartReply || answer.body.length < 8 || answer.body.readUInt16BE(0) !== kind) {
        throw new TsnetError("host", `message ${answer.type} answers a question for ${kind}`);
      }
      length += answer.body.length;
      if (length > MAX_ANSWER_BYTES)
        throw new TsnetError("host", `the switch tells more than ${MAX_ANSWER_BYTES} bytes`);
      parts.push(answer.body.subarray(8));
      return (answer.body.readUInt16BE(2) & HAS_MORE) === 0;
    });
    return parts;
  }

  /** Ends the connection. Requests without an answer fail. */
  close(): void {
    this.#fail(new TsnetError("unavailable", `the connection to ${this.#address.text} was closed`));
  }

  /** @param take - called with what answers the n-th request. @returns whether that was all; may throw. */
  async #exchange(requests: readonly Request[], deadlineMs: number, take: (message: Message, n: number) => boolean) {
    if (this.#end !== undefined) throw this.#end;
    const done = Promise.withResolvers<void>();
    const xids = requests.map((_, n) => this.#expect(n, take, done));
    const bytes = requests.map(({ type, body }, n) => this.#encode(type, xids[n] ?? 0, body));
    const timer = setTimeout(() => this.#fail(silent(this.#address, `no answer within ${deadlineMs} ms`)), deadlineMs);
    try {
      this.#socket.write(Buffer.concat(bytes));
      await done.promise;
    } finally {
      clearTimeout(timer);
      for (const xid of xids) this.#pending.delete(xid);
    }
  }

  #expect(n: number, take: (message: Message, n: number) => boolean, done: PromiseWithResolvers<void>): number {
    this.#lastXid = (this.#lastXid + 1) >>> 0;
    const takeOne = (message: Message) => {
      try {
        if (take(message, n)) done.resolve();
      } catch (failure) {
        done.reject(failure);
      }
    };
    this.#pending.set(this.#lastXid, { take: takeOne, fail: done.reject });
    return this.#lastXid;
  }

  #send(type: number, xid: number, body: Buffer): void {
    this.#socket.write(this.#encode(type, xid, body));
  }

  #encode(type: number, xid: number, body: Buffer): Buffer {
    return encodeMessage({ version: this.#version, type, xid, body });
  }

  #receive(chunk: Buffer): void {
    if (this.#end !== undefined) return;
    try {
      for (const message of this.#stream.push(chunk)) this.#take(message);
    } catch (failure) {
      this.#fail(inContext(`the switch on ${this.#address.text} sent what OpenFlow does not know`, failure));
    }
  }

  /** What nobody asked for changes nothing: ports that come and go, and so on. */
  #take(message: Message): void {
    if (!this.#isGreeted) return this.#greet(message);
    if (message.version !== this.#version) throw new TsnetError("host", `a message of version ${message.version}`);
    if (message.type === TYPE.echoRequest) return this.#send(TYPE.echoReply, message.xid, message.body);
    this.#pending.get(message.xid)?.take(message);
  }

  #greet(message: Message): void {
    const version = message.type === TYPE.hello ? commonVersion(message) : undefined;
    if (version === undefined) {
      const says = message.type === TYPE.error ? errorText(message.body) : `version ${message.version}`;
      const remedy = "permit OpenFlow13 and OpenFlow14 in the bridge's column protocols";
      throw new TsnetError("unsupported", `no version of OpenFlow in common (${says}): ${remedy}`);
    }
    this.#version = version;
    this.#isGreeted = true;
    this.#greeting.resolve();
  }

  #fail(reason: TsnetError): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    this.#socket.destroy();
    this.#greeting.reject(reason);
    for (const { fail } of this.#pending.values()) fail(reason);
    if (this.#isGreeted) this.#onEnd(reason);
  }
}

/** OFPHET_VERSIONBITMAP (OpenFlow 1.4, 7.5.1): the versions that this side speaks. */
function helloBody(): Buffer {
  const body = Buffer.alloc(8);
  body.writeUInt16BE(1, 0);
  body.writeUInt16BE(8, 2);
  body.writeUInt32BE(
    VERSIONS.reduce((bits, version) => bits | (1 << version), 0),
    4,
  );
  return body;
}

/** The highest version that both speak; without a bitmap, the lower of the two highest ones. */
function commonVersion({ version, body }: Message): number | undefined {
  const hasBitmap = body.length >= 8 && body.readUInt16BE(0) === 1 && body.readUInt16BE(2) >= 8;
  if (!hasBitmap) return VERSIONS.findLast((ours) => version >= 4 && ours <= version);
  const bitmap = body.readUInt32BE(4);
  return VERSIONS.findLast((ours) => (bitmap & (1 << ours)) !== 0);
}

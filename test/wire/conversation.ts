// What the wire tests share: a server on a socket in a folder of its own, and requests written byte for byte as the
// engine writes them (cnm-protocol.md 1.2), so that no HTTP client adds or corrects anything.
import { mkdtemp, rm } from "node:fs/promises";
import { type Socket, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gate } from "../../src/api/gate.ts";
import { Events } from "../../src/api/events.ts";
import { Metrics } from "../../src/api/metrics.ts";
import { listenOnSockets } from "../../src/api/listen.ts";
import { type ServerParts, createServer, verbNames } from "../../src/api/server.ts";
import type { Log, LogLevel } from "../../src/log.ts";
import { type FakeDrivers, fakeDrivers } from "../support/fake-drivers.ts";

/** One line that reached the log. */
export interface LogLine {
  readonly level: LogLevel;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A log that keeps its lines. */
export function memoryLog(): { readonly log: Log; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const keep = (level: LogLevel) => (fields: object, message: string) =>
    void lines.push({ level, fields: { ...fields }, message });
  return { lines, log: { debug: keep("debug"), info: keep("info"), warn: keep("warn"), error: keep("error") } };
}

/** A gate that calls pass at once. */
export function openGate(): Gate {
  const gate = new Gate();
  gate.open();
  return gate;
}

/** Records that can be written. */
export const SOUND_RECORDS = {
  fault: undefined,
  writeFault: undefined,
  tryAgain: () => {},
  disk: async () => undefined,
};

/** A server without a socket, for `inject`; gate open unless a test brings its own. */
export function serverOn(drivers: FakeDrivers, parts: Partial<ServerParts> = {}) {
  const { log, lines } = memoryLog();
  const { cnm, ipam, operator } = drivers;
  const { gate = openGate() } = parts;
  const sources = { status: () => cnm.describe(), pools: () => ipam.usage(), linkCounters: async () => new Map() };
  const metrics = new Metrics(sources);
  const health = { gate, records: SOUND_RECORDS, damage: () => [] };
  const app = createServer({ cnm, ipam, operator, log, metrics, events: new Events(), health, ...parts, gate });
  return { app, lines, metrics, health, [Symbol.asyncDispose]: async () => app.close() };
}

/** A server on sockets in a new folder; removed again by `await using`. */
export async function listeningServer(drivers: FakeDrivers, parts: Partial<ServerParts> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "tsnet-wire-"));
  const path = join(folder, "tsnet.sock");
  const secondPath = join(folder, "second", "tsnet.sock");
  const { app, lines } = serverOn(drivers, parts);
  const listening = await listenOnSockets(app, [path, secondPath], memoryLog().log);
  const dispose = async () => {
    await listening.close();
    await rm(folder, { recursive: true });
  };
  return { app, lines, listening, folder, path, secondPath, [Symbol.asyncDispose]: dispose };
}

/** How an engine writes its `Host` header: empty up to 24, a name from 25.0 on. */
export const HOSTS = { "20.10": "", "28.5": "plugin.moby.localhost" } as const;

/** The bytes of one call; `body` is a JSON value, or undefined for no body at all. */
export function engineRequest(verb: string, body?: unknown, host: string = HOSTS["28.5"]): string {
  const text = body === undefined ? "" : `${JSON.stringify(body)}\n`;
  const head = [
    `POST /${verb} HTTP/1.1`,
    `Host: ${host}`,
    "User-Agent: Go-http-client/1.1",
    `Content-Length: ${Buffer.byteLength(text)}`,
    "Accept: application/vnd.docker.plugins.v1.2+json",
  ];
  return `${head.join("\r\n")}\r\n\r\n${text}`;
}

/** One answer as it stood on the wire. */
export interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: unknown;
}

/** A connection that speaks bytes, as the engine keeps one in its pool. */
export class Connection {
  readonly socket: Socket;
  #received = "";
  #isClosed = false;

  constructor(path: string) {
    this.socket = connect({ path, allowHalfOpen: true });
    this.socket.setEncoding("utf8");
    this.socket.on("data", (text: string) => (this.#received += text));
    // A write after the server has closed; what it had answered by then is still read.
    this.socket.on("error", () => undefined);
    this.socket.on("end", () => (this.#isClosed = true));
    this.socket.on("close", () => (this.#isClosed = true));
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  /** Sends one request and waits for its answer. */
  async ask(request: string): Promise<Answer> {
    this.socket.write(request);
    return this.answer();
  }

  /** The next answer. @throws if the connection closes before it is complete. */
  async answer(): Promise<Answer> {
    for (;;) {
      const answer = this.#takeAnswer();
      if (answer !== undefined) return answer;
      if (this.#isClosed) throw new Error(`closed after ${JSON.stringify(this.#received)}`);
      await this.#change();
    }
  }

  /** Waits until the server closes the connection. */
  async closed(): Promise<void> {
    while (!this.#isClosed) await this.#change();
  }

  get isOpen(): boolean {
    return !this.#isClosed;
  }

  async #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const events = ["data", "end", "error", "close"];
    for (const event of events) this.socket.once(event, resolve);
    await promise;
    for (const event of events) this.socket.off(event, resolve);
  }

  #takeAnswer(): Answer | undefined {
    const end = this.#received.indexOf("\r\n\r\n");
    if (end === -1) return undefined;
    const [statusLine = "", ...headerLines] = this.#received.slice(0, end).split("\r\n");
    const headers = new Map(headerLines.map(parseHeader));
    const length = Number(headers.get("content-length") ?? 0);
    const text = this.#received.slice(end + 4, end + 4 + length);
    if (text.length < length) return undefined;
    this.#received = this.#received.slice(end + 4 + length);
    return { status: Number(statusLine.split(" ")[1]), headers, body: text === "" ? undefined : JSON.parse(text) };
  }
}

function parseHeader(line: string): [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}

/** The names of all verbs in the code. */
export function namesInCode(): readonly string[] {
  return verbNames(fakeDrivers());
}

/** Verbs that carry no arguments: the engine sends no body with them. */
export const VERBS_WITHOUT_ARGUMENTS: readonly string[] = [
  "Plugin.Activate",
  "NetworkDriver.GetCapabilities",
  "IpamDriver.GetCapabilities",
  "IpamDriver.GetDefaultAddressSpaces",
];

/** Verbs that are answered before recovery is done. */
export const VERBS_AT_ANY_TIME: readonly string[] = [
  ...VERBS_WITHOUT_ARGUMENTS,
  "NetworkDriver.EndpointOperInfo",
  "NetworkDriver.DiscoverNew",
  "NetworkDriver.DiscoverDelete",
];

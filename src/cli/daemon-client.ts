// The operator's command as a client of the daemon: finds its socket and asks there (`api/read-route.ts`).
import { globSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import type { AttachAnswer, AttachBody, DetachAnswer, DetachBody } from "../api/attachment-messages.ts";
import type { PlanMessage, SetEndpointMessage, SetNetworkMessage } from "../api/change-messages.ts";
import type { EventLine } from "../api/events.ts";
import type { HealthReply } from "../api/health-route.ts";
import type { RepairBody, RepairReply } from "../api/repair-messages.ts";
import type { ErrorReply } from "../api/reply-error.ts";
import type { PoolsReply } from "../api/pools-read.ts";
import type { StatusReply } from "../api/status-read.ts";
import type { PlanAnswer, SetAnswer } from "../cnm/change-requests.ts";
import { SETTINGS } from "../config.ts";
import { TsnetError, messageOf } from "../errors.ts";

/** More than the daemon takes itself for an answer. */
const TIMEOUT_MS = 30_000;

/** What can be asked for, by path. */
interface Replies {
  readonly "/status": StatusReply;
  readonly "/pools": PoolsReply;
  readonly "/healthz": HealthReply;
}

/** What the daemon can be told to do, by verb (`api/operator-routes.ts`). */
interface Calls {
  readonly "Operator.Attach": { readonly message: AttachBody; readonly answer: AttachAnswer };
  readonly "Operator.Detach": { readonly message: DetachBody; readonly answer: DetachAnswer };
  readonly "Operator.SetNetwork": { readonly message: SetNetworkMessage; readonly answer: SetAnswer };
  readonly "Operator.SetEndpoint": { readonly message: SetEndpointMessage; readonly answer: SetAnswer };
  readonly "Operator.Plan": { readonly message: PlanMessage; readonly answer: PlanAnswer };
  readonly "Operator.Repair": { readonly message: RepairBody; readonly answer: RepairReply };
}

/** One daemon. */
export class DaemonClient {
  /** Absolute path. */
  readonly socket: string;
  readonly #timeoutMs: number;

  constructor(socket: string, timeoutMs = TIMEOUT_MS) {
    this.socket = socket;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Waits while the daemon recovers.
   *
   * @throws TsnetError `unavailable` if nobody answers there, or tsnet cannot now; it says what to do.
   */
  async read<Path extends keyof Replies>(path: Path): Promise<Replies[Path]> {
    return (await this.#exchange("GET", path)) as Replies[Path]; // the daemon's own words
  }

  /**
   * Has the daemon do something.
   *
   * @throws TsnetError as `read` does, and with the daemon's own message when it refuses.
   */
  async call<Verb extends keyof Calls>(verb: Verb, message: Calls[Verb]["message"]): Promise<Calls[Verb]["answer"]> {
    return (await this.#exchange("POST", `/${verb}`, JSON.stringify(message))) as Calls[Verb]["answer"]; // the daemon's own words
  }

  /**
   * What happens, line by line, until the daemon ends the stream or the signal aborts.
   *
   * @throws TsnetError as `read` does; also when the daemon breaks off.
   */
  async *follow(path: "/events", signal: AbortSignal): AsyncGenerator<EventLine> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const call = request({ socketPath: this.socket, path, agent: false }, resolve).on("error", reject);
    const leave = () => void call.destroy(); // the option `signal` of a request ends with its sending
    signal.addEventListener("abort", leave, { once: true });
    call.end();
    try {
      const response = await promise;
      if (response.statusCode !== 200) this.#read(path, response.statusCode ?? 0, await text(response));
      for await (const line of linesOf(response)) yield JSON.parse(line) as EventLine; // the daemon's own words
    } catch (cause) {
      if (signal.aborted) return;
      throw cause instanceof TsnetError ? cause : this.#unanswered(cause);
    } finally {
      signal.removeEventListener("abort", leave);
      call.destroy();
    }
  }

  async #exchange(method: "GET" | "POST", path: string, message = ""): Promise<unknown> {
    const { status, body } = await this.#ask(method, path, message).catch((cause: unknown) => {
      throw this.#unanswered(cause);
    });
    return this.#read(path, status, body);
  }

  #unanswered(cause: unknown): TsnetError {
    return new TsnetError("unavailable", `no tsnet answers on ${this.socket}: ${this.#adviceFor(cause)}`, { cause });
  }

  #read(path: string, status: number, body: string): unknown {
    if (status === 404) {
      const advice = "it is older than this command; upgrade the plugin, or start it anew";
      throw new TsnetError("unsupported", `the tsnet on ${this.socket} does not know ${path}: ${advice}`);
    }
    const answer = parseObject(body);
    if (answer === undefined) {
      throw new TsnetError("unavailable", `what answers on ${this.socket} is not tsnet: HTTP ${status}`);
    }
    const { Err, status: health } = answer;
    if ((status === 200 || health !== undefined) && Err === undefined) return answer;
    throw new TsnetError("unavailable", Err ?? `HTTP ${status}`);
  }

  async #ask(
    method: string,
    path: string,
    message: string,
  ): Promise<{ readonly status: number; readonly body: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
    const signal = AbortSignal.timeout(this.#timeoutMs);
    const call = request({ socketPath: this.socket, path, method, agent: false, signal }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    });
    call.on("error", reject).end(message);
    return promise.catch((cause: unknown) => {
      throw signal.aborted ? signal.reason : cause; // what breaks off then says no more than that
    });
  }

  #adviceFor(cause: unknown): string {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    const start = "`docker plugin enable` or `tsnet serve` starts it";
    if (code === "ENOENT") return `there is no such socket; ${start}, --socket or TSNET_SOCKET names another one`;
    if (code === "ECONNREFUSED") return `nobody listens on it; ${start}`;
    if (code === "EACCES" || code === "EPERM") return "permission denied; root may speak to it";
    if (cause instanceof Error && cause.name === "TimeoutError") return `not within ${this.#timeoutMs / 1000} s`;
    return messageOf(cause);
  }
}

/**
 * Where the daemon listens: as named, else where `tsnet serve` and the managed plugin listen both, else where the engine made
 * its socket for the plugin: in a folder of its own beside.
 *
 * @param usual - where both of them listen.
 */
export function findSocket(named: string | undefined, usual: string = SETTINGS.TSNET_SOCKET.default): string {
  if (named !== undefined && named !== "") return named;
  const candidates = [usual, ...globSync(join(dirname(usual), "*/tsnet.sock"))];
  return candidates.find((path) => globSync(path).length > 0) ?? usual;
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of response.setEncoding("utf8") as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

function parseObject(body: string): Partial<ErrorReply & HealthReply> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

// What must hold after each input, whatever it was: one JSON answer of the right status for a call, a refusal and a closed
// connection for what is no HTTP, nothing of ours in the log, no change of state by what was refused, and no trace left by what
// was accepted once the verbs have taken it back.
import { type ByteInput, piecesOfInput } from "./bytes.ts";
import { type FieldInput, bytesOfInput, mustBeRefused } from "./fields.ts";
import { CANARY_CALL, type FuzzHost } from "./host.ts";
import { bytesOfCall } from "./requests.ts";
import { Wire, type WireAnswer } from "./wire.ts";

/** Of broken HTTP, unknown URLs and methods; 100 is no answer yet. */
const STATUSES: ReadonlySet<number> = new Set([100, 200, 400, 404, 405, 408, 431]);
const MEDIA_TYPE = "content-type: application/vnd.docker.plugins.v1.2+json";
const MAX_MESSAGE = 8192 + 3;
const ONE_LINE = /^[^\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]+$/u;
/** The least that is far beyond what any one input takes, on a busy machine too. */
const SLOW_MS = 10_000;

/** What became of the inputs so far. */
export interface Tally {
  inputs: number;
  accepted: number;
  refused: number;
  /** Of the inputs of bytes: those after which the server closed without an answer. */
  unanswered: number;
  slowestMs: number;
}

/** Looks at one host through its socket. */
export class Oracle {
  readonly tally: Tally = { inputs: 0, accepted: 0, refused: 0, unanswered: 0, slowestMs: 0 };
  readonly #host: FuzzHost;
  /** As the engine keeps one in its pool. */
  #kept: Wire;
  readonly #stray: unknown[] = [];
  readonly #onStray = (reason: unknown) => void this.#stray.push(reason);

  constructor(host: FuzzHost) {
    this.#host = host;
    this.#kept = new Wire(host.socket);
    for (const event of ["unhandledRejection", "uncaughtException"] as const) process.on(event, this.#onStray);
  }

  [Symbol.dispose](): void {
    this.#kept[Symbol.dispose]();
    for (const event of ["unhandledRejection", "uncaughtException"] as const) process.off(event, this.#onStray);
  }

  /** @throws Error that says what does not hold. */
  async judgeFields(input: FieldInput): Promise<void> {
    const bytes = bytesOfInput(input, (text) => this.#host.withPoolIds(text));
    const { version } = this.#begin();
    const start = performance.now();
    const answer = await this.#ask(bytes);
    this.#took(performance.now() - start);
    if (answer.status !== 200) throw new Error(`a known verb was answered with ${answer.status}`);
    const body = answerBody(answer);
    const isAccepted = !("Err" in body);
    this.tally[isAccepted ? "accepted" : "refused"] += 1;
    if (isAccepted) this.#lookAtNames(body);
    if (isAccepted && input.request.body !== undefined && mustBeRefused(input)) throw new Error("it was accepted");
    if (input.request.verb === "Operator.Plan" && this.#host.version !== version)
      throw new Error("a plan changed something");
    if (this.#kept.rest !== "") throw new Error(`more than one answer: ${JSON.stringify(this.#kept.rest)}`);
    await this.#end(version, isAccepted);
  }

  /** @throws Error that says what does not hold. */
  async judgeBytes(input: ByteInput): Promise<void> {
    const pieces = piecesOfInput(input, (text) => this.#host.withPoolIds(text));
    const { version, calls } = this.#begin();
    const start = performance.now();
    using wire = new Wire(this.#host.socket);
    for (const piece of pieces) {
      wire.write(piece);
      if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve));
    }
    wire.end();
    const { answers, rest } = await wire.all();
    this.#took(performance.now() - start);
    if (rest !== "" && !wire.isCut) throw new Error(`what came is no answer: ${JSON.stringify(rest.slice(0, 200))}`);
    const bodies = answers.filter(({ status }) => status !== 100).map(answerBody);
    const done = answers.filter(({ status }, at) => status === 200 && !("Err" in (bodies[at] ?? {})));
    const isAccepted = answers.some(({ status, body }) => status === 200 && !body.startsWith('{"Err"'));
    this.tally[bodies.length === 0 ? "unanswered" : isAccepted ? "accepted" : "refused"] += 1;
    const ok = answers.filter(({ status }) => status === 200).length;
    const made = this.#host.calls - calls;
    if (made > ok && !wire.isCut)
      throw new Error(`${made} calls reached a driver, and ${ok} were answered (${done.length} with success)`);
    await this.#end(version, isAccepted);
  }

  /** Whether the canary lives, drivers that start anew read the same, and nothing is under way. @throws Error if not. */
  async checkpoint(): Promise<void> {
    const { verb, body, gateway } = CANARY_CALL;
    const { version } = this.#begin();
    const answer = await this.#ask(bytesOfCall(verb, JSON.stringify(body)));
    if (answerBody(answer)["Gateway"] !== gateway) throw new Error(`the canary is dead: ${answer.body}`);
    await this.#end(version, false);
    const problem = (await this.#host.audit()) ?? (this.#host.isAsBefore() ? undefined : "the state is another one");
    if (problem !== undefined) throw new Error(`checkpoint: ${problem}`);
    if (this.#host.guard.seen === 0) throw new Error("the guard of names saw nothing");
  }

  #begin(): { version: number; calls: number } {
    this.tally.inputs += 1;
    this.#host.lines.splice(0);
    return { version: this.#host.version, calls: this.#host.calls };
  }

  async #ask(bytes: Buffer): Promise<WireAnswer> {
    if (!this.#kept.isOpen) this.#kept = new Wire(this.#host.socket);
    const answer = await this.#kept.ask(bytes);
    if (answer === undefined) throw new Error("the connection was closed without an answer");
    return answer;
  }

  #took(durationMs: number): void {
    this.tally.slowestMs = Math.max(this.tally.slowestMs, durationMs);
    if (durationMs > SLOW_MS) throw new Error(`it took ${Math.round(durationMs)} ms`);
  }

  async #end(version: number, isAccepted: boolean): Promise<void> {
    const host = this.#host;
    await this.#idle();
    const fault = host.lines.find(({ level, fields }) => level === "error" && !isForsaken(fields));
    if (fault !== undefined) throw new Error(`in the log at level error: ${JSON.stringify(fault.fields)}`);
    if (host.version !== version) {
      if (!isAccepted && !host.isAsBefore()) throw new Error("it was refused, and the state has changed");
      const left = await host.restore();
      if (left !== undefined) throw new Error(`it was accepted and could not be taken back: ${left}`);
    }
    if (host.guard.breaches.length > 0)
      throw new Error(`a name that is not permitted: ${host.guard.breaches.join("; ")}`);
    if (this.#stray.length > 0)
      throw new Error("a rejection or an exception that nobody handles", { cause: this.#stray[0] });
    if ("polluted" in {}) throw new Error("the prototype of all objects was changed");
  }

  async #idle(): Promise<void> {
    const deadline = performance.now() + SLOW_MS;
    while (this.#host.callsInFlight > 0) {
      if (performance.now() > deadline) throw new Error("a call that was answered does not end");
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #lookAtNames(body: Readonly<Record<string, unknown>>): void {
    const { InterfaceName: names, ...rest } = body as { InterfaceName?: { SrcName: unknown; DstPrefix: unknown } };
    for (const key of ["Link", "HostLink", "Interface"]) {
      const name: unknown = Reflect.get(rest, key);
      if (typeof name === "string") this.#host.guard.lookAtAnswer("ifName", name);
    }
    if (names === undefined) return;
    this.#host.guard.lookAtAnswer("ifName", names.SrcName);
    this.#host.guard.lookAtAnswer("ifPrefix", names.DstPrefix);
  }
}

/** A call whose caller ends before its answer is taken back, and that is told: the fuzzer of bytes ends all its connections. */
function isForsaken({ error }: Readonly<Record<string, unknown>>): boolean {
  return typeof error === "string" && error.endsWith(": the caller closed its connection");
}

/** @returns the body of an answer. @throws Error if it is no answer of ours. */
function answerBody({ status, head, body }: WireAnswer): Readonly<Record<string, unknown>> {
  const shown = JSON.stringify(`${head.slice(0, 200)} ${body.slice(0, 200)}`);
  if (!head.startsWith("HTTP/1.1 ") || !STATUSES.has(status)) throw new Error(`no status of ours: ${shown}`);
  if (!head.toLowerCase().includes(MEDIA_TYPE)) throw new Error(`no type of ours: ${shown}`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (cause) {
    throw new Error(`no JSON: ${shown}`, { cause });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw new Error(`no object: ${shown}`);
  const { Err, Error: other } = parsed as { Err?: unknown; Error?: unknown };
  const isFailure = Err !== undefined || other !== undefined || status !== 200;
  if (!isFailure) return parsed as Record<string, unknown>; // an object of JSON
  const isText = typeof Err === "string" && Err === other && ONE_LINE.test(Err) && Err.length <= MAX_MESSAGE;
  if (!isText) throw new Error(`no error that the engine reads: ${shown}`);
  return parsed as Record<string, unknown>;
}

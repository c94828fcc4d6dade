// Puts one verb on the server: reads and checks the body, runs the call, answers, and writes the one log line of the
// call. Whatever goes wrong, the answer is HTTP 200 with the error inside: for some verbs the engine takes a 404 as
// "method absent" and reports success (cnm-protocol.md 1.4).
import type { Socket } from "node:net";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { TsnetError, messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { parseBody } from "./body.ts";
import type { Calls } from "./calls.ts";
import type { Events } from "./events.ts";
import type { Metrics } from "./metrics.ts";
import { LEVEL, errorFields, formatErrorReply, toTsnetError } from "./reply-error.ts";
import type { Verb } from "./verb.ts";

/** What all verbs share. */
export interface VerbParts {
  readonly calls: Calls;
  readonly metrics: Pick<Metrics, "noteCall">;
  readonly events: Pick<Events, "note">;
  readonly log: Log;
}

/** Adds the route of one verb. */
export function addVerb(app: FastifyInstance, verb: Verb, { calls, metrics, events, log }: VerbParts): void {
  const callName = verb.name.slice(verb.name.indexOf(".") + 1);
  const startTimes = new WeakMap<FastifyRequest, number>();
  const fieldsOf = (request: FastifyRequest) => {
    const durationMs = performance.now() - (startTimes.get(request) ?? performance.now());
    return { verb: verb.name, ...logIdsOf(request.body), durationMs: Math.round(durationMs * 10) / 10 };
  };
  app.route({
    method: "POST",
    url: `/${verb.name}`,
    schema: verb.schema === undefined ? {} : { body: verb.schema },
    onRequest: async (request) => void startTimes.set(request, performance.now()),
    preValidation: async (request) => {
      if (verb.schema !== undefined && isEmpty(request.body)) await calls.undone(verb.name);
      request.body = readBody(verb, callName, request.body);
    },
    handler: async (request) => {
      const call = { verb: verb.name, object: objectOf(request.body), isGated: verb.isGated };
      using caller = watchCaller(request.raw.socket);
      const answer = await calls.run(call, (signal) => verb.run(request.body, signal), caller.signal);
      const fields = fieldsOf(request);
      metrics.noteCall(verb.name, "ok", fields.durationMs);
      events.note({ kind: "call", ...fields, outcome: "ok" });
      log.info({ ...fields, outcome: "ok" }, "call");
      return answer;
    },
    errorHandler: (thrown, request, reply) => {
      const error = toTsnetError(callName, thrown);
      const fields = { ...fieldsOf(request), outcome: error.code };
      metrics.noteCall(verb.name, error.code, fields.durationMs);
      events.note({ kind: "call", ...fields, message: error.message });
      log[LEVEL[error.code]]({ ...fields, ...errorFields(error) }, "call");
      void reply.code(200).send(formatErrorReply(error.message));
    },
  });
}

/**
 * Notices that nobody reads the answer. A connection that the caller has closed on its side looks the same until it is
 * written to; a call that was sent that way and makes something is undone, and whoever reads the answer is told so.
 */
function watchCaller(socket: Socket): { readonly signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const leave = () => controller.abort();
  if (socket.destroyed || socket.readableEnded) leave();
  socket.once("end", leave).once("close", leave);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => void socket.off("end", leave).off("close", leave),
  };
}

/** @param bytes - undefined when there is no body at all. */
function isEmpty(bytes: unknown): bytes is undefined {
  return !(bytes instanceof Uint8Array) || bytes.length === 0;
}

/** @param bytes - undefined when there is no body at all. */
function readBody(verb: Verb, callName: string, bytes: unknown): unknown {
  if (verb.schema === undefined) return {};
  // An empty body is what is left of a call whose connection broke (cnm-protocol.md 1.6). Taking it for an empty
  // object, as the verbs without arguments do, would make the engine believe that the call succeeded.
  if (isEmpty(bytes)) {
    const why = "the engine repeats a call whose connection broke, and its content is lost";
    throw new TsnetError("invalid", `${callName}: the body is empty (${why}); nothing was changed`);
  }
  try {
    return parseBody(bytes as Uint8Array); // what is not empty is bytes
  } catch (cause) {
    throw new TsnetError("invalid", `${callName}: ${messageOf(cause)}`);
  }
}

const LOGGED_IDS = [
  { field: "NetworkID", name: "networkId", noun: "network" },
  { field: "EndpointID", name: "endpointId", noun: "endpoint" },
  { field: "PoolID", name: "poolId", noun: "pool" },
] as const;
// Also refused requests are logged: only what looks like an id is taken from them.
const ID_SHAPE = /^[\x21-\x7e]{1,128}$/;

function idsOf(body: unknown): readonly { name: string; noun: string; id: string }[] {
  if (typeof body !== "object" || body === null) return [];
  return LOGGED_IDS.flatMap(({ field, name, noun }) => {
    const id: unknown = Object.getOwnPropertyDescriptor(body, field)?.value;
    return typeof id === "string" && ID_SHAPE.test(id) ? [{ name, noun, id }] : [];
  });
}

/** What a message about the call names: the endpoint rather than its network. */
function objectOf(body: unknown): string {
  const last = idsOf(body).at(-1);
  return last === undefined ? "" : `${last.noun} ${last.id}`;
}

function logIdsOf(body: unknown): object {
  return Object.fromEntries(idsOf(body).map(({ name, id }) => [name, id]));
}

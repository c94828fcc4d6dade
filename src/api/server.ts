// Builds the HTTP server of Docker's plugin protocol out of the two drivers, without listening: `listen.ts` opens the
// sockets, tests use `inject`. Here is all that is the same for every verb: limits, headers, unknown URLs.
//
// Follows cnm-protocol.md section 1. The engine sends no Content-Type, pools idle connections without a limit, and
// repeats a call with an empty body when its connection breaks; so nothing here closes a connection without need.
import type { IncomingMessage } from "node:http";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import type { OperatorDriver } from "../cnm/operator.ts";
import type { CnmDriver } from "../cnm/requests.ts";
import type { IpamDriver } from "../ipam/requests.ts";
import type { Log } from "../log.ts";
import { ACTIVATE } from "./activate.ts";
import { readBodyBytes } from "./body-reader.ts";
import { BrokenHttp } from "./broken-http.ts";
import { Calls } from "./calls.ts";
import { cnmVerbs } from "./cnm-routes.ts";
import { EVENTS_PATH, addEventsRoute } from "./events-route.ts";
import type { Events } from "./events.ts";
import type { Gate } from "./gate.ts";
import { HEALTH_PATH, type HealthSources, addHealthRoute } from "./health-route.ts";
import { ipamVerbs } from "./ipam-routes.ts";
import { operatorVerbs } from "./operator-routes.ts";
import { METRICS_PATH, addMetricsRoute } from "./metrics-route.ts";
import type { Metrics } from "./metrics.ts";
import { poolsRead } from "./pools-read.ts";
import { addRead } from "./read-route.ts";
import { formatErrorReply } from "./reply-error.ts";
import { statusRead } from "./status-read.ts";
import { buildLateValidators } from "./validators.ts";
import { addVerb } from "./verb-route.ts";

const MEDIA_TYPE = "application/vnd.docker.plugins.v1.2+json";
/** Shorter than the 30 s after which the engine gives up on a managed plugin's call and repeats it empty. */
const CALL_TIMEOUT_MS = 20_000;
/** From the first byte of a request to its last. */
const RECEIVE_TIMEOUT_MS = 10_000;
/** Docker kills a plugin 10 s after SIGTERM. */
const DRAIN_TIMEOUT_MS = 8000;
const MAX_HEADER_BYTES = 16_384;
/** How often slow senders are looked for, within one receive timeout. */
const RECEIVE_CHECKS = 10;

/** What the server is made of. */
export interface ServerParts {
  readonly cnm: CnmDriver;
  readonly ipam: IpamDriver;
  readonly operator: OperatorDriver;
  readonly log: Log;
  readonly gate: Gate;
  readonly metrics: Metrics;
  readonly events: Events;
  readonly health: HealthSources;
  /** For waiting at the gate and working together; default 20 s. */
  readonly callTimeoutMs?: number;
  /** How long the bytes of one request may take to arrive; default 10 s. Idle connections stay open. */
  readonly receiveTimeoutMs?: number;
  /** How long calls in flight may go on after `close`; default 8 s. */
  readonly drainTimeoutMs?: number;
}

/** The names of all verbs that tsnet answers. */
export function verbNames(parts: Pick<ServerParts, "cnm" | "ipam" | "operator">): readonly string[] {
  return verbsOf(parts).map((verb) => verb.name);
}

/**
 * Makes the server. It does not listen; `close` lets calls in flight end.
 *
 * @returns a fastify instance whose routes answer every verb with HTTP 200.
 */
export function createServer(parts: ServerParts): FastifyInstance {
  const { gate, log, metrics, events, callTimeoutMs = CALL_TIMEOUT_MS } = parts;
  const app = createApp(log, parts.receiveTimeoutMs ?? RECEIVE_TIMEOUT_MS);
  const calls = new Calls({ gate, log, timeoutMs: callTimeoutMs });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", async (request: FastifyRequest, stream: IncomingMessage) => {
    const announced = request.raw.headers["content-length"];
    return readBodyBytes(stream, announced === undefined ? undefined : Number(announced));
  });
  app.addHook("onRequest", async (request) => {
    // Every body is JSON whatever its type is called, and a malformed type would be answered with 415.
    delete request.raw.headers["content-type"];
  });
  app.addHook("onSend", async (_request, reply) => {
    reply.header("content-type", MEDIA_TYPE);
    if (calls.isStopping) reply.header("connection", "close");
  });
  const verbs = verbsOf(parts);
  for (const verb of verbs) addVerb(app, verb, { calls, metrics, events, log });
  const reads = [statusRead(parts.cnm), poolsRead(parts.ipam)];
  for (const read of reads) addRead(app, read, calls, log);
  addHealthRoute(app, parts.health, log);
  addMetricsRoute(app, metrics, log);
  addEventsRoute(app, events, log);
  const posts = verbs.map((verb) => [`/${verb.name}`, "POST"] as const);
  const gets = [...reads.map(({ path }) => path), HEALTH_PATH, METRICS_PATH, EVENTS_PATH].map(
    (path) => [path, "GET"] as const,
  );
  refuseOtherRequests(app, new Map([...posts, ...gets]), log);
  drainOnClose(app, calls, parts.drainTimeoutMs ?? DRAIN_TIMEOUT_MS);
  return app;
}

function verbsOf({ cnm, ipam, operator }: Pick<ServerParts, "cnm" | "ipam" | "operator">) {
  return [ACTIVATE, ...cnmVerbs(cnm), ...ipamVerbs(ipam), ...operatorVerbs(operator)];
}

function createApp(log: Log, receiveTimeoutMs: number): FastifyInstance {
  const broken = new BrokenHttp(log, MEDIA_TYPE);
  const app: FastifyInstance = fastify({
    logger: false,
    requestTimeout: receiveTimeoutMs,
    return503OnClosing: false,
    schemaController: { compilersFactory: { buildValidator: buildLateValidators } },
    ajv: {
      // As it comes, fastify would turn a number into a string, drop what it does not know, and stop at the first fault; and Ajv
      // would take 30 ms to find that TypeBox writes schemas.
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allErrors: true,
        strict: true,
        validateSchema: false,
      },
    },
    http: {
      // As it comes it is longer, and then node exchanges the two limits.
      headersTimeout: receiveTimeoutMs,
      connectionsCheckingInterval: Math.ceil(receiveTimeoutMs / RECEIVE_CHECKS),
      maxHeaderSize: MAX_HEADER_BYTES,
      requireHostHeader: false,
    },
    frameworkErrors: (_error, request, reply) => void sendNotFound(request, reply),
    clientErrorHandler: (error, socket) => broken.refuse(error, socket),
  });
  broken.watch(app.server);
  // Node would answer 417 without a body. An expectation may be passed over (RFC 9110, 10.1.1).
  app.server.on("checkExpectation", (request, response) => app.server.emit("request", request, response));
  // Not as an option: there fastify takes 0 for "use the default", 72 s.
  app.server.keepAliveTimeout = 0;
  // A client that has nothing more to send still reads its answer (`nc -U`); node has no documented option for it.
  Object.assign(app.server, { httpAllowHalfOpen: true });
  return app;
}

/** A known URL with another method is 405, never 404; anything else is 404. */
function refuseOtherRequests(app: FastifyInstance, methods: ReadonlyMap<string, string>, log: Log): void {
  const refuse = (request: FastifyRequest, reply: FastifyReply) => {
    const [path = ""] = request.url.split("?", 1);
    log.info({ method: request.method, url: request.url.slice(0, 128) }, "no such verb");
    const method = methods.get(path);
    if (method === undefined) return sendNotFound(request, reply);
    return reply
      .code(405)
      .header("allow", method)
      .send(formatErrorReply(`${path} takes ${method} only`));
  };
  app.setNotFoundHandler(refuse);
  // Here arrive faults of a body that was sent to no verb.
  app.setErrorHandler((_error, request, reply) => refuse(request, reply));
}

function sendNotFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const reason = formatErrorReply(`tsnet does not implement ${request.url.slice(0, 128)}`);
  return reply.code(404).header("content-type", MEDIA_TYPE).send(reason);
}

/** Lets calls in flight go on for a while after `close` and refuses new ones. */
function drainOnClose(app: FastifyInstance, calls: Calls, drainTimeoutMs: number): void {
  let finish = () => {};
  app.addHook("preClose", async () => {
    finish = calls.stop(drainTimeoutMs);
  });
  app.addHook("onClose", async () => finish());
}

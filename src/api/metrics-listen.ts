// The port of TSNET_METRICS: a server of its own, which has the health and the metrics and nothing else. No verb can be
// reached there, whatever address it listens on: who may call the verbs is said by the rights of the socket (`listen.ts`).
import { once } from "node:events";
import type { AddressInfo, ListenOptions } from "node:net";
import { type FastifyInstance, type FastifyReply, fastify } from "fastify";
import { TsnetError, messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { type HealthSources, addHealthRoute } from "./health-route.ts";
import { trackConnections } from "./listen.ts";
import type { Metrics } from "./metrics.ts";
import { addMetricsRoute } from "./metrics-route.ts";

/** A few who scrape and a few who look; more are refused. */
const MAX_CONNECTIONS = 32;
const MAX_HEADER_BYTES = 8192;
/** From the first byte of a request to its last, and of a connection on which nothing was asked yet. */
const RECEIVE_TIMEOUT_MS = 5000;
/** How long a connection stays open for the next request. */
const IDLE_TIMEOUT_MS = 5000;
const CHECK_INTERVAL_MS = 1000;

/** What the operator may do about a port that cannot be had. */
const REMEDY = "permitted: HOST:PORT, an address of this host and a free port, such as 127.0.0.1:9560; or empty";

/** What the errno means to an operator. */
const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is in use by another program (ss -lntp)",
  EADDRNOTAVAIL: "this host has no such address",
  EACCES: "permission denied",
  ENOTFOUND: "there is no host of that name",
  EAI_AGAIN: "the host's name cannot be looked up now",
};

/** Where to listen: one address of this host, or its name. */
export interface MetricsAddress {
  readonly host: string;
  readonly port: number;
}

/** What is told there. */
export interface MetricsParts {
  readonly metrics: Pick<Metrics, "format">;
  readonly health: HealthSources;
  readonly log: Log;
  /** How long a request may take to arrive; default 5 s. */
  readonly receiveTimeoutMs?: number;
}

/** An open port. */
export interface MetricsPort {
  readonly address: AddressInfo;
  /** Ends all connections. */
  close(): Promise<void>;
}

/** Makes the server, without listening. Anything but a GET of the two is answered with an empty 404. */
export function createMetricsServer({ metrics, health, log, receiveTimeoutMs }: MetricsParts): FastifyInstance {
  const limitMs = receiveTimeoutMs ?? RECEIVE_TIMEOUT_MS;
  const app: FastifyInstance = fastify({
    logger: false,
    bodyLimit: 1, // nobody has anything to say there
    requestTimeout: limitMs,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    exposeHeadRoutes: false,
    http: {
      headersTimeout: limitMs,
      connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, limitMs),
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    frameworkErrors: (_error, _request, reply) => void refuse(reply),
  });
  app.server.maxConnections = MAX_CONNECTIONS;
  app.setNotFoundHandler((_request, reply) => refuse(reply));
  app.setErrorHandler((_error, _request, reply) => refuse(reply));
  addHealthRoute(app, health, log);
  addMetricsRoute(app, metrics, log);
  return app;
}

/**
 * Opens the port.
 *
 * @throws TsnetError `conflict` if another program has it, else `host`; the message names the setting.
 */
export async function listenForMetrics({ host, port }: MetricsAddress, parts: MetricsParts): Promise<MetricsPort> {
  const app = createMetricsServer(parts);
  await app.ready();
  const connections = trackConnections(app);
  const options: ListenOptions = { host, port, exclusive: true };
  try {
    app.server.listen(options);
    await once(app.server, "listening");
  } catch (failure) {
    await app.close();
    throw portError({ host, port }, failure);
  }
  app.server.on("error", (error) => parts.log.error({ setting: "TSNET_METRICS", error: error.message }, "port failed"));
  const address = app.server.address() as AddressInfo; // it listens on a port
  if (!isLoopback(address.address)) {
    const fields = { setting: "TSNET_METRICS", address: address.address, port: address.port };
    parts.log.warn(fields, "metrics can be read by other hosts: the address is not loopback");
  }
  return {
    address,
    async close() {
      // Node closes none on which nothing was asked yet, and would wait for them.
      app.server.on("connection", (socket) => socket.destroy());
      connections.forEach((socket) => socket.destroy());
      await app.close();
    },
  };
}

function refuse(reply: FastifyReply): FastifyReply {
  return reply.code(404).send();
}

function isLoopback(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}

function portError({ host, port }: MetricsAddress, failure: unknown): TsnetError {
  const code = failure instanceof Error && "code" in failure ? String(failure.code) : "";
  const shown = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const reason = REASONS[code] ?? messageOf(failure);
  const message = `TSNET_METRICS=${JSON.stringify(shown)} is not possible here: ${reason}; ${REMEDY}`;
  return new TsnetError(code === "EADDRINUSE" ? "conflict" : "host", message, { cause: failure });
}

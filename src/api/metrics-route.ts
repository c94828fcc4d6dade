// `GET /metrics`: the numbers of this daemon in Prometheus' text format. It does not wait for recovery: until then there are
// few networks to tell of, and the numbers of calls and faults all the same.
import type { FastifyInstance } from "fastify";
import type { Log } from "../log.ts";
import type { Metrics } from "./metrics.ts";
import { errorFields, toTsnetError } from "./reply-error.ts";

/** Where the metrics are. */
export const METRICS_PATH = "/metrics";

/** Of the text format, and of a reason in its place. */
const TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8";

/** Adds the route. A failure is HTTP 503 with the reason as text, and nothing else: half of the numbers would mislead. */
export function addMetricsRoute(app: FastifyInstance, metrics: Pick<Metrics, "format">, log: Log): void {
  const verb = "metrics";
  app.route({
    method: "GET",
    url: METRICS_PATH,
    exposeHeadRoute: false,
    // The server may have set the media type of the plugin protocol.
    onSend: async (_request, reply) => void reply.header("content-type", TEXT_FORMAT),
    handler: async () => {
      const text = await metrics.format();
      log.debug({ verb, outcome: "ok" }, "call");
      return text;
    },
    errorHandler: (thrown, _request, reply) => {
      const error = toTsnetError(verb, thrown);
      log.warn({ verb, outcome: error.code, ...errorFields(error) }, "call");
      void reply.code(503).send(`${error.message}\n`);
    },
  });
}

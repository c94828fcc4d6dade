// `GET /events`: what happens, as it happens, a JSON object a line until the caller goes or tsnet ends:
// `curl -N --unix-socket /run/docker/plugins/tsnet.sock http://tsnet/events`.
import type { FastifyInstance } from "fastify";
import type { Log } from "../log.ts";
import type { Events } from "./events.ts";
import { formatErrorReply } from "./reply-error.ts";

/** Where the events are. */
export const EVENTS_PATH = "/events";

/**
 * Adds the route. It does not wait for recovery: what is told is also what happens then. One listener too many is HTTP 503.
 *
 * The stream, whose fields `events.ts` explains:
 *
 *     {"time":"2026-05-04T12:00:00.000Z","kind":"start","version":"0.1.0"}
 *     {"time":"…","kind":"call","verb":"NetworkDriver.Join","networkId":"63cc06…","endpointId":"83ad9d…","durationMs":9.8,"outcome":"ok"}
 *     {"time":"…","kind":"repair","what":"endpoint","networkId":"63cc06…","endpointId":"83ad9d…"}
 *     {"time":"…","kind":"fault","outcome":"unavailable","message":"network 63cc06…: Open vSwitch does not answer"}
 *     {"time":"…","kind":"end","reason":"tsnet is shutting down"}
 */
export function addEventsRoute(app: FastifyInstance, events: Events, log: Log): void {
  app.addHook("preClose", async () => events.close());
  app.route({
    method: "GET",
    url: EVENTS_PATH,
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const { raw } = reply;
      raw.setHeader("content-type", "application/x-ndjson");
      raw.setHeader("connection", "close"); // the end of the stream is the end of the connection
      if (!events.add(raw)) {
        const reason = `${events.limit} listen already, which is as many as may`;
        return reply.code(503).send(formatErrorReply(reason));
      }
      reply.hijack();
      raw.once("close", () => events.remove(raw));
      // The server leaves a connection open whose caller has closed it on his side alone; nobody listens on one of these.
      request.raw.socket.once("end", () => raw.destroy());
      log.debug({ verb: "events", outcome: "ok" }, "call");
    },
  });
}

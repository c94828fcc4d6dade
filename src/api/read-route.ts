// What an operator may read on the engine's socket: `GET` of a path, answered with JSON. The engine never asks for it, it only
// posts. A read waits for recovery as a verb does and is answered in the same time.
import type { FastifyInstance } from "fastify";
import type { Log } from "../log.ts";
import type { Calls } from "./calls.ts";
import { type ErrorReply, errorFields, formatErrorReply, toTsnetError } from "./reply-error.ts";

/** What can be read. */
export interface Read {
  /** As the log and messages say it. */
  readonly name: string;
  /** `/status`. */
  readonly path: string;
  /** Changes nothing. @returns the answer, to be written as JSON. */
  readonly run: () => object;
}

/** Adds the route. A failure is HTTP 503 with the body of a failed verb. Query and body are not looked at. */
export function addRead(app: FastifyInstance, { name, path, run }: Read, calls: Calls, log: Log): void {
  const call = { verb: name, object: "", isGated: true };
  app.route({
    method: "GET",
    url: path,
    exposeHeadRoute: false,
    handler: async () => {
      const answer = await calls.run(call, async () => run());
      log.debug({ verb: name, outcome: "ok" }, "call");
      return answer;
    },
    errorHandler: (thrown, _request, reply) => {
      const error = toTsnetError(name, thrown);
      log.warn({ verb: name, outcome: error.code, ...errorFields(error) }, "call");
      const body: ErrorReply = formatErrorReply(error.message);
      void reply.code(503).send(body);
    },
  });
}

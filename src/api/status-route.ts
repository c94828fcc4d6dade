// `GET /status`: what tsnet itself says of its networks, endpoints and published ports. The engine never asks for it (it
// only posts); the operator does, with `curl --unix-socket /run/docker/plugins/tsnet.sock http://tsnet/status`.
import type { FastifyInstance } from "fastify";
import type { CnmDriver, CnmStatus } from "../cnm/requests.ts";
import type { Log } from "../log.ts";
import { VERSION } from "../version.ts";
import type { Calls } from "./calls.ts";
import { type ErrorReply, errorFields, formatErrorReply, toTsnetError } from "./reply-error.ts";

/** Where the status is. */
export const STATUS_PATH = "/status";

/**
 * The body of the answer, as JSON:
 *
 *     { "version": "0.1.0", "isComplete": true, "damage": ["the record of network 63cc06… is damaged: …"],
 *       "networks": [
 *         { "id": "63cc06…", "state": "ready", "mode": "nat", "isInternal": false, "backend": "bridge",
 *           "switch": "tsn-63cc06f3c7b", "vlan": 10, "trunk": [20, 30], "parent": "eth1",
 *           "mtu": 1500, "subnets": ["10.1.2.0/24"], "icc": true, "antispoof": true, "hostBinding": "192.0.2.1",
 *           "endpoints": [
 *             { "id": "83ad9d…", "state": "joined", "addresses": ["10.1.2.3/24"], "mac": "02:42:0a:01:02:03",
 *               "hostLink": "tsv83ad9d8339a1", "vlan": 10, "trunk": [20, 30],
 *               "ports": [
 *                 { "protocol": "tcp", "hostAddress": "", "hostPort": 8080, "containerPort": 80 }] }] }] }
 *
 * What the fields mean is said of `CnmStatus`, `NetworkStatus` and `EndpointStatus` in `cnm/requests.ts`.
 */
export interface StatusReply extends CnmStatus {
  readonly version: string;
}

/**
 * Adds the route. It waits for recovery as a verb does and is answered in the same time; a failure is HTTP 503 with the
 * body of a failed verb. Query and body are not looked at.
 */
export function addStatusRoute(app: FastifyInstance, cnm: Pick<CnmDriver, "describe">, calls: Calls, log: Log): void {
  const call = { verb: "status", object: "", isGated: true };
  app.route({
    method: "GET",
    url: STATUS_PATH,
    exposeHeadRoute: false,
    handler: async (): Promise<StatusReply> => {
      const status = await calls.run(call, async () => cnm.describe());
      log.debug({ verb: call.verb, outcome: "ok" }, "call");
      return { version: VERSION, ...status };
    },
    errorHandler: (thrown, _request, reply) => {
      const error = toTsnetError(call.verb, thrown);
      log.warn({ verb: call.verb, outcome: error.code, ...errorFields(error) }, "call");
      const body: ErrorReply = formatErrorReply(error.message);
      void reply.code(503).send(body);
    },
  });
}

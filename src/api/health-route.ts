// `GET /healthz`: whether tsnet can do its work, for whoever watches over it. Answered at once, whatever else goes on: it
// waits neither for recovery nor for a lock. Only after a write that failed it has the disk tried again.
import type { FastifyInstance } from "fastify";
import type { Log } from "../log.ts";
import { VERSION } from "../version.ts";
import type { Gate } from "./gate.ts";

/** Where the health is. */
export const HEALTH_PATH = "/healthz";

/** More than a person reads; `/status` has all of them. */
const MAX_PROBLEMS = 20;

/**
 * The body of the answer. HTTP 200 with `ok`, else 503.
 *
 *     { "status": "ok", "version": "0.1.0", "problems": ["the record of network 63cc06… is damaged: …"], "disk": { … } }
 *     { "status": "failed", "version": "0.1.0", "reason": "cannot write /var/lib/tsnet/tsnet.db: …" }
 */
export interface HealthReply {
  /** `recovering`: soon after the start, calls wait. `failed`: nothing new can be made. */
  readonly status: "ok" | "recovering" | "failed";
  readonly version: string;
  /** Why it is not `ok`. */
  readonly reason?: string;
  /** What is wrong and keeps tsnet from nothing else; absent if nothing is. */
  readonly problems?: readonly string[];
  /** Of the records; absent if nothing can be said of it. */
  readonly disk?: DiskRoom;
}

/** A disk, as statfs(2) tells. Inodes are 0 where it has no limit of them. */
export interface DiskRoom {
  readonly directory: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly freeInodes: number;
  readonly totalInodes: number;
  readonly isReadOnly: boolean;
}

/** What is asked. */
export interface HealthSources {
  readonly gate: Pick<Gate, "state">;
  readonly records: {
    /** Why nothing new may be recorded; undefined while it may. */
    readonly fault: Error | undefined;
    /** Why the last change could not be written; undefined if it could, or none was made. */
    readonly writeFault: Error | undefined;
    /** Has `writeFault` say how it is now. */
    tryAgain(): void;
    /** The room on their disk. */
    disk(): Promise<DiskRoom | undefined>;
  };
  /** What of the records is damaged, a line each. */
  damage(): readonly string[];
}

/** Adds the route. */
export function addHealthRoute(app: FastifyInstance, sources: HealthSources, log: Log): void {
  app.route({
    method: "GET",
    url: HEALTH_PATH,
    exposeHeadRoute: false,
    // The server may have set the media type of the plugin protocol.
    onSend: async (_request, reply) => void reply.header("content-type", "application/json"),
    handler: async (_request, reply): Promise<HealthReply> => {
      const disk = await sources.records.disk();
      const health = { ...healthOf(sources), ...(disk !== undefined && { disk }) };
      log.debug({ verb: "healthz", outcome: health.status }, "call");
      reply.code(health.status === "ok" ? 200 : 503);
      return health;
    },
  });
}

function healthOf(sources: HealthSources): HealthReply {
  const { records } = sources;
  records.tryAgain();
  const { state } = sources.gate;
  const failure = state instanceof Error ? state : (records.fault ?? records.writeFault);
  if (failure !== undefined) return { status: "failed", version: VERSION, reason: failure.message };
  if (state === "closed") {
    const reason = "the records are being compared with the host; calls wait until that is done";
    return { status: "recovering", version: VERSION, reason };
  }
  const problems = sources.damage().slice(0, MAX_PROBLEMS);
  return { status: "ok", version: VERSION, ...(problems.length > 0 && { problems }) };
}

// From anything that was thrown to the answer the engine reads and to the line in the log.
//
// Every answer to a known verb is HTTP 200; the code decides log level and metric, the text is what the operator reads.
// NetworkDriver callers read the key `Err`, IpamDriver callers `Error` (cnm-protocol.md 1.4): every answer has both.
import type { FastifyError } from "fastify";
import { type ErrorCode, TsnetError, messageOf } from "../errors.ts";
import type { LogLevel } from "../log.ts";
import { describeFaults } from "./faults.ts";

/** The caller's mistakes are warnings, ours and the host's are errors. */
export const LEVEL = {
  invalid: "warn",
  "not-found": "warn",
  conflict: "warn",
  exhausted: "warn",
  unsupported: "warn",
  unavailable: "error",
  host: "error",
  internal: "error",
} as const satisfies Record<ErrorCode, LogLevel>;

/** The body of an answer that reports a failure. */
export interface ErrorReply {
  readonly Err: string;
  readonly Error: string;
}

const MAX_MESSAGE_LENGTH = 8192;
const MAX_CAUSES = 8;
// The same characters that `fields.ts` refuses in texts.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]+/gu;

/** Makes the answer; the text is one line. */
export function formatErrorReply(message: string): ErrorReply {
  const line = oneLine(message);
  return { Err: line, Error: line };
}

/**
 * Gives anything thrown while answering a call a code.
 *
 * @param call - the verb without its type, `CreateNetwork`; put before the faults of a body.
 */
export function toTsnetError(call: string, thrown: unknown): TsnetError {
  if (thrown instanceof TsnetError) return thrown;
  if (isFastifyError(thrown)) return new TsnetError("invalid", `${call}: ${describeBodyError(thrown)}`);
  return new TsnetError("internal", `${call}: ${messageOf(thrown)}`, { cause: thrown });
}

/** A fault of the request as fastify reports it: a body that is too large, is cut short, or breaks its schema. */
function isFastifyError(thrown: unknown): thrown is FastifyError {
  if (!(thrown instanceof Error) || !("statusCode" in thrown)) return false;
  return typeof thrown.statusCode === "number" && thrown.statusCode >= 400 && thrown.statusCode < 500;
}

function describeBodyError(error: FastifyError): string {
  if (error.validation !== undefined) return describeFaults(error.validation);
  return messageOf(error);
}

/** What the log says of a failure: its message, those of its causes, and the stack of a fault of our own. */
export function errorFields(error: TsnetError): object {
  const causes = causesOf(error.cause);
  return {
    error: oneLine(error.message),
    ...(causes.length > 0 && { causes }),
    ...(error.code === "internal" && { stack: stackOf(error.cause ?? error) }),
  };
}

function causesOf(thrown: unknown): string[] {
  const causes: string[] = [];
  for (let cause = thrown; cause !== undefined && causes.length < MAX_CAUSES;) {
    causes.push(oneLine(describeCause(cause)));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return causes;
}

function describeCause(cause: unknown): string {
  if (cause instanceof AggregateError) return [cause.message, ...cause.errors.map(messageOf)].join("; ");
  if (cause instanceof Error) return `${cause.name}: ${cause.message}`;
  return JSON.stringify(cause); // argv and standard error of a command, or an errno
}

function stackOf(thrown: unknown): string | undefined {
  return thrown instanceof Error ? thrown.stack : undefined;
}

function oneLine(text: string): string {
  const line = text.replaceAll(UNPRINTABLE, " ");
  return line.length > MAX_MESSAGE_LENGTH ? `${line.slice(0, MAX_MESSAGE_LENGTH)}...` : line;
}

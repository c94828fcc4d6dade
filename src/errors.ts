// The one error class of tsnet and its closed list of codes. The code decides the log level (`api/reply-error.ts`);
// the text is what the operator reads in the answer of `docker network create` or `docker run`.

/**
 * What kind of failure it was.
 *
 * - `invalid`: the request itself is wrong; asking again changes nothing.
 * - `not-found`: a network, endpoint or pool that tsnet does not know.
 * - `conflict`: something else already uses the name, address or switch.
 * - `exhausted`: a pool has no address left, or there is no pool left.
 * - `unsupported`: right in itself, but not possible on this host or in this mode.
 * - `unavailable`: not now: still recovering, shutting down, or out of time.
 * - `host`: the kernel or a tool of the host refused.
 * - `internal`: a fault of tsnet.
 */
export type ErrorCode =
  | "invalid"
  | "not-found"
  | "conflict"
  | "exhausted"
  | "unsupported"
  | "unavailable"
  | "host"
  | "internal";

/** A failure with a code from the closed list. The message says what could not be done, to which object, and why. */
export class TsnetError extends Error {
  override readonly name = "TsnetError";
  readonly code: ErrorCode;

  /** @param message - lower case, no full stop, no secrets. */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The message of anything that was thrown, for building a longer one around it. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The code of anything that was thrown; `internal` for what is no TsnetError. */
export function codeOf(thrown: unknown): ErrorCode {
  return thrown instanceof TsnetError ? thrown.code : "internal";
}

/** Puts what was being done before the message of `cause` and keeps its code; what is no TsnetError becomes `internal`. */
export function inContext(doing: string, cause: unknown): TsnetError {
  return new TsnetError(codeOf(cause), `${doing}: ${messageOf(cause)}`, { cause });
}

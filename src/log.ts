// The log as the rest of tsnet sees it: an interface, and pino behind it. JSON lines on standard output; the engine
// copies a plugin's standard output into its own log.
import { pino } from "pino";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Fields first, then a short constant message, as pino takes them. */
export type Log = { readonly [Level in LogLevel]: (fields: object, message: string) => void };

/** The level names that `TSNET_LOG_LEVEL` may have. */
export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;

/** Makes the daemon's log. @param level - one of LOG_LEVELS. */
export function createLog(level: (typeof LOG_LEVELS)[number]): Log {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime });
}

/** A log that drops everything. */
export const SILENT_LOG: Log = { debug() {}, info() {}, warn() {}, error() {} };

// The log as the rest of tsnet sees it: an interface, and pino behind it. JSON lines on standard output; the engine
// copies a plugin's standard output into its own log. A pipe that nobody reads holds nothing up: lines wait for it, up to a
// limit, then they are counted instead.
import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { pino } from "pino";

const { isoTime: timeField } = pino.stdTimeFunctions;

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Fields first, then a short constant message, as pino takes them. */
export type Log = { readonly [Level in LogLevel]: (fields: object, message: string) => void };

/** The level names that `TSNET_LOG_LEVEL` may have. */
export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;

/** Makes the daemon's log. @param level - one of LOG_LEVELS. */
export function createLog(level: (typeof LOG_LEVELS)[number]): Log {
  return pino({ level, base: null, timestamp: timeField }, new LogPipe(standardOutput()));
}

/** The time as a log's lines have it, `2026-05-04T12:00:00.000Z`: for people to read, nothing is decided by it. */
export function isoTime(): string {
  return timeField().replace(/^,"time":"|"$/g, "");
}

/** A log that drops everything. */
export const SILENT_LOG: Log = { debug() {}, info() {}, warn() {}, error() {} };

const STDOUT = 1;
/** Bytes, of lines that wait. */
const WAITING_LIMIT = 1024 * 1024;
const RETRY_MS = 50;

/** Writes at once what goes at once; the rest waits until the reader has read. */
class LogPipe {
  readonly #fd: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #dropped = 0;

  constructor(fd: number) {
    this.#fd = fd;
    process.once("exit", () => this.#writeWaiting());
  }

  /** @param line - with its line end. */
  write(line: string): void {
    if (this.#waitingBytes + line.length > WAITING_LIMIT) {
      this.#dropped += 1;
      return;
    }
    const isFirst = this.#waiting.length === 0;
    this.#push(line);
    if (isFirst) this.#writeOrWait();
  }

  #push(line: string): void {
    const bytes = Buffer.from(line);
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
  }

  #writeOrWait(): void {
    this.#writeWaiting();
    if (this.#waiting.length > 0) setTimeout(() => this.#writeOrWait(), RETRY_MS).unref();
  }

  #writeWaiting(): void {
    for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
      const written = tryWrite(this.#fd, first);
      if (written === undefined) return;
      this.#waitingBytes -= written;
      if (written < first.length) this.#waiting[0] = first.subarray(written);
      else this.#waiting.shift();
      if (this.#waiting.length === 0 && this.#dropped > 0) {
        this.#push(
          `{"level":40${timeField()},"lines":${this.#dropped},"msg":"lines were dropped: nobody read the log"}\n`,
        );
        this.#dropped = 0;
      }
    }
  }
}

/** @returns how many bytes were written, undefined if none could be for now. A reader that has gone takes everything. */
function tryWrite(fd: number, bytes: Buffer): number | undefined {
  try {
    return writeSync(fd, bytes);
  } catch (failure) {
    return failure instanceof Error && "code" in failure && failure.code === "EAGAIN" ? undefined : bytes.length;
  }
}

/** Standard output so that writing never waits, without a change for the others who have it. */
function standardOutput(): number {
  try {
    const kind = fstatSync(STDOUT);
    if (kind.isSocket()) return process.stdout.fd; // Node.js itself waits for no socket
    if (!kind.isFIFO()) return STDOUT;
    return openSync(`/proc/self/fd/${STDOUT}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return STDOUT; // as it came
  }
}

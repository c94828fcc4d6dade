// tsnet's log, wherever it ends up: `tsnet serve` writes JSON lines, the engine copies the plugin's into its own log.
import { readFileSync } from "node:fs";

/** One line of tsnet's log, pino's numbers for the levels. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly error?: string;
  readonly [field: string]: unknown;
}

/** pino's number for warnings. */
export const WARN = 40;

/** Reads every line of tsnet in a file, and leaves out what others wrote there. */
export function readLog(path: string): readonly LogLine[] {
  const text = readFileSync(path, "utf8");
  return text
    .slice(0, text.lastIndexOf("\n") + 1) // what has no end is being written
    .split("\n")
    .flatMap((line) => parseLine(line) ?? []);
}

/** JSON as it stands, or as the engine quotes it: `msg="..." plugin=ID`. */
function parseLine(line: string): LogLine | undefined {
  const quoted = /msg=("(?:[^"\\]|\\.)*") plugin=/.exec(line)?.[1];
  const text = quoted === undefined ? line : (JSON.parse(quoted) as string); // a quoted string is one
  return text.startsWith("{") ? (JSON.parse(text) as LogLine) : undefined; // pino's own
}

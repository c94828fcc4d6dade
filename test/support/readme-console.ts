// What the README says a command prints: its blocks marked `console`, in which each command stands behind `$ `. A test runs the
// command and compares; what differs from run to run is masked on both sides.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const README = join(import.meta.dirname, "../../README.md");
const BLOCK = /^```console\n(.*?)^```$/gms;

/**
 * What stands in the README behind `$ COMMAND`, masked.
 *
 * @param heading - from there on: `### CNI`.
 * @throws Error if it stands there not at all.
 */
export function readmeOutput(command: string, heading = ""): string {
  const text = readFileSync(README, "utf8");
  for (const [, block = ""] of text.slice(text.indexOf(heading)).matchAll(BLOCK)) {
    for (const entry of block.split(/^\$ /m).slice(1)) {
      const [typed = "", ...lines] = entry.split("\n");
      if (typed === command) return maskVolatile(lines.join("\n"));
    }
  }
  throw new Error(`the README has no example of ${command}`);
}

/** The JSON block that follows the first mention of a file. @throws Error if there is none. */
export function readmeConfiguration(file: string): unknown {
  const text = readFileSync(README, "utf8");
  const [, block] = /^```json\n(.*?)^```$/ms.exec(text.slice(text.indexOf(file))) ?? [];
  if (block === undefined) throw new Error(`the README has no configuration ${file}`);
  return JSON.parse(block);
}

/** Ids, MAC addresses, link names that are made from ids, times, durations and runs of spaces as words that are always the same. */
export function maskVolatile(text: string): string {
  return text
    .replace(/\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b/g, "ID")
    .replace(/\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, "MAC")
    .replace(/\bts[a-z]-?[0-9a-f]{6,12}\b|\bveth[0-9a-f]{6,12}\b/g, "LINK")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z?|\b\d\d:\d\d:\d\d(\.\d+)?\b/g, "TIME")
    .replace(/\b\d+(\.\d+)? ms\b/g, "N ms")
    .replace(/ +/g, " ")
    .replace(/-{2,}|─{2,}/g, "--")
    .trim();
}

// How many commits were answered, in a file of its own beside the records. SQLite leaves out the end of a log that was
// damaged, and a folder may be put back to an older time: then the records know of fewer commits than this file does.
//
//   tsnet.db-count     the number, 20 places, and its CRC-32: one write in place after each commit. It is not synced: after a
//                      power cut it may be behind, never ahead, since the commit itself was on disk before.
import { chmodSync, closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";

/** Keeps the number of commits. */
export class CommitCount {
  readonly #descriptor: number;

  /** Makes the file if it is absent. @throws Error of node:fs. */
  constructor(path: string) {
    closeSync(openSync(path, "a", 0o600));
    chmodSync(path, 0o600); // the umask may have taken even our own rights
    this.#descriptor = openSync(path, "r+");
  }

  /** What cannot be written is left: the file is behind then, as after a power cut. */
  write(commits: number): void {
    try {
      writeSync(this.#descriptor, format(commits), 0);
    } catch {
      // The commit itself is on disk.
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** @returns undefined if the file is absent or says nothing. */
export function readCommitCount(path: string): number | undefined {
  try {
    const text = readFileSync(path, "latin1");
    const commits = Number(text.slice(0, 20));
    return text === format(commits) ? commits : undefined;
  } catch {
    return undefined;
  }
}

function format(commits: number): string {
  const digits = String(commits).padStart(20);
  return `${digits} ${crc32(digits).toString(16).padStart(8, "0")}\n`;
}

// How damage is told from what was written: a seal on every record, and one book of all of them. The CRC-32 of zlib finds
// each single flipped bit and each burst of up to 32; it is no protection against somebody who means to deceive.
import { crc32 } from "node:zlib";

/** A record as it lies in the file. */
export interface Row {
  readonly kind: string;
  readonly id: string;
  /** JSON. */
  readonly body: string;
  readonly seal: number;
}

/** What is true of all records together after a commit. */
export interface Book {
  /** How many commits there were. */
  readonly commits: number;
  /** How many records there are. */
  readonly count: number;
  /** Their seals, combined by exclusive or: whatever is missing, too much or of another time changes it. */
  readonly sum: number;
}

/** Of a file without records. */
export const EMPTY_BOOK: Book = { commits: 0, count: 0, sum: 0 };

/** The seal of a record: 32 bits. */
export function sealOf(kind: string, id: string, body: string): number {
  return crc32(`${kind}\0${id}\0${body}`);
}

/** Whether a row is as it was written. */
export function isSealed({ kind, id, body, seal }: Row): boolean {
  return sealOf(kind, id, body) === seal;
}

/** Under what a record is found in memory. */
export function keyOf({ kind, id }: Pick<Row, "kind" | "id">): string {
  return `${kind}\0${id}`;
}

/** A seal joins a sum, and leaves it, in the same way. */
export function combine(sum: number, seal: number): number {
  return (sum ^ seal) >>> 0;
}

/** The book of these rows. */
export function bookOf(rows: Iterable<Row>, commits: number): Book {
  let [count, sum] = [0, 0];
  for (const { seal } of rows) [count, sum] = [count + 1, combine(sum, seal)];
  return { commits, count, sum };
}

/** As it lies in the file. */
export function formatBook({ commits, count, sum }: Book): string {
  return JSON.stringify({ commits, count, sum });
}

/** The seal of that. */
export function sealOfBook(text: string): number {
  return crc32(text);
}

/** @returns undefined for a text that `formatBook` did not make. */
export function parseBook(text: string, seal: number): Book | undefined {
  if (sealOfBook(text) !== seal) return undefined;
  return JSON.parse(text) as Book; // sealed, so written by formatBook
}

// Fuzzing of bytes: one to three lawful calls on one connection, in which bytes, lines of the head and chunks are changed,
// written in pieces, and then half-closed. RFC 9112 says what HTTP/1.1 is.
import * as fc from "fast-check";
import { LAWFUL, type LawfulRequest, bytesOfCall, textOf } from "./requests.ts";

const PIECES: readonly string[] = [
  "\r\n", "\n", "\r", "\r\n\r\n", "\0", " ", "\t", ":", ",", ";", "\x7f", "\x80\xff", "é", "A".repeat(20_000), "a:b\r\n".repeat(10_000), "\r\n".repeat(50),
  "GET", "FOO", "CONNECT", "TRACE", "OPTIONS", "HEAD", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/0.9", "HTTP/1.0", "HTTP/2.0", "HTTP/1.1 ",
  "GET /status HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\n\r\n", "http://tsnet/status", "*", "//", "/../",
  "%", "%00", "%2e%2e%2f", "?x=1", "#x", "/" + "a".repeat(65_536), "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "*1\r\n$4\r\nPING\r\n",
  "0\r\n\r\n", "5\r\nhello\r\n", "ffffffffffffffff\r\n", "-1\r\n", "0x5\r\n", "5;ext=1\r\n", "0\r\nTrailer: x\r\n\r\n",
]; // prettier-ignore
const HEADERS: readonly string[] = [
  "Content-Length: 0", "Content-Length: 5", "Content-Length: +5", "Content-Length: -1", "Content-Length: 0x10", "Content-Length: 5, 5", "Content-Length: 5, 6",
  "Content-Length:", "Content-Length: 99999999999999999999", "Content-Length: 1073741824", "Content-Length : 5", " Content-Length: 5", "content_length: 5",
  "Transfer-Encoding: chunked", "Transfer-Encoding: Chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity",
  "Transfer-Encoding: gzip, chunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\x0bchunked", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
  "Expect: 100-continue", "Expect: anything", "Upgrade: websocket\r\nConnection: Upgrade", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk",
  "Connection: close", "Connection: keep-alive", "Connection: Content-Length", "Keep-Alive: timeout=1", "Content-Encoding: gzip", "Content-Type: text/plain",
  "Content-Type: ;;", "Content-Type: multipart/form-data", "Host: a\r\nHost: b", "Accept: nothing", "Accept-Encoding: gzip", "Range: bytes=0-0", "If-Match: x", "TE: trailers", "Trailer: x",
  "X-HTTP-Method-Override: GET", "__proto__: x", "constructor: x", ": empty", "a b: c", "Forwarded: for=x", "Cookie: " + "c".repeat(15_000), "Accept-Version: 9.9.9",
]; // prettier-ignore

type Change =
  | { readonly kind: "byte"; readonly at: number; readonly byte: number }
  | { readonly kind: "insert"; readonly at: number; readonly piece: string }
  | { readonly kind: "delete" | "repeat"; readonly at: number; readonly length: number }
  | { readonly kind: "cut"; readonly at: number }
  | { readonly kind: "header"; readonly at: number; readonly header: string; readonly isInstead: boolean }
  | { readonly kind: "chunk"; readonly size: number };

/** One input. */
export interface ByteInput {
  readonly requests: readonly LawfulRequest[];
  readonly changes: readonly Change[];
  /** Where the bytes are parted when they are written. */
  readonly parts: readonly number[];
}

const at = fc.nat(9999);
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("byte" as const), at, byte: fc.nat(255) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("insert" as const), at, piece: fc.constantFrom(...PIECES) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("delete" as const, "repeat" as const), at, length: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), at }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("header" as const), at, header: fc.constantFrom(...HEADERS), isInstead: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("chunk" as const), size: fc.integer({ min: 1, max: 400 }) }) },
); // prettier-ignore

/** Inputs, of which nearly all are no HTTP or not what the engine sends. */
export const byteInputs: fc.Arbitrary<ByteInput> = fc.record({
  requests: fc.array(fc.constantFrom(...LAWFUL), { minLength: 1, maxLength: 3, size: "max" }),
  changes: fc.array(change, { minLength: 1, maxLength: 4, size: "max" }),
  parts: fc.array(at, { maxLength: 2 }),
});

/** What is written to the connection, piece by piece. */
export function piecesOfInput(
  { requests, changes, parts }: ByteInput,
  withPoolIds: (text: string) => string,
): Buffer[] {
  const calls = requests.map(({ verb, body }) => bytesOfCall(verb, withPoolIds(textOf(body) ?? "")));
  const bytes = changes.reduce(changed, Buffer.concat(calls));
  const cuts = [...new Set([0, ...parts.map((part) => scaled(part, bytes.length)), bytes.length])].sort(
    (a, b) => a - b,
  );
  return cuts.slice(1).map((end, i) => bytes.subarray(cuts[i] ?? 0, end));
}

function changed(bytes: Buffer, step: Change): Buffer {
  switch (step.kind) {
    case "byte": {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[Math.min(scaled(step.at, copy.length), copy.length - 1)] = step.byte;
      return copy;
    }
    case "insert":
      return spliced(bytes, scaled(step.at, bytes.length), 0, Buffer.from(step.piece, "latin1"));
    case "delete":
      return spliced(bytes, scaled(step.at, bytes.length), step.length, Buffer.alloc(0));
    case "repeat": {
      const start = scaled(step.at, bytes.length);
      return spliced(bytes, start, 0, bytes.subarray(start, start + step.length));
    }
    case "cut":
      return bytes.subarray(0, scaled(step.at, bytes.length));
    case "header":
      return withHeader(bytes, step.at, step.header, step.isInstead);
    case "chunk":
      return inChunks(bytes, step.size);
  }
}

function scaled(part: number, length: number): number {
  return Math.floor((part * length) / 10_000);
}

function spliced(bytes: Buffer, start: number, length: number, piece: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, start), piece, bytes.subarray(start + length)]);
}

/** In the first head: at the start of one of its lines. */
function withHeader(bytes: Buffer, part: number, header: string, isInstead: boolean): Buffer {
  const lines = [...bytes.toString("latin1").matchAll(/\r\n(?!\r\n)/g)].slice(0, 5);
  const line = lines[part % Math.max(1, lines.length)];
  if (line === undefined) return bytes;
  const start = line.index + 2;
  const end = isInstead ? Math.max(start, bytes.indexOf("\r\n", start) + 2) : start;
  return spliced(bytes, start, end - start, Buffer.from(`${header}\r\n`, "latin1"));
}

/** The body of the first call in chunks, in place of its length. */
function inChunks(bytes: Buffer, size: number): Buffer {
  const end = bytes.indexOf("\r\n\r\n");
  const length = Number(/Content-Length: ([0-9]+)\r\n/.exec(bytes.toString("latin1"))?.[1] ?? 0);
  if (end === -1 || length > bytes.length) return bytes;
  const head = bytes.toString("latin1", 0, end + 4).replace(/Content-Length: [0-9]+/, "Transfer-Encoding: chunked");
  const chunks: Buffer[] = [];
  for (let start = end + 4; start < end + 4 + length; start += size) {
    const chunk = bytes.subarray(start, Math.min(start + size, end + 4 + length));
    chunks.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n"));
  }
  return Buffer.concat([
    Buffer.from(head, "latin1"),
    ...chunks,
    Buffer.from("0\r\n\r\n"),
    bytes.subarray(end + 4 + length),
  ]);
}

// Collects the bytes of a body. Fastify's own reader keeps each chunk until the last one has come, and with it the block of
// memory that it was read into: a body of the permitted size in chunks of one byte would take more than a hundred times that.
import type { Readable } from "node:stream";
import { messageOf } from "../errors.ts";
import { MAX_BODY_BYTES } from "./body.ts";

/** What is taken at once for a body that has not come yet. */
const FIRST_BYTES = 16_384;

/** A fault of the request, as fastify reports its own (`reply-error.ts`). */
class BodyError extends Error {
  override readonly name = "BodyError";
  readonly statusCode: 400 | 413;

  constructor(statusCode: 400 | 413, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.statusCode = statusCode;
  }
}

/**
 * Reads a stream to its end.
 *
 * @param announced - bytes that the head of the request says will come; undefined when it does not say.
 * @returns the bytes, in memory of their own.
 * @throws BodyError as soon as there are more bytes than permitted, or when the connection breaks.
 */
export async function readBodyBytes(stream: Readable, announced: number | undefined): Promise<Buffer> {
  if (announced !== undefined && announced > MAX_BODY_BYTES) throw tooLarge();
  let bytes: Buffer = Buffer.allocUnsafe(Math.min(announced ?? FIRST_BYTES, FIRST_BYTES));
  let length = 0;
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  const onData = (chunk: Buffer) => {
    if (length + chunk.length > MAX_BODY_BYTES) return reject(tooLarge());
    if (length + chunk.length > bytes.length) bytes = enlarged(bytes, length, length + chunk.length);
    length += chunk.copy(bytes, length);
  };
  const onEnd = () => resolve();
  const onError = (cause: unknown) => reject(new BodyError(400, messageOf(cause), { cause }));
  stream.on("data", onData).once("end", onEnd).once("error", onError);
  try {
    await ended;
  } finally {
    stream.off("data", onData).off("end", onEnd).off("error", onError);
  }
  return bytes.subarray(0, length);
}

function enlarged(bytes: Buffer, length: number, needed: number): Buffer {
  const larger = Buffer.allocUnsafe(Math.max(needed, Math.min(2 * bytes.length, MAX_BODY_BYTES)));
  bytes.copy(larger, 0, 0, length);
  return larger;
}

function tooLarge(): BodyError {
  return new BodyError(413, `the body is larger than ${MAX_BODY_BYTES} bytes`);
}

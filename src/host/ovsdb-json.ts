// Finds the JSON values in a stream of bytes in which nothing parts them: RFC 7047, section 4, sends one object after the
// other. Works on bytes, since no byte of a multi-byte UTF-8 character equals a bracket, a quote or a backslash; each byte is
// looked at once, however the stream is cut.
import { TsnetError } from "../errors.ts";

/** No answer about a host with 10,000 ports comes near; what is longer is no answer. */
const VALUE_LIMIT = 64 * 1024 * 1024;

const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET, QUOTE, BACKSLASH] = Buffer.from('{}[]"\\');
const BLANKS: ReadonlySet<number | undefined> = new Set(Buffer.from(" \t\r\n"));

/** How much of what is no JSON is shown. */
const EXCERPT_LENGTH = 40;

/** Cuts a stream of bytes into the JSON objects of which it consists. After a throw it is of no more use. */
export class JsonStream {
  readonly #limit: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  /** The beginning of an object whose end has not come. */
  #begun: Buffer[] = [];
  #begunLength = 0;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  /** @param limit - the longest object that is accepted, in bytes. */
  constructor(limit = VALUE_LIMIT) {
    this.#limit = limit;
  }

  /**
   * Takes the next bytes.
   *
   * @param chunk - is kept as long as an object that begins in it has no end.
   * @returns the objects that end in it, in their order.
   * @throws TsnetError `host` for what is no sequence of JSON objects, for invalid UTF-8, and for an object over the limit.
   */
  push(chunk: Buffer): object[] {
    const found: object[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      if (this.#depth === 0) {
        if (BLANKS.has(byte)) continue;
        if (byte !== OPEN_BRACE) throw notJson(chunk.subarray(at));
        start = at;
      }
      if (!this.#endsWith(byte)) continue;
      found.push(this.#parse(chunk.subarray(start, at + 1)));
    }
    if (this.#depth > 0) this.#keep(chunk.subarray(start));
    return found;
  }

  /** Counts brackets. Which closes which is left to JSON.parse. @returns whether the object is complete with this byte. */
  #endsWith(byte: number | undefined): boolean {
    if (this.#isInString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = true;
      else if (byte === QUOTE) this.#isInString = false;
      return false;
    }
    if (byte === QUOTE) this.#isInString = true;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.#depth += 1;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) this.#depth -= 1;
    return this.#depth === 0;
  }

  #keep(part: Buffer): void {
    this.#begun.push(part);
    this.#begunLength += part.length;
    if (this.#begunLength > this.#limit) throw new TsnetError("host", `an object of more than ${this.#limit} bytes`);
  }

  #parse(end: Buffer): object {
    this.#keep(end);
    const bytes = this.#begun.length === 1 ? end : Buffer.concat(this.#begun);
    this.#begun = [];
    this.#begunLength = 0;
    try {
      return JSON.parse(this.#decoder.decode(bytes)) as object; // it begins with a brace
    } catch {
      throw notJson(bytes);
    }
  }
}

function notJson(bytes: Buffer): TsnetError {
  const excerpt = JSON.stringify(bytes.subarray(0, EXCERPT_LENGTH).toString("latin1"));
  return new TsnetError("host", `no JSON in UTF-8: ${excerpt}`);
}

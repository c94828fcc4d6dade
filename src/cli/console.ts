// Where a command prints: tables and JSON on standard output, notes on standard error. Colours only on a terminal.
import { styleText } from "node:util";
import { type Cell, formatTable, plain } from "./table.ts";

/** What a terminal has at least, and what is taken where there is none. */
const USUAL_WIDTH = 80;

type Style = Parameters<typeof styleText>[0];

/** The part of a stream that is used. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** One command's. */
export class Console {
  readonly #out: Output;
  readonly #notes: Output;
  readonly #width: number;
  readonly #hasColours: boolean;

  constructor(out: Output, notes: Output, environment: Readonly<Record<string, string | undefined>>) {
    this.#out = out;
    this.#notes = notes;
    const wanted = Number(environment["COLUMNS"]);
    this.#width = Math.max(USUAL_WIDTH, wanted > 0 ? wanted : (out.columns ?? 0));
    this.#hasColours = out.isTTY === true && (environment["NO_COLOR"] ?? "") === "" && environment["TERM"] !== "dumb";
  }

  /** Indented, for people and programs. */
  json(value: unknown): void {
    this.#out.write(`${JSON.stringify(value, undefined, 2)}\n`);
  }

  /** In one line, for what goes on and on. */
  jsonLine(value: unknown): void {
    this.#out.write(`${JSON.stringify(value)}\n`);
  }

  line(text = ""): void {
    this.#out.write(`${plain(text)}\n`);
  }

  title(text: string): void {
    this.#out.write(`${this.#paint("bold", plain(text))}\n`);
  }

  /** A line for each, in columns. What is empty is left out. */
  fields(fields: Readonly<Record<string, string>>): void {
    const shown = Object.entries(fields).filter(([, value]) => value !== "");
    const width = Math.max(...shown.map(([key]) => key.length));
    for (const [key, value] of shown) this.line(`  ${key.padEnd(width)}  ${value}`);
  }

  /** @param none - what is said in place of a table without rows. */
  table(head: readonly string[], rows: readonly (readonly Cell[])[], none: string): void {
    if (rows.length === 0) return this.line(none);
    this.#out.write(formatTable(head, rows, this.#width, (line) => this.#paint("bold", line)));
  }

  /** What is not the answer. */
  note(text: string): void {
    this.#notes.write(`tsnet: ${plain(text)}\n`);
  }

  /** Says what it waits for when that takes longer than a second and somebody looks on. */
  async waitFor<Result>(what: string, work: Promise<Result>): Promise<Result> {
    const timer = this.#notes.isTTY === true ? setTimeout(() => this.note(`waiting for ${what}`), 1000) : undefined;
    try {
      return await work;
    } finally {
      clearTimeout(timer);
    }
  }

  #paint(style: Style, text: string): string {
    return this.#hasColours ? styleText(style, text, { validateStream: false }) : text;
  }
}
